"""Attacks beside other packages: the same networks, settings and answers, and evaluations
counted.
"""

import numpy as np
import pandas as pd
import pytest

from jaxadv.benchmark import peer_attacks, peer_networks, peers
from model_ports.errors import InputError

SCALE = peer_attacks.Scale(
    eps=1 / 255,
    steps=3,
    const_steps=30,
    ensemble_steps=3,
    queries=4,
    search_steps=3,
    batches=10,
    samples=16,
    scored_images=2,
)
HERE = ("fgsm", "ifgsm", "cw", "ead", "autoattack", "ddn", "fmn_l2", "fmn_linf", "clever")


def test_networks_are_of_three_sizes():
    sizes = {name: one.multiplications() for name, one in peer_networks.DESIGNS.items()}
    np.testing.assert_allclose(
        [sizes["tiny"], sizes["small"], sizes["large"]], [1e5, 3e7, 1.04e9], rtol=0.2
    )


@pytest.mark.parametrize("name", ["tensorfool", ""])
def test_an_unknown_package_is_one_line(name):
    with pytest.raises(InputError, match="give some of pytorch, foolbox"):
        peers.check([name])


def test_a_package_that_is_missing_is_one_line(monkeypatch):
    missing = peer_attacks.Peer("jaxadv_is_alone", peer_attacks.here)
    monkeypatch.setitem(peers.PEERS, "alone", missing)
    with pytest.raises(
        InputError, match=r"jaxadv_is_alone cannot be.*pip install 'jaxadv\[peers\]'"
    ):
        peers.check(["alone"])


@pytest.mark.long
def test_a_table_without_another_package(tmp_path, monkeypatch):
    """Beside itself, everything agrees."""
    monkeypatch.setitem(peers.PEERS, "alone", peer_attacks.Peer("json", peer_attacks.here))
    made = peers.run(
        ["alone"], out=tmp_path, turns=1, networks=["tiny"], scale=SCALE, progress=False
    )
    assert list(made.attack.unique()) == list(HERE) and len(made) == 2 * len(HERE)
    assert (made.items_per_second > 0).all() and (made.times > 0).all()
    assert (made.agreement.dropna() == 1).all() and made.agreement.notna().sum() >= 14
    counted = made[made.tool == "jaxadv"].set_index("attack")
    expected = {"fgsm": (1, 1), "ifgsm": (3, 1), "cw": (90, 1), "ead": (90, 91), "ddn": (3, 1)}
    for attack, numbers in expected.items():
        assert tuple(counted.loc[attack, ["gradients", "forwards"]]) == numbers, attack
    again = pd.read_csv(tmp_path / "peers.csv")
    assert list(again) == list(peers.COLUMNS) and len(again) == len(made)
    assert "| autoattack |" in (tmp_path / "peers.md").read_text()
