"""bench --peers: the same networks in PyTorch, and the same answers of other packages."""

import inspect

import numpy as np
import pytest

from jaxadv.benchmark import peer_attacks, peers

pytestmark = pytest.mark.frameworks
SCALE = peer_attacks.Scale(eps=1 / 255, steps=3)


def task(name: str) -> peer_attacks.Task:
    return peers._task(name, SCALE)


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_pytorch_has_the_same_network_and_counts_its_images(name):
    import torch

    given = task(name)
    images = torch.tensor(given.images.transpose(0, 3, 1, 2).copy())
    logits = given.module(images).numpy()
    np.testing.assert_allclose(logits, given.clf.logits(given.images), atol=2e-4)
    given.module(images[:2].requires_grad_())
    assert (given.module.forwards, given.module.gradients) == (len(images), 2)


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


@pytest.mark.long
@pytest.mark.parametrize("name", ["foolbox", "foolbox_jax", "torchattacks", "art"])
def test_other_packages_give_the_same_answers(name):
    """C&W to 0.3 %. ART's EAD has a search of its own. For Foolbox's see below."""
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


@pytest.mark.long
def test_ead_is_foolboxs_but_for_the_count_of_its_momentum(monkeypatch):
    """Foolbox counts iterations from 0 as the paper does, the study's release from 1."""
    foolbox = pytest.importorskip("foolbox")
    ead = foolbox.attacks.ead
    source = inspect.getsource(ead.EADAttack)
    assert "iteration / (iteration + 3.0)" in source
    changed = source.replace("iteration / (iteration + 3.0)", "(iteration + 1) / (iteration + 4)")
    names = dict(vars(ead))
    exec(changed, names)
    monkeypatch.setattr(foolbox.attacks, "EADAttack", names["EADAttack"])
    given = peers._task("tiny", peer_attacks.Scale())
    works = peer_attacks.here(given), peer_attacks.PEERS["foolbox"].attacks(given)
    moved = [each["ead"]().adversarial - given.images for each in works]
    ours, theirs = (np.linalg.norm(each.reshape(len(each), -1), axis=1) for each in moved)
    np.testing.assert_allclose(theirs, ours, rtol=1e-3)
