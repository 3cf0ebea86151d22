"""--precision=auto: what the rule says of measured answers, and of answers in simulated
precision.
"""

from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
import recorded
import simulated
from models import inner_images, random_linear

import jaxadv
from jaxadv.benchmark import tables
from jaxadv.benchmark.answers import Answers, Scale
from jaxadv.benchmark.cases import Case
from jaxadv.evaluation import precision, rates
from jaxadv.evaluation.evaluate import Evaluation

SHORT = Scale(steps=60, constants=2, attempts=5, ifgsm_steps=10)
MEASURED = Path(__file__).parents[2] / "results" / "accelerator" / "h200.csv"


def answers(*rows: tuple) -> pd.DataFrame:
    """Rows of (network, attack, changed, median change) of 295 images on the device "fast"."""
    named = pd.DataFrame(rows, columns=["network", "attack", "changed", "median_change"])
    return named.assign(device="fast", precision="default", images=295)


def test_an_attack_bears_one_other_success_and_half_a_percent_at_every_network():
    table = answers(("a", "cw", 1, -0.005), ("b", "cw", 0, 0.004), ("a", "ead", 0, 0.0))
    assert precision.choose(["cw", "ead"], "fast", table)[0] == "default"


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("a", "cw", 0, 0.0), ("b", "cw", 2, 0.0)], "cw has other successes (2 of 295)"),
        ([("a", "cw", 0, 0.0), ("b", "cw", 1, -0.0051)], "other distances (median -0.51 %)"),
        ([("a", "cw", 0, 0.001), ("b", "cw", 0, np.nan)], "cw has no distances to compare at b"),
        ([("a", "ead", 0, 0.0)], "cw has not been measured"),
        ([("a", "cw", 0, 0.001), ("b", "cw", 0, -0.02)], "other distances (median -2.00 %)"),
    ],
)
def test_what_one_network_does_not_bear_is_said(rows, why):
    chosen, told = precision.choose(["cw"], "fast", answers(*rows))
    assert chosen == "highest" and why in told


def test_of_clever_the_scores_are_compared():
    told = precision.choose(["clever"], "fast", answers(("a", "clever", 0, 0.01)))[1]
    assert told == "on fast: clever has other scores (median +1.00 %)"


def test_other_devices_and_precisions_do_not_count():
    bad = answers(("a", "cw", 9, 0.5))
    table = pd.concat(
        [answers(("a", "cw", 0, 0.0)), bad.assign(device="slow"), bad.assign(precision="bfloat16")]
    )
    assert precision.choose(["cw"], "fast", table)[0] == "default"
    assert precision.choose(["cw"], "slow", table)[0] == "highest"
    only = precision.choose(["cw"], "fast", bad.assign(precision="bfloat16"))
    assert only == ("highest", "attacks on fast have not been measured in other precisions")


def test_a_precision_that_is_asked_for_is_taken_without_a_word(capsys):
    assert precision.decided("bfloat16", ["cw"]) == "bfloat16"
    assert capsys.readouterr().err == ""


def test_a_device_that_was_not_measured_has_the_highest():
    chosen, told = precision.choose(["cw"], "slow", answers(("a", "cw", 0, 0.0)))
    assert (
        chosen == "highest" and told == "attacks on slow have not been measured in other precisions"
    )


def test_the_committed_tables_are_what_was_measured():
    rows = pd.read_csv(MEASURED)
    pd.testing.assert_frame_equal(rates.table(), tables.rates_of(rows), rtol=1e-4)
    pd.testing.assert_frame_equal(precision.table(), tables.answers_of(rows), rtol=1e-4)


def test_what_an_h200_bears():
    """TF32: the search of I-FGSM alone. C&W takes 4 images for fooled that are not."""
    chosen = {
        one: precision.choose([one], "NVIDIA H200")[0]
        for one in ("ifgsm_search", "cw", "ead", "clever")
    }
    assert chosen == {
        "ifgsm_search": "default",
        "cw": "highest",
        "ead": "highest",
        "clever": "highest",
    }
    assert "4 of 295" in precision.choose(["ifgsm_search", "cw"], "NVIDIA H200")[1]


def test_an_evaluation_has_the_precision_that_its_attacks_bear(monkeypatch, capsys):
    device = jax.local_devices()[0].device_kind
    table = answers(("a", "fgsm", 0, 0.0)).assign(device=device)
    monkeypatch.setattr(precision, "table", lambda: table)
    network, images = random_linear(0, 3), inner_images(1, 4)

    def chosen(**more) -> str:
        settings = jaxadv.Settings(parts=("attacks",), precision="auto", **more)
        evaluation = Evaluation.of([network], (images, np.zeros(4, int)), settings)
        return evaluation.job.settings.precision

    assert chosen(attacks=(jaxadv.FGSM(eps=0.1),)) == "default"
    assert chosen(attacks=(jaxadv.FGSM(eps=0.1), jaxadv.IFGSM(eps=0.1, steps=2))) == "highest"
    assert "precision auto is highest: on" in capsys.readouterr().err


def test_the_simulation_rounds_both_operands_of_every_product():
    """1 + 2^-11 is 1 in TF32; products and sums keep float32's bits."""
    small, large = np.float32(1 + 2.0**-11), np.float32(1 + 2.0**-10)
    product = simulated.rounded(lambda left, right: jax.nn.relu(left @ right))
    ones = np.ones((1, 1), np.float32)
    assert product(small * ones, small * ones) == 1
    assert product(large * ones, large * ones) == large * large
    assert simulated.rounded(lambda left, right: left * right)(small, small) == small * small


class InTF32(Case):
    """A case whose "default" is TF32, as on a GPU."""

    def precise(self, variant: str) -> jaxadv.Classifier:
        other = super().precise(variant)
        if variant == "default":
            other.oracle.ask = simulated.in_tf32(self.classifier).oracle.ask
        return other


@pytest.fixture(scope="module")
def of_tiny(tmp_path_factory) -> pd.DataFrame:
    """Part b of one recorded net, with TF32 as it is simulated."""
    net = recorded.net("tiny")
    case = InTF32(net.classifier, np.tile(net.images, (4, 1, 1, 1)), np.arange(64))
    kept = Answers(tmp_path_factory.mktemp("b") / "images.csv", "cpu", SHORT)
    items = [
        each
        for each in kept.items({"tiny": case}, 1.0, 1.0)
        if each.what in ("rounding", "cw", "ifgsm_search") and each.precision != "nudged"
    ]
    rows = [
        dict(zip(("part", "network", "what", "precision"), each.key, strict=False)) | each.measure()
        for each in items
    ]
    return pd.DataFrame(rows)


@pytest.mark.long
def test_simulated_rounding_is_the_devices(of_tiny):
    """Of margins and gradients, as one H200 measured it at the same images: TF32 within a few
    percent.
    """
    names = ["margin_error", "largest_margin_error", "gradient_error"]
    measured = (
        pd.read_csv(MEASURED)
        .query("network == 'tiny' and what == 'rounding'")
        .set_index("precision")
    )
    ours = of_tiny[of_tiny["what"] == "rounding"].set_index("precision")
    np.testing.assert_allclose(
        ours.loc["default", names], measured.loc["default", names], rtol=0.05
    )
    np.testing.assert_allclose(
        ours.loc["bfloat16", names], measured.loc["bfloat16", names], rtol=0.5
    )


@pytest.mark.long
def test_the_rule_of_simulated_answers(of_tiny):
    """I-FGSM's search bears TF32, and C&W does not bear bfloat16: its logits see successes that are
    none.
    """
    constant = {"device": "cpu", "date": "", "jax": ""}
    rows = tables.answers_of(of_tiny.assign(**constant))
    assert precision.choose(["ifgsm_search"], "cpu", rows)[0] == "default"
    rough = rows[rows["precision"] == "bfloat16"]
    assert "cw has other successes" in precision.objection("cw", rough)
    counts = rough.set_index("attack")
    assert counts.loc["cw", "revoked"] == counts.loc["cw", "changed"] > 10
