"""flags/paper/: every file parses, asks for what can be done in both zoos, and says of each setting where it is from."""

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
    "fig3": {"eps"},
    "fig4": {"eps", "steps"},
    "fig5": {"confidence"},
    "fig6": set(),
    "fig7": set(),
    "fig8": {"confidence"},
    "fig9": {"steps"},
    "fig10": {"steps"},
    "clever": set(),
    "supplement_common": {"attacks", "eps", "steps"},
    "least_likely": {"eps", "steps"},
}
FROM_OUR_PROGRAM = {"zoo", "small", "parts", "attacks", "figures", "out"}
FULL_SIZE = ["--data=imagefolder:somewhere", "--weights_dir=somewhere"]


def flags_of(name: str, *more: str) -> SimpleNamespace:
    with flagsaver.flagsaver():
        cli.parse(["run.py", f"--flagfile={PAPER / name}.flags", *more])
        return SimpleNamespace(**{flag: flags.FLAGS[flag].value for group in options.GROUPS.values() for flag in group})


def job_of(given: SimpleNamespace, source: Source) -> plan.Job:
    return plan.job(evaluate.settings_of(given), evaluate.networks_of(given)["models"], {}, source)


@pytest.fixture
def validation_set() -> Source:
    """ILSVRC2012's 50,000 validation images, of which nobody reads a pixel."""
    ids = np.arange(1, 50001)
    return Source("imagefolder:somewhere", ids, validation.study_labels(), ids, 1000, "", lambda *_: None, validation=True)


def test_there_is_a_file_for_each_table_and_figure():
    assert {path.stem for path in PAPER.glob("*.flags")} == set(NOT_FOUND)


@pytest.mark.parametrize("name", NOT_FOUND)
def test_at_full_size_the_settings_are_the_studys(name, validation_set):
    given = flags_of(name, *FULL_SIZE)
    job = job_of(given, validation_set)
    assert given.zoo == "imagenet" and len(job.models) == 18 and given.out == f"results/{name}"
    assert len(job.chosen) == {"table1": 50000, "clever": 100}.get(name, 50000 if given.selection == "first" else 1000)
    assert (given.cw_search_steps, given.cw_steps, given.cw_learning_rate, given.cw_initial_const) == (9, 1000, ["0.002"], ["0.01"])
    assert (given.ead_search_steps, given.ead_steps, given.ead_learning_rate, given.ead_beta) == (9, 1000, ["0.01"], ["0.001"])
    assert (given.initial_eps, given.attempts, given.search_steps) == (["0.02"], 9, 50)
    assert (given.clever_batches, given.clever_samples) == (500, 1024)
    assert given.clever_images == 100 or "clever" not in job.settings.parts or given.selection == "clever100"
    assert job_of(flags_of(name, *FULL_SIZE, "--models=vgg_16", "--num_images=7"), validation_set).chosen.size == 7


@pytest.mark.parametrize("name", NOT_FOUND)
def test_on_the_embedded_zoo_amounts_are_those_of_the_embedded_job(name):
    given, full = flags_of(name), flags_of(name, *FULL_SIZE)
    job = job_of(given, open_source("digits"))
    assert given.zoo == given.data == "digits" and given.out == f"results/{name}"
    assert 8 <= given.attacked_images <= 24
    assert (given.cw_steps, given.ead_search_steps, given.search_steps, given.clever_batches) == (100, 2, 10, 20)
    alike = [flag for flag in ("parts", "attacks", "targets", "figures", "eps", "confidence") if flag in comments_of(name)]
    assert [getattr(given, flag) for flag in alike] == [getattr(full, flag) for flag in alike]
    assert flags_of(name, "--cw_steps=7").cw_steps == flags_of(name, *FULL_SIZE, "--cw_steps=7").cw_steps == 7
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
        assert any(tag in comments[flag] for tag in ("[C]", "[S]", "[H]")), flag
    assert "# Time on the embedded zoo: " in (PAPER / f"{name}.flags").read_text()


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
