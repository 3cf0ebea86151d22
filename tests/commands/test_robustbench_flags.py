"""flags/robustbench/: budgets, images and attacks as RobustBench has them, and the embedded zoo
without data.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from jaxadv.commands import cli, evaluate, options

FILES = Path(__file__).parents[2] / "flags" / "robustbench"
OWN = ("autoattack", "fmn")
VAL = ["--data=imagefolder:VAL", "--weights_dir=WEIGHTS", "--models=resnet_v2_50"]


def flags_of(name: str, *more: str) -> SimpleNamespace:
    with flagsaver.flagsaver():
        cli.parse(["run.py", f"--flagfile={FILES / name}.flags", *more])
        return SimpleNamespace(
            **{flag: flags.FLAGS[flag].value for group in options.GROUPS.values() for flag in group}
        )


def attacks_of(given: SimpleNamespace) -> dict:
    return {one.attack: one.probe for one in evaluate.settings_of(given).attempts()}


def test_imagenet_at_four_levels():
    given = flags_of("linf", *VAL)
    attack = attacks_of(given)["autoattack"]
    assert (attack.eps, attack.norm, attack.stages) == (4 / 255, np.inf, "standard")
    assert (attack.steps, attack.queries, attack.targets) == (100, 5000, 9)
    assert (given.zoo, given.selection, given.preprocessing) == (
        *("imagenet", "robustbench"),
        "resize-256-crop",
    )


@pytest.mark.parametrize(
    ("name", "eps", "norm", "search"),
    [("linf", 8 / 255, np.inf, "fmn"), ("l2", 0.5, 2, "ddn")],
)
def test_cifar_with_own_networks(name, eps, norm, search):
    mine = ["--data=npz:cifar10_test.npz", "--models=none", "--model_module=mine.py:networks"]
    more = ["--autoattack_eps=8/255", "--selection=first"] if name == "linf" else []
    attacks = attacks_of(flags_of(name, *mine, *more))
    assert set(attacks) == {"autoattack", search}
    assert (attacks["autoattack"].eps, attacks["autoattack"].norm) == (eps, norm)


def test_an_image_that_stands_takes_as_many_evaluations_as_the_files_say():
    for name in ("linf", "l2"):
        given = flags_of(name, *VAL)
        gradients, forwards = attacks_of(given)["autoattack"].schedule.evaluations()
        judged = forwards + 4  # after each stage
        told = f"at most {gradients} gradients and {judged:,} forward passes"
        assert told in (FILES / f"{name}.flags").read_text()


def test_without_data_it_is_the_embedded_zoo():
    given = flags_of("linf")
    assert given.zoo == "digits" and given.attacked_images == 16
    attack = attacks_of(given)["autoattack"]
    assert (attack.steps, attack.queries, attack.targets) == (10, 50, 3)  # the embedded job's


def test_the_embedded_job_has_robust_accuracy_at_one_budget_and_a_curve():
    with flagsaver.flagsaver():
        cli.parse(["run.py"])
        names = [flag for group in options.GROUPS.values() for flag in group]
        given = SimpleNamespace(**{flag: flags.FLAGS[flag].value for flag in names})
    attempts = [one for one in evaluate.settings_of(given).attempts() if one.attack in OWN]
    assert [(one.attack, one.target_kind) for one in attempts] == [
        ("autoattack", "untargeted"),
        ("fmn", "untargeted"),
    ]
    budget, search = (one.probe for one in attempts)
    assert (budget.eps, budget.norm, budget.stages) == (3 / 255, np.inf, "standard")
    assert search.norm == budget.norm  # so that the page holds one against the other
