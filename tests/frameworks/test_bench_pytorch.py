"""bench beside PyTorch: timm has every network that the table names."""

import numpy as np
import pytest

from jaxadv.benchmark import beside_pytorch
from jaxadv.benchmark import pytorch as pytorch_speed
from model_ports import registry
from model_ports.convert import frameworks
from model_ports.errors import InputError

pytestmark = pytest.mark.frameworks


def test_timm_has_the_networks():
    timm = frameworks.timm()
    assert set(pytorch_speed.TIMM) <= {spec.name for spec in registry.MODELS}
    assert all(timm.is_model(name) for name in pytorch_speed.TIMM.values())


def test_a_gradient_is_computed():
    images, targets = np.full((2, 64, 64, 3), 0.5, np.float32), np.array([1, 2], np.int32)
    pytorch_speed.gradient_of("mobilenet_v1_100", images, targets)(2)
    assert pytorch_speed.gradient_of("alexnet", images, targets) is None


def test_one_of_the_18_stands_beside_timms():
    speed = beside_pytorch.measure("mobilenet_v1_100", images=1, turns=1, input_size=64)
    assert speed.pixels == 64
    assert all(min(times.here + times.theirs) > 0 for times in (speed.gradient, speed.logits))
    # A gradient at 64 pixels takes a few MB of arrays here and there. Without glibc it is not known.
    assert all(0 < each < 200 for each in speed.megabytes) or np.isnan(speed.megabytes).all()
    with pytest.raises(InputError, match="'alexnet'.*known: vgg_16"):
        beside_pytorch.measure("alexnet", images=1, turns=1)
