"""The usual families of timm with random weights: proven against PyTorch in double and in single
precision."""

import gc
import warnings

import jax
import numpy as np
import pytest
from timm_networks import CLASSES, SETTINGS, shaken

import jaxadv
from jaxadv.foreign import trust

pytestmark = [pytest.mark.frameworks, pytest.mark.slow]
OTHER_LANES = ("resnet18", "efficientnet_b0", "vit_tiny_patch16_224")


@pytest.mark.few("resnet18", "vit_tiny_patch16_224", slow=())
@pytest.mark.parametrize("name", SETTINGS)
def test_a_network_of_timm_is_the_same_function(name):
    size, _ = SETTINGS[name]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*the gradient differs")  # one unit that rounding flips
        classifier = jaxadv.from_torch(shaken(name), input_size=size)
    proof = classifier.facts["proof"]
    assert classifier.num_classes == CLASSES and classifier.name == name
    assert proof["double"]["logits"] <= trust.DOUBLE and proof["double"]["gradient"] <= trust.DOUBLE
    assert proof["single"]["logits"] <= trust.SINGLE, proof
    if name in OTHER_LANES:
        images = trust.test_images(size).astype(np.float32)
        weights = np.eye(CLASSES, dtype=np.float32)[[3, 7]]
        both = classifier.logits_and_gradient(images, weights)
        alone = [
            classifier.logits_and_gradient(images[i : i + 1], weights[i : i + 1]) for i in (0, 1)
        ]
        for found, of_one in zip(both, zip(*alone, strict=True), strict=True):
            assert trust.relative(np.asarray(found), np.concatenate(of_one)) < 1e-4
    jax.clear_caches()
    gc.collect()
