"""Networks of keras.applications, which TensorFlow executes on the CPU to compare a port with them.

Keras builds the network, and loads the file's weights into it. A file of a whole model also has a
configuration, which may have Lambda layers with code. It is never read.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from model_ports import registry
from model_ports.convert import frameworks, keras_h5, same_function
from model_ports.convert.foreign import Layers, places
from model_ports.errors import InputError, said
from model_ports.registry import ModelSpec

BATCH = 4
NETWORKS = {
    "vgg_16": ("VGG16", {}, "vgg16"),
    "vgg_19": ("VGG19", {}, "vgg19"),
    "inception_v3": ("InceptionV3", {}, "inception_v3"),
    "inception_resnet_v2": ("InceptionResNetV2", {}, "inception_resnet_v2"),
    "mobilenet_v1_025": ("MobileNet", {"alpha": 0.25}, "mobilenet"),
    "mobilenet_v1_050": ("MobileNet", {"alpha": 0.5}, "mobilenet"),
    "mobilenet_v1_100": ("MobileNet", {"alpha": 1.0}, "mobilenet"),
}
"""For each network: Keras's name, its settings, and the module with its preprocessing."""


_EXACT = (1e-7, 1e-7)
_OTHER_MEANS = (5e-5, 5e-2)
"""Relative differences of logits and gradient that are no mistake. For VGG, Keras has the means
103.939 and 116.779, the original 103.94 and 116.78. With random weights this changes logits by
1.3e-5, and flips ReLUs.
"""


class Original:
    """A network with its weights. It maps images (N, S, S, 3) in [0, 1] to logits (N, outputs).

    The logits are those before the softmax. For the attributes see `originals.Original`.
    """

    def __init__(
        self, path: str | Path, spec: ModelSpec, *, size: int | None = None, double: bool = False
    ):
        """Build the network, and load its weights.

        Args:
            path: a file of weights that Keras wrote.
            spec: the network.
            size: the side of the images, in pixels; None for the network's own.
            double: True to execute the network in double precision.

        Raises:
            InputError: if the file has other weights, if the network is another function in Keras,
                or if Keras is not installed.
        """
        self.path = Path(path)
        same_function.check(spec.name, "keras", path)
        network = registry.network(spec.name, zoo="imagenet", input_size=size)
        self.size = network.input_size
        arrays = keras_h5.read(self.path)  # refuses damaged and unsafe files
        self._keras = frameworks.keras()
        self._tf = frameworks.tensorflow()
        self.least_tolerances = _OTHER_MEANS if spec.family == "VGG" else _EXACT
        name, settings, module = NETWORKS[spec.name]
        self._prepare = getattr(self._keras.applications, module).preprocess_input
        last = keras_h5.last_layer(network)
        self.outputs = (
            arrays[f"{last}/kernel"].shape[-1]
            if f"{last}/kernel" in arrays
            else network.num_classes
        )
        self.input = f"keras.applications.{name}"
        self.logits = last
        self._net = self._built(name, settings | {"classes": self.outputs}, double)
        self._load(spec.name)
        layers: Layers = {layer.name: {} for layer in self._net.layers}
        there = places(keras_h5.ROWS[spec.name](layers, network)[1], spec.weight_map)
        place = {name: number for number, name in enumerate(layers)}
        self.layers = {
            path: there[path].layer
            for path in sorted(there, key=lambda path: place[there[path].layer])
        }

    def _built(self, name: str, settings: dict, double: bool):
        config = self._keras.config
        kind = "float64" if double else "float32"
        before = config.floatx(), config.dtype_policy()
        config.set_floatx(kind)
        config.set_dtype_policy(kind)
        try:
            shape = (self.size, self.size, 3)
            build = getattr(self._keras.applications, name)
            return build(weights=None, classifier_activation=None, input_shape=shape, **settings)
        except ValueError as error:
            raise InputError(
                f"Keras cannot build {name} for {self.size} pixels: {said(error)}"
            ) from None
        finally:
            config.set_floatx(before[0])
            config.set_dtype_policy(before[1])

    def _load(self, model: str) -> None:
        with tempfile.TemporaryDirectory() as folder:  # Keras takes the format from the suffix
            if keras_h5.is_archive(self.path):
                ending = ".keras"
            else:
                ending = ".weights.h5" if keras_h5.numbered(self.path) else ".h5"
            link = Path(folder) / f"net{ending}"
            link.symlink_to(self.path.resolve())
            try:
                self._net.load_weights(link)
            except Exception as error:  # Keras raises many kinds of exceptions for damaged files
                reason = said(error)
                raise InputError(
                    f"{self.path} cannot be loaded by Keras as {model}: {reason}; give the "
                    "weights of this very model"
                ) from None

    def logits_and_gradient(
        self, pixels: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute logits and a gradient.

        Args:
            pixels: (N, S, S, 3) in [0, 1].
            weights: (N, outputs).

        Returns:
            Logits (N, outputs), and for each image the gradient (N, S, S, 3) of the sum of
            weights * logits.
        """
        tf: Any = self._tf
        parts = []
        for start in range(0, len(pixels), BATCH):
            rows = slice(start, start + BATCH)
            with tf.device("CPU"), tf.GradientTape() as tape:
                images = tf.constant(pixels[rows])
                tape.watch(images)
                logits = self._net(self._prepare(255.0 * images), training=False)
                total = tf.reduce_sum(logits * weights[rows])
            parts.append((logits.numpy(), tape.gradient(total, images).numpy()))
        return np.concatenate([part[0] for part in parts]), np.concatenate(
            [part[1] for part in parts]
        )

    def outputs_of_layers(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the outputs of the layers, before any activation.

        Args:
            pixels: one image (1, S, S, 3) in [0, 1].

        Returns:
            The outputs by the layer's path in the port, in Keras's order.
        """
        layers = {path: self._net.get_layer(name) for path, name in self.layers.items()}
        outputs: dict[str, np.ndarray] = {}
        with self._tf.device("CPU"):
            before = self._keras.Model(
                self._net.inputs, {path: layer.input for path, layer in layers.items()}
            )
            inputs = before(self._prepare(255.0 * self._tf.constant(pixels)), training=False)
            for path, layer in layers.items():
                activation = getattr(layer, "activation", None)
                if activation is not None:
                    layer.activation = self._keras.activations.linear
                try:
                    outputs[path] = layer(inputs[path]).numpy()
                finally:
                    if activation is not None:
                        layer.activation = activation
        return outputs

    def close(self) -> None:
        """Free the session."""
        self._keras.backend.clear_session()
