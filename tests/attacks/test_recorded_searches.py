"""DDN, FMN, PDPGD and ALMA against the recordings of golden/modern, image by image."""

import driven
import numpy as np
import pytest

from jaxadv.attacks.alma import ALMA
from jaxadv.attacks.ddn import DDN
from jaxadv.attacks.fmn import FMN
from jaxadv.attacks.pdpgd import PDPGD

NORMS = {"L0": 0, "L1": 1, "L2": 2, "Linf": np.inf}
KINDS = ("untargeted", "random")


def probe_of(name: str, steps: int):
    """(the attack that a recorded name stands for, the norm of its distance)"""
    attack, _, norm = name.partition("_")
    if attack == "ddn":
        return DDN(steps, levels=0 if norm else 256), "L2"
    if attack == "pdgd":
        return PDPGD(2, steps, proximal=False), "L2"
    made = {"fmn": FMN, "pdpgd": PDPGD, "alma": ALMA}[attack]
    released = {} if attack == "pdpgd" else {"as_released": True}
    return made(NORMS[norm], steps, **released), norm


def compared(net: str, name: str, steps: int, kind: str, dtype=np.float32):
    """(found and recorded flags, found and recorded distances) of one setting."""
    known = driven.fields(f"advlib_{net}", f"{name}__{steps}__{kind}")
    probe, norm = probe_of(name, steps)
    count = len(known["found"])
    result, _ = driven.drive(probe, driven.items(net, kind, images=count), net, dtype=dtype)
    end = "64" if dtype == np.float64 else ""
    distances = np.where(known["success"], known[norm + end], np.nan)
    return (result.found, known["found" + end]), (result.details["distance"], distances)


def assert_near(net, name, steps, *, within: float, share: float, median: float, kinds=KINDS):
    """The share is of both kinds together: one of the 16 images of a kind is more than 5 % of it."""
    found = []
    for kind in kinds:
        flags, distances = compared(net, name, steps, kind)
        assert (flags[0] == flags[1]).mean() >= 0.97, kind
        found.append(driven.differences(*distances))
        assert not len(found[-1]) or np.median(found[-1]) < median, kind
    apart = np.concatenate(found)
    assert not len(apart) or (apart < within).mean() >= share, np.sort(apart)[-6:]


@pytest.mark.parametrize("name", ["ddn", "fmn_L2", "fmn_Linf"])
def test_a_few_short_ones(name):
    assert_near("smooth", name, 100, within=1e-3, share=0.95, median=1e-4, kinds=["random"])


@pytest.mark.long
@pytest.mark.parametrize("net", ["smooth", "tiny"])
@pytest.mark.parametrize("name", ["ddn", "ddn_nolevels", "fmn_L0", "fmn_L1", "fmn_L2", "fmn_Linf"])
def test_short(net, name):
    assert_near(net, name, 100, within=1e-3, share=0.95, median=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("net", ["smooth", "tiny"])
@pytest.mark.parametrize("name", ["ddn", "fmn_L0", "fmn_L1", "fmn_L2", "fmn_Linf"])
def test_long(net, name):
    assert_near(net, name, 1000, within=1e-2, share=0.90, median=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("name", ["pdgd", "pdpgd_L1", "pdpgd_L2", "pdpgd_Linf"])
def test_primal_dual_steps(name):
    """The recording's own repetition has 94 % within 1e-4; in L0 up to 50 % differ, which says
    nothing.
    """
    assert_near("smooth", name, 100, within=1e-3, share=0.9, median=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("name", ["alma_L1", "alma_L2"])
def test_the_augmented_lagrangian(name):
    """Chaotic from step 30 on. The recording's own repetition has 89 % of 32 images and both kinds
    within 1e-2.

    In double precision all agree in L2. In L1 four or five of 31 differ by up to 3e-4: how the
    processor rounds decides which.
    """
    apart, sharp = [], []
    for kind in KINDS:
        flags, distances = compared("smooth", name, 100, kind)
        assert (flags[0] == flags[1]).mean() >= 0.97, kind
        apart.append(driven.differences(*distances))
        flags, distances = compared("smooth", name, 100, kind, np.float64)
        np.testing.assert_array_equal(*flags)
        sharp.append(driven.differences(*distances))
    apart, sharp = np.concatenate(apart), np.concatenate(sharp)
    assert (sharp < 1e-6).mean() >= (26 / 31 if name == "alma_L1" else 1), np.sort(sharp)[-4:]
    assert sharp.max() < 1e-3  # the same walk, with double precision's own rounding grown
    # In float32, L1 is the more chaotic one: its sign of every value of the perturbation counts.
    median, share = (5e-3, 0.6) if name == "alma_L1" else (1e-3, 0.8)
    assert np.median(apart) < median
    assert (apart < 1e-2).mean() >= share, np.sort(apart)


@pytest.mark.long
@pytest.mark.parametrize("net", ["smooth", "tiny"])
@pytest.mark.parametrize("name", ["ddn", "ddn_nolevels", "fmn_L0", "fmn_L1", "fmn_L2", "fmn_Linf"])
def test_walks_in_double_precision(net, name):
    assert_the_same(net, name, within=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("name", ["pdgd", "pdpgd_L1", "pdpgd_L2"])
def test_primal_dual_steps_in_double_precision(name):
    assert_the_same("smooth", name, within=1e-6)


def assert_the_same(net: str, name: str, *, within: float) -> None:
    for kind in KINDS:
        flags, distances = compared(net, name, 100, kind, np.float64)
        np.testing.assert_array_equal(*flags)
        apart = driven.differences(*distances)
        assert apart.max(initial=0) < within, (kind, apart.max())
