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


@pytest.mark.slow
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


def task(name: str) -> peer_attacks.Task:
    return peers._task(name, SCALE)


@pytest.mark.frameworks
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_pytorch_has_the_same_network_and_counts_its_images(name):
    import torch

    given = task(name)
    images = torch.tensor(given.images.transpose(0, 3, 1, 2).copy())
    logits = given.module(images).numpy()
    np.testing.assert_allclose(logits, given.clf.logits(given.images), atol=2e-4)
    given.module(images[:2].requires_grad_())
    assert (given.module.forwards, given.module.gradients) == (len(images), 2)


@pytest.mark.frameworks
def test_attacks_written_in_pytorch_give_the_same_images(tmp_path):
    made = peers.run(
        ["pytorch"], out=tmp_path, turns=1, networks=["tiny"], scale=SCALE, progress=False
    )
    table = made.set_index(["attack", "tool"])
    for attack, gradients in (("fgsm", 1), ("ifgsm", 3)):
        ours, theirs = table.loc[attack, "jaxadv"], table.loc[attack, "pytorch"]
        assert ours.success_percent == theirs.success_percent > 0
        assert abs(theirs.agreement - 1) < 1e-5
        assert theirs.gradients == gradients and theirs.forwards == 1


@pytest.mark.frameworks
@pytest.mark.long
@pytest.mark.parametrize("name", ["foolbox", "foolbox_jax", "torchattacks", "art"])
def test_other_packages_give_the_same_answers(name):
    """C&W to 0.3 %. EAD differs, as Foolbox's and ART's steps are other than the paper's."""
    pytest.importorskip(peer_attacks.PEERS[name].package)
    given = peers._task("tiny", peer_attacks.Scale(scored_images=2))
    ours, theirs = peer_attacks.here(given), peer_attacks.PEERS[name].attacks(given)
    for attack, limit in (("fgsm", 1e-5), ("ifgsm", 1e-5), ("cw", 3e-3)):
        if attack in theirs and (name, attack) != ("art", "cw"):  # it has a search of its own
            answers = [each[attack]() for each in (ours, theirs)]
            both = np.logical_and(*(peers._fooled(given, done) for done in answers))
            assert both.any()
            mine, other = (peers._mean_l2(given, done, both) for done in answers)
            assert abs(other / mine - 1) < limit, (attack, mine, other)
