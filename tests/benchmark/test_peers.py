"""AutoAttack and searches beside other packages: the same network, and evaluations counted."""

import numpy as np
import pytest

from jaxadv.benchmark import peers
from jaxadv.core.classifier import Classifier

SCALE = peers.Scale(images=2, steps=3, queries=4, search_steps=3)


@pytest.mark.slow
def test_a_row_for_each_attack_and_tool(monkeypatch):
    monkeypatch.setattr(peers, "_imported", lambda name: None)
    rows = {row["attack"]: row for row in peers.measure(SCALE).to_dict("records")}
    assert len(rows) == 4 and all(row["tool"] == "jaxadv" for row in rows.values())
    assert all(row["images_per_second"] > 0 for row in rows.values())
    assert (rows["ddn"]["gradients"], rows["ddn"]["forwards"]) == (3, 1)
    assert 0 < rows["autoattack"]["gradients"] <= 4 + 9 * 4 + 9 * 3


@pytest.mark.frameworks
def test_pytorch_has_the_same_network_and_counts_its_images():
    torch = pytest.importorskip("torch")
    params = peers.weights(0)
    images = np.random.default_rng(2).uniform(size=(2, 32, 32, 3)).astype(np.float32)
    classifier = Classifier(peers.apply, params, input_size=32, num_classes=10, name="net")
    network = peers.module(params)

    def attack(model, given, labels):
        point = given.clone().requires_grad_()
        logits.append(model(point).detach().numpy())
        with torch.no_grad():
            model(given)
        return given

    logits: list[np.ndarray] = []
    done = peers.theirs(attack, network, images, np.zeros(2))
    np.testing.assert_allclose(logits[0], classifier.logits(images), atol=1e-4)
    np.testing.assert_array_equal(done.adversarial, images)
    assert (done.gradients, done.forwards) == (1, 1)
