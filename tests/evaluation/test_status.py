"""How far a run is; who works on it, and when they last said so."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from models import inner_images, random_linear

import jaxadv
from jaxadv.evaluation import status
from jaxadv.evaluation.settings import Settings
from jaxadv.evaluation.units import Unit
from jaxadv.store.belonging import file_name
from jaxadv.store.claims import Claims
from jaxadv.store.run import Run

SETTINGS = Settings(
    attacks=(jaxadv.FGSM(eps=0.1),),
    targets=("untargeted",),
    parts=("attacks",),
    block_images=2,
    lanes=2,
    progress=False,
)
DONE_AT = 1_000_000.0


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Two networks that are right on 8 images: a unit of classification and 4 of FGSM each."""
    networks = [random_linear(0, 4, name=name) for name in ("first", "second")]
    images = inner_images(1, 8)
    out = tmp_path_factory.mktemp("runs") / "small"
    jaxadv.evaluate(networks, (images, networks[0].predict(images)), SETTINGS, out=out)
    return out


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy, whose units were done one second after the other, the classifications first."""
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    parts = [*sorted(copy.glob("clean/*.parquet")), *sorted(copy.glob("examples/*.parquet"))]
    assert len(parts) == 10
    for number, part in enumerate(parts):
        os.utime(part, (DONE_AT + number, DONE_AT + number))
        if part.parent.name == "clean":  # a unit's first part counts
            os.utime(copy / "dropped" / part.name, (DONE_AT + number, DONE_AT + number))
    return copy


def without(run: Path, *parts: str) -> list[str]:
    """What is said when some parts are not there."""
    for part in parts:
        (run / "examples" / f"part-{part}.parquet").unlink()
    return status.text(run).splitlines()


def test_a_finished_run_says_so(run):
    assert without(run) == [
        f"{run}: 10 of 10 units done, 0 in work",
        "  first: 5 done, 0 left",
        "  second: 5 done, 0 left",
        "everything is done; ended parts: attacks",
    ]


def test_the_time_left_is_by_the_rate_of_what_was_done_lately(run, monkeypatch):
    """Seven units in 14 hours, of which 5 in the last 10: two hours for the one that is left."""
    lines = without(run, "second-fgsm-0003")
    assert lines[:3] == [
        f"{run}: 9 of 10 units done, 0 in work",
        "  first: 5 done, 0 left",
        "  second: 4 done, 1 left",
    ]
    assert lines[3:] == ["about 0.0 h left, by what was done in 0 min"]
    for number, part in enumerate(sorted((run / "examples").glob("*.parquet"))):
        os.utime(part, 2 * (DONE_AT + 7200 * (number + 1),))
    monkeypatch.setattr(status, "LATELY", 36000)
    assert status.text(run).endswith("about 2.0 h left, by what was done in 600 min")


def test_the_hours_are_exact(tmp_path):
    """A unit of cost 1 took 1000 s; 25920 are left."""
    folder = tmp_path / "clever"
    folder.mkdir()
    units = [Unit("net", "clever", "clever", block) for block in range(2)]
    for number, unit in enumerate(units):
        path = folder / file_name(unit.part)
        path.touch()
        os.utime(path, (DONE_AT + 1000 * number, DONE_AT + 1000 * number))
    nothing: Any = None
    run: Any = SimpleNamespace(directory=tmp_path)
    board: Any = SimpleNamespace(
        left=["rest"], cost=lambda unit: 25920 if unit == "rest" else 1, planned=nothing
    )
    job: Any = SimpleNamespace(models=[], settings=SimpleNamespace(save_adversarial=False))
    said = status._time(run, job, board, units, {})
    assert said == "about 7200.0 h left, by what was done in 17 min"


def test_an_ensemble_of_a_run_has_its_members_and_networks_of_the_zoo_their_arithmetic():
    manifest = {
        "settings": SETTINGS.to_dict() | {"zoo": "imagenet", "data": "mine"},
        "identity": {"--ensembles": ["alexnet+vgg_16"]},
        "chosen_images": 3,
        "classes": 4,
        "models": ["alexnet", "mine", "ensemble.alexnet.vgg_16"],
    }
    job = status._job(manifest)
    assert job.ensembles == {"ensemble.alexnet.vgg_16": ["alexnet", "vgg_16"]}
    assert len(job.chosen) == 3 and job.source.num_classes == 4
    found = status._gigaflops(manifest, job)
    assert list(found) == ["alexnet"] and found["alexnet"].gradient > found["alexnet"].logits


def test_what_is_not_classified_counts_as_if_it_were_right(run):
    (run / "clean" / "part-second-0000.parquet").unlink()
    lines = status.text(run).splitlines()
    assert lines[0] == (
        f"{run}: 5 of 10 units done, as if every image were classified correctly, 0 in work"
    )
    assert lines[2] == "  second: 0 done, 5 left" and "h left" in lines[3]


def test_nothing_done_gives_no_time(run):
    for part in run.glob("*/*.parquet"):
        part.unlink()
    assert status.text(run).endswith("time left: not known before some units are done")


def test_claims_are_listed_and_counted(run, monkeypatch):
    monkeypatch.setattr(status, "SHOWN", 1)
    claims = Claims(run, owner="mine")
    claims.open()
    for unit in ("first-fgsm-0003", "second-fgsm-0002"):
        assert claims.take(unit) is not None
    (run / "claims" / "second-fgsm-0003+2").write_text("damaged")
    lines = without(run, "first-fgsm-0003", "second-fgsm-0002", "second-fgsm-0003")
    assert lines[0] == f"{run}: 7 of 10 units done, 3 in work"
    assert lines[3].startswith(f"  first-fgsm-0003: process {os.getpid()} on ")
    assert "taken over" not in lines[3] and "last sign of life 0 s ago" in lines[3]
    assert lines[4] == "  and 2 more in work"
    monkeypatch.setattr(status, "SHOWN", 3)
    lines = status.text(run).splitlines()
    assert lines[5].startswith(
        "  second-fgsm-0003: an unknown process, since ?, taken over 2 times"
    )
    assert lines[6].startswith("about")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(jaxadv.InputError, match="no run has begun"):
        status.text(tmp_path)


def test_images_that_all_classify_correctly_are_the_same_for_all(tmp_path):
    """The second network is wrong on 2 of 8 images, so 6 are attacked: 3 units each."""
    networks = [random_linear(0, 4, name="first"), random_linear(0, 4, name="second")]
    images = inner_images(1, 8)
    labels = networks[0].predict(images)
    wrong = np.flatnonzero(labels == labels[0])[:2]
    labels[wrong] = (labels[wrong] + 1) % 4
    settings = Settings.from_dict(SETTINGS.to_dict() | {"selection": "common"})
    out = tmp_path / "common"
    jaxadv.evaluate(networks, (images, labels), settings, out=out)
    assert f"{8 if len(wrong) == 2 else 0} of 8 units done, 0 in work" in status.text(out)
    (out / "clean" / "part-second-0000.parquet").unlink()
    assert "as if every image were classified correctly" in status.text(out)
    assert Run(out).manifest()["chosen_images"] == 8


def test_a_claim_shows_its_owner_and_its_silence(tmp_path):
    """By the clock of the file server. The probe for its time does not stay."""
    claims = Claims(tmp_path, owner="mine")
    claims.open()
    for unit in ("net-cw-0000", "@end"):
        claim = claims.take(unit)
        assert claim is not None
        path = tmp_path / "claims" / claim.name
        then = path.stat().st_mtime - 50
        os.utime(path, (then, then))
    (tmp_path / "claims" / "net-cw-0001+2").write_text("damaged")
    before = sorted(os.listdir(tmp_path / "claims"))
    first, second = status._held(tmp_path)
    assert (first.unit, first.generation) == ("net-cw-0000", 0)
    assert first.owner.startswith(f"process {os.getpid()} on ")
    assert first.silent == pytest.approx(50, abs=5)
    assert (second.unit, second.generation, second.owner) == (
        "net-cw-0001",
        2,
        "an unknown process",
    )
    assert second.silent == pytest.approx(0, abs=5)
    assert sorted(os.listdir(tmp_path / "claims")) == before


def test_a_folder_that_nobody_may_write_shows_its_claims(run, monkeypatch):
    claims = Claims(run, owner="mine")
    claims.open()
    assert claims.take("first-fgsm-0003") is not None

    def refuse(*_):
        raise PermissionError(13, "not for you")

    monkeypatch.setattr(status.ClaimFolder, "create", refuse)
    (held,) = status._held(run)
    assert held.silent == 0
