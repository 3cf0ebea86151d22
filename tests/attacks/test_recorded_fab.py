"""FAB towards classes and without, against the recordings of golden/modern, image by image."""

import driven
import numpy as np
import pytest

from jaxadv.attacks.fab import FAB

NORMS = {"Linf": np.inf, "L2": 2, "L1": 1}


def run(net: str, norm: str, ks, dtype=np.float32, observe=lambda state: ()):
    """Distances (len(ks), 16) of FAB towards the k-th largest clean logits, and what was seen."""
    fields = [driven.fields(f"fab_{net}", f"{norm}__k{k}") for k in ks]
    queue = driven.joined(*(driven.items(net, others=known["target"][:, None]) for known in fields))
    result, seen = driven.drive(
        FAB(norm=NORMS[norm], targets=1), queue, net, dtype=dtype, observe=observe
    )
    return result.details["distance"].reshape(len(ks), -1), fields, seen


def assert_near(found: np.ndarray, known: np.ndarray) -> None:
    """Both succeed at all images; 95 % within 1e-3, half within 1e-4."""
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(known))
    apart = driven.differences(found, known)
    assert (apart < 1e-3).mean() >= 0.95, np.sort(apart)[-8:]
    assert np.median(apart) < 1e-4


def test_towards_the_runner_up():
    found, (known,), alpha = run("smooth", "Linf", [2], observe=lambda state: state.alpha)
    assert_near(found[0], known["norm"])
    np.testing.assert_allclose(alpha[:3, :4], known["alpha"][:3], rtol=1e-3, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("net", ["smooth", "tiny"])
def test_towards_every_class(net, norm):
    ks = range(2, 11)
    found, fields, _ = run(net, norm, ks)
    assert_near(found, np.stack([known["norm"] for known in fields]))


@pytest.mark.long
@pytest.mark.parametrize("norm", NORMS)
def test_in_double_precision(norm):
    """On the net without kinks nothing is left of rounding: the reference's own worst is 2e-14."""
    found, fields, _ = run("smooth", norm, [2, 3], np.float64)
    apart = driven.differences(found, np.stack([known["norm64"] for known in fields]))
    assert apart.max() < 1e-6


@pytest.mark.long
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("net", ["smooth", "tiny"])
def test_to_the_nearest_of_all_boundaries(net, norm):
    known = driven.fields(f"fab_{net}", f"{norm}__untargeted")
    steps = len(known["trace"])  # 30 or 100
    probe = FAB(norm=NORMS[norm], steps=steps, all_classes=True)
    result, _ = driven.drive(probe, driven.items(net), net)
    assert_near(result.details["distance"], known["norm"])
    assert (result.gradients == 10 * steps).all() and (result.forwards == steps).all()
