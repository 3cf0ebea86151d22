"""What a notebook shows of results: their repr, tables and pictures."""

import numpy as np
import pandas as pd
import pytest
from models import inner_images, random_linear

import jaxadv
from jaxadv.core.result import AttackResult
from model_ports.errors import InputError

COUNT = 6


@pytest.fixture(scope="module")
def attacked():
    """A linear classifier of 3 classes, images, labels, and an attack that fails on some of
    them.
    """
    classifier, images = random_linear(3, 3, scale=0.3), inner_images(4, COUNT)
    labels = classifier.predict(images)
    result = jaxadv.run_attack(
        classifier, jaxadv.IFGSM(initial_eps=0.0008, attempts=2, steps=2), images, labels
    )
    assert 0 < result.success.sum() < COUNT
    return images, labels, result


@pytest.fixture(scope="module")
def scored():
    classifier, images = random_linear(3, 3, scale=0.3), inner_images(4, COUNT)
    labels = classifier.predict(images)
    return labels, jaxadv.clever_scores(
        classifier, images, labels, (labels + 1) % 3, norms=(2, np.inf), batches=5, samples=2
    )


def test_a_repr_says_what_it_is_in_a_line(attacked, scored):
    _, _, result = attacked
    successes = int(result.success.sum())
    text = repr(result)
    assert text.startswith(
        f"<AttackResult: 6 images of 8 x 8 pixels, {successes} fooled ({100 * successes / 6:.0f} "
        "%); median l1 "
    )
    assert f"l2 {np.median(result.l2[result.success]):.3g}" in text
    _, scores = scored
    l2, linf = np.median(scores.score, axis=0)
    assert (
        repr(scores)
        == f"<CleverResult: 6 images, 5 batches; median score {l2:.3g} in l2, {linf:.3g} in linf>"
    )
    assert max(len(repr(result)), len(repr(scores))) < 160


def test_a_repr_of_targets_and_of_nothing(attacked):
    images, labels, result = attacked
    classifier = random_linear(3, 3, scale=0.3)
    targeted = jaxadv.run_attack(classifier, jaxadv.FGSM(1e-6), images, labels, (labels + 1) % 3)
    assert repr(targeted) == "<AttackResult: 6 images of 8 x 8 pixels, 0 reached the target (0 %)>"
    assert repr(result.part(slice(0, 0))) == "<AttackResult: 0 images of 8 x 8 pixels>"
    empty = jaxadv.clever_scores(
        classifier, images[:0], labels[:0], labels[:0], batches=2, samples=1
    )
    assert repr(empty) == "<CleverResult: 0 images, 2 batches>"
    assert result.part(slice(0, 0)).summary().loc["l2", "n"] == 0 and list(
        empty.summary()["n"]
    ) == [0, 0, 0]


def test_rows_are_a_data_frame(attacked):
    images, labels, result = attacked
    rows = result.to_pandas()
    assert len(rows) == COUNT and rows.index.name == "image"
    for column, values in {
        "class": labels,
        "success": result.success,
        "l2": result.l2,
        "forwards": result.forwards,
    }.items():
        np.testing.assert_array_equal(rows[column], values)
    np.testing.assert_array_equal(rows["best_eps"], result.details["best_eps"])
    assert "eps" not in rows and not rows["targeted"].any()
    pd.testing.assert_frame_equal(
        result.part(slice(2, 4)).to_pandas().reset_index(drop=True),
        rows[2:4].reset_index(drop=True),
    )


def test_a_summary_counts_successes_and_measures_them_alone(attacked):
    _, _, result = attacked
    table = result.summary()
    assert list(table.index) == ["success", "l0", "l1", "l2", "linf", "gradients", "forwards"]
    distances = result.l2[result.success].astype(float)
    expected = [
        len(distances),
        distances.mean(),
        np.median(distances),
        distances.min(),
        distances.max(),
    ]
    np.testing.assert_allclose(
        table.loc["l2", ["n", "mean", "median", "min", "max"]].to_numpy(float), expected
    )
    assert (
        table.loc["success", "n"] == COUNT and table.loc["success", "mean"] == result.success.mean()
    )


def test_scores_are_rows_and_a_summary(scored):
    labels, scores = scored
    rows = scores.to_pandas()
    assert list(rows["norm"][:2]) == ["l2", "linf"] and len(rows) == 2 * COUNT
    np.testing.assert_array_equal(rows.loc[rows["norm"] == "linf", "score"], scores.score[:, 1])
    np.testing.assert_array_equal(rows.loc[rows["norm"] == "l2", "label"], labels)
    np.testing.assert_array_equal(
        rows.loc[rows["norm"] == "l2", "lipschitz"], scores.fit.lipschitz[:, 0]
    )
    table = scores.summary()
    np.testing.assert_allclose(table["median"], np.median(scores.score.astype(float), axis=0))
    assert table["not_fitted"].tolist() == np.isnan(scores.fit.shape).sum(0).tolist()


def test_a_plot_has_clean_adversarial_and_difference(attacked):
    images, labels, result = attacked
    figure = result.plot([5, 0])
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert len(shown) == 6
    fooled = int(np.flatnonzero(result.success)[0])
    figure = result.plot([fooled])
    clean, adversarial, difference = (
        np.asarray(axes.images[0].get_array()) for axes in figure.axes
    )
    np.testing.assert_array_equal(clean, images[fooled])
    np.testing.assert_array_equal(adversarial, result.adversarial[fooled])
    moved = result.adversarial[fooled] - images[fooled]
    np.testing.assert_allclose(difference, 0.5 + 0.5 * moved / np.abs(moved).max(), atol=1e-6)
    titles = [axes.get_title() for axes in figure.axes]
    assert (
        titles[0] == f"image {fooled}, true class {labels[fooled]}"
        and titles[1] == f"success: class {result.predicted[fooled]}"
    )
    failed = int(np.flatnonzero(~result.success)[0])
    assert result.plot([failed]).axes[2].get_title() == "no difference"
    assert len(result.plot().axes) == 12
    figure.canvas.draw()


@pytest.mark.parametrize("images", [[6], [-1], [], [0.5], 3, np.zeros(0, int), [[0]]])
def test_a_plot_of_what_is_not_there_is_one_line(attacked, images):
    with pytest.raises(InputError, match="give at least one image number, from 0 to 5"):
        attacked[2].plot(images)


def test_an_image_that_did_not_move_has_a_grey_difference(attacked):
    result = attacked[2]
    failed = int(np.flatnonzero(~result.success)[0])
    figure = result.plot([failed, failed, failed])
    assert (np.asarray(figure.axes[2].images[0].get_array()) == 0.5).all()
    assert figure.axes[0].get_title().startswith(f"image {failed}, true class")
    assert figure.get_size_inches().tolist() == pytest.approx([6.6, 3 * 2.4])


def test_a_result_of_targets_and_of_invalid_attempts():
    """By hand: image 0 reached its target, image 1 is invalid, image 2 was not fooled."""
    pixels, count = np.zeros((3, 2, 4, 3), np.float32), np.full(3, 7, np.int32)
    no, distance = np.zeros(3, bool), np.array([0.5, np.nan, np.nan], np.float32)
    success = np.array([True, False, False])
    result = AttackResult(
        adversarial=pixels,
        success=success,
        near_tie=no,
        revoked=no,
        invalid=np.array([False, True, False]),
        zero_gradient=no,
        predicted=np.array([4, -1, 5], np.int32),
        l0=distance,
        l1=distance,
        l2=distance,
        linf=distance,
        gradients=count,
        forwards=count,
        details={"eps": np.zeros((3, 2)), "loss": np.array([1.0, 2.0, 3.0])},
        clean=pixels,
        classes=np.array([4, 5, 5], np.int32),
        targeted=np.array([True, False, False]),
    )
    assert repr(result) == (
        "<AttackResult: 3 images of 2 x 4 pixels, 1 succeeded (33 %), 1 with NaN or infinite "
        "logits or gradients; median l1 0.5, l2 0.5, linf 0.5>"
    )
    table = result.summary()
    assert table.loc["success"].tolist() == [2, 0.5, 0.5, 0, 1]
    assert table.loc["l2"].tolist() == [1, 0.5, 0.5, 0.5, 0.5]
    rows = result.to_pandas()
    assert rows["loss"].tolist() == [1, 2, 3] and "eps" not in rows
    assert rows["class"].tolist() == [4, 5, 5] and rows["invalid"].tolist() == [False, True, False]
    failures = result.part(slice(1, 3))
    assert failures.summary().loc["l1", "n"] == 0 and np.isnan(failures.summary().loc["l1", "mean"])
    assert repr(failures) == (
        "<AttackResult: 2 images of 2 x 4 pixels, 0 fooled (0 %), 1 with NaN or infinite logits "
        "or gradients>"
    )
