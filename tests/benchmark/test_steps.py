"""The share of a step that is the network's, for every attack of the bench."""

import pytest
from models import random_linear

from jaxadv.benchmark import bench, steps


@pytest.mark.slow
def test_every_attack_has_a_share():
    found = steps.measure(random_linear(3, 5), lanes=2, turns=1)
    assert set(found) == set(bench.probes(8)) - {"clever"}
    assert all(0 < share < 100 for share in found.values())
