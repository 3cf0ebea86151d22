"""`pytest -m paper`: what refilled lanes save where an attack has the study's length and the queue
is long.
"""

import time

import numpy as np
import pytest
from test_refill import counted, fixed_batches

import jaxadv
from jaxadv.api import run_attacks
from jaxadv.core.classifier import load_classifier
from jaxadv.data import digits

pytestmark = pytest.mark.paper
LANES, RATIO = 64, 2.0


def test_refilled_lanes_take_half_the_steps_of_fixed_batches():
    """A few images that fail use all 9 x 1000 steps, most a fifth of them: a batch that waits has
    one of the few in it ever so often.
    """
    classifier = load_classifier("mobilenet_v1_025")
    data = digits.load("test", classifier.input_size)
    right = classifier.predict(data.images) == data.labels
    images, labels = data.images[right], data.labels[right]
    attack = jaxadv.CarliniWagnerL2(confidence=0.0, steps=1000, search_steps=9, learning_rate=0.01)
    with counted(classifier.oracle) as asked:
        start = time.monotonic()
        result = run_attacks(
            classifier,
            [attack] * len(images),
            images,
            labels,
            np.zeros(len(images), bool),
            lanes=LANES,
        )
        seconds = time.monotonic() - start
    usual = fixed_batches(result.details["iterations"], LANES)
    print(
        f"{len(images) / seconds:.2f} images/s, {len(asked)} steps; fixed batches {usual}, "
        f"{usual / len(asked):.2f} times as many"
    )
    assert usual >= RATIO * len(asked)
