"""Tests flags/paper/: every file parses, and runs in both zoos.

Its comments name the source of each setting.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from jaxadv.commands import cli, evaluate, options
from jaxadv.data import validation
from jaxadv.data.source import Source
from jaxadv.data.sources import open_source
from jaxadv.evaluation import plan
from jaxadv.evaluation.settings import Settings

PAPER = Path(__file__).parents[2] / "flags" / "paper"
NOT_FOUND = {  # what the study does not say, and we chose
    "table1": {"selection"},
    "fig1": {"eps", "steps", "confidence"},
    "fig2": set(),
    "fig3": set(),
    "fig4": set(),
    "fig5": set(),
    "fig6": set(),
    "fig7": set(),
    "fig8": set(),
    "fig9": set(),
    "fig10": set(),
    "clever": set(),
    "supplement_common": {"attacks", "eps", "steps"},
    "least_likely": {"eps", "steps"},
}
FROM_OUR_PROGRAM = {"zoo", "small", "parts", "attacks", "figures", "out"}
FULL_SIZE = ["--data=imagefolder:somewhere", "--weights_dir=somewhere"]


def flags_of(name: str, *more: str) -> SimpleNamespace:
    with flagsaver.flagsaver():
        cli.parse(["run.py", f"--flagfile={PAPER / name}.flags", *more])
        return SimpleNamespace(
            **{flag: flags.FLAGS[flag].value for group in options.GROUPS.values() for flag in group}
        )


def job_of(given: SimpleNamespace, source: Source) -> plan.Job:
    return plan.job(evaluate.settings_of(given), evaluate.networks_of(given)["models"], {}, source)


@pytest.fixture
def validation_set() -> Source:
    """ILSVRC2012's 50,000 validation images, of which nobody reads a pixel."""
    ids = np.arange(1, 50001)
    return Source(
        "imagefolder:somewhere",
        ids,
        validation.study_labels(),
        ids,
        1000,
        "",
        lambda *_: None,
        validation=True,
    )


def test_there_is_a_file_for_each_table_and_figure():
    assert {path.stem for path in PAPER.glob("*.flags")} == set(NOT_FOUND)


@pytest.mark.parametrize("name", NOT_FOUND)
def test_at_full_size_the_settings_are_the_studys(name, validation_set):
    given = flags_of(name, *FULL_SIZE)
    job = job_of(given, validation_set)
    assert given.zoo == "imagenet" and len(job.models) == 18 and given.out == f"results/{name}"
    assert len(job.chosen) == {"table1": 50000, "clever": 100}.get(
        name, 50000 if given.selection == "first" else 1000
    )
    assert (
        given.cw_search_steps,
        given.cw_steps,
        given.cw_learning_rate,
        given.cw_initial_const,
    ) == (9, 1000, ["0.002"], ["0.01"])
    assert (given.ead_search_steps, given.ead_steps, given.ead_learning_rate, given.ead_beta) == (
        9,
        1000,
        ["0.01"],
        ["0.001"],
    )
    assert (given.initial_eps, given.attempts, given.search_steps) == (["0.02"], 9, 50)
    assert (given.clever_batches, given.clever_samples) == (500, 1024)
    assert (
        given.clever_images == 100
        or "clever" not in job.settings.parts
        or given.selection == "clever100"
    )
    assert (
        job_of(
            flags_of(name, *FULL_SIZE, "--models=vgg_16", "--num_images=7"), validation_set
        ).chosen.size
        == 7
    )


@pytest.mark.parametrize("name", NOT_FOUND)
def test_on_the_embedded_zoo_amounts_are_those_of_the_embedded_job(name):
    given, full = flags_of(name), flags_of(name, *FULL_SIZE)
    job = job_of(given, open_source("digits"))
    assert given.zoo == given.data == "digits" and given.out == f"results/{name}"
    assert 8 <= given.attacked_images <= 24
    assert (given.cw_steps, given.ead_search_steps, given.search_steps, given.clever_batches) == (
        100,
        2,
        10,
        20,
    )
    alike = [
        flag
        for flag in ("parts", "attacks", "targets", "figures", "eps", "confidence")
        if flag in comments_of(name)
    ]
    assert [getattr(given, flag) for flag in alike] == [getattr(full, flag) for flag in alike]
    assert (
        flags_of(name, "--cw_steps=7").cw_steps
        == flags_of(name, *FULL_SIZE, "--cw_steps=7").cw_steps
        == 7
    )
    assert job.settings.parts[-1] == "report"


def comments_of(name: str) -> dict[str, str]:
    """The comment above each flag of a file."""
    comments, comment, last = {}, "", "#"
    for line in (PAPER / f"{name}.flags").read_text().splitlines():
        if line.startswith("#"):
            comment = f"{comment} {line}" if last.startswith("#") else line
        elif line:
            comments[line.removeprefix("--at_full_size=").lstrip("-").partition("=")[0]] = comment
        last = line
    return comments


@pytest.mark.parametrize("name", NOT_FOUND)
def test_comments_say_where_each_setting_is_from(name):
    comments, ours = comments_of(name), NOT_FOUND[name]
    settings = comments.keys() - (FROM_OUR_PROGRAM - ours)
    assert {flag for flag in settings if "# NF: " in comments[flag]} == ours
    for flag in settings - ours:
        assert any(tag in comments[flag] for tag in ("[C]", "[S]", "[H]", "[P]")), flag
    assert "# Time on the embedded zoo: " in (PAPER / f"{name}.flags").read_text()


@pytest.mark.parametrize("name", [*NOT_FOUND, "../study"])
def test_a_study_stands_for_zoo_data_and_weights(name, tmp_path):
    """In the place of --data and --weights_dir, for every file."""
    folder = tmp_path / "study"
    given = flags_of(name, f"--study={folder}")
    expected = flags_of(
        name, f"--data=imagefolder:{folder}/pictures", f"--weights_dir={folder}/weights"
    )
    assert given == expected and given.zoo == "imagenet"
    assert (
        f"--flagfile=flags/{'study' if 'study' in name else f'paper/{name}'}.flags"
        in (PAPER / f"{name}.flags").read_text()
    )


def test_the_whole_study(validation_set):
    """flags/study.flags asks for what the figures' files ask for, each attack with all their
    settings and targets.
    """
    whole = job_of(flags_of("../study", *FULL_SIZE), validation_set)
    asked = {(one.attack, one.label, one.target_kind) for one in whole.attempts}
    for name in set(NOT_FOUND) - {"table1", "fig6", "supplement_common", "least_likely"}:
        part = job_of(flags_of(name, *FULL_SIZE), validation_set)
        assert {(one.attack, one.label, one.target_kind) for one in part.attempts} <= asked, name
        if "attacks" in part.settings.parts:
            assert part.chosen.tolist() == whole.chosen.tolist(), name
    assert whole.clever_kinds == ("random", "least") and whole.settings.clever.images == 100


@pytest.mark.parametrize("more", [[], FULL_SIZE], ids=["small", "full"])
@pytest.mark.parametrize("path", sorted(PAPER.parent.rglob("*.flags")), ids=lambda path: path.stem)
def test_settings_come_back_from_what_the_manifest_keeps(path, more):
    with flagsaver.flagsaver():
        cli.parse(["run.py", f"--flagfile={path}", *more])
        given = SimpleNamespace(**{name: flags.FLAGS[name].value for name in options.known()})
    settings = evaluate.settings_of(given)
    again = Settings.from_dict(json.loads(json.dumps(settings.to_dict())))
    assert again == settings and again.identity() == settings.identity()
    assert again.attempts() == settings.attempts()
