"""The usual families of timm as PyTorch exports them to ONNX: proven against the file, and compared
with the network that was exported."""

import gc
import warnings

import jax
import numpy as np
import pytest
from exported import export
from timm_networks import CLASSES, SETTINGS, shaken

import jaxadv
from jaxadv.foreign import trust
from jaxadv.foreign.pytorch import original

pytestmark = [pytest.mark.frameworks, pytest.mark.slow]
QUICK = ("vit_tiny_patch16_224",)
NEW = ("resnet18", "vgg16_bn", "convnext_tiny", "deit_tiny_patch16_224", "mixer_s32_224")
"""Exported by PyTorch's new exporter; the others by the one that traces."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in SETTINGS],
)
def test_an_exported_network_of_timm_is_the_same_function(name, tmp_path):
    size, _ = SETTINGS[name]
    module, path = shaken(name), tmp_path / f"{name}.onnx"
    export(module, path, size, opset=18 if name in NEW else 17, new=name in NEW)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*the gradient differs")
        classifier = jaxadv.from_onnx(path)
    proof = classifier.facts["proof"]
    assert classifier.num_classes == CLASSES
    assert proof["double"]["logits"] <= trust.DOUBLE, proof
    assert proof["single"]["logits"] <= trust.SINGLE, proof
    # The exporter folds normalisation into kernels in single precision.
    images = trust.test_images(size).astype(np.float32)
    weights = np.eye(CLASSES, dtype=np.float32)[[3, 7]]
    found = classifier.logits_and_gradient(images, weights)
    theirs = original(module, ((0.0,) * 3, (1.0,) * 3))(images, weights)
    differ = trust.differences(tuple(map(np.asarray, found)), theirs)
    assert differ.logits <= 1e-4 and differ.gradient <= trust.GRADIENT, differ
    jax.clear_caches()
    gc.collect()
