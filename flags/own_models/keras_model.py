"""A classifier of your own in Keras 3 (``pip install 'jaxadv[keras]'``): here a small convolutional one.

    KERAS_BACKEND=jax python run.py evaluate --models=alexnet --model_module=flags/own_models/keras_model.py:convolutional --out=results/mine

A file needs no function: ``--models=keras:mine.keras``. See pure_jax.py for what a classifier is.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # before Keras is imported

import keras
from fitted_to_digits import last_layer

import jaxadv

SIZE = 20


def convolutional():
    keras.utils.set_random_seed(0)
    images = keras.Input((SIZE, SIZE, 3))
    hidden = keras.layers.Conv2D(16, 5, strides=2, padding="same", activation="relu")(images)
    hidden = keras.layers.Flatten()(hidden)
    features = keras.Model(images, hidden)
    last = keras.layers.Dense(10, activation="softmax")  # left out: attacks need logits
    network = keras.Model(images, last(hidden))
    last.set_weights(last_layer(lambda pixels: features((pixels - 0.5) / 0.25), SIZE))
    return jaxadv.from_keras(network, mean=0.5, std=0.25, name="own_keras")
