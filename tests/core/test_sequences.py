"""What a sequence of attacks makes of its stages, whatever the stages are."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import jaxadv
from jaxadv.core import metrics, sequences
from jaxadv.core.chain import Piece
from jaxadv.core.probe import AttackSequence, Phase, Schedule, Stage
from jaxadv.core.result import AttackResult

COUNT = 6
IMAGES = np.full((COUNT, 2, 2, 3), 0.5, np.float32)
CLASSES = np.arange(COUNT, dtype=np.int32)
LOGITS = np.eye(COUNT, dtype=np.float32)
asked: list[int] = []
CLF: Any = SimpleNamespace(
    num_classes=COUNT, logits_in_batches=lambda images, lanes: asked.append(lanes) or LOGITS
)


class Named(NamedTuple):
    """A probe that `Stages` runs."""

    name: str
    schedule: Schedule


def stage(name: str, asks: bool) -> Stage:
    probe: Any = Named(name, Schedule((), (Phase("look", asks),), 1))
    return Stage(name, probe)


@dataclass(frozen=True)
class Two(AttackSequence):
    """Two stages, of which the second asks for logits alone. Or the first stage alone."""

    short: bool = False

    @property
    def sequence(self):
        return (stage("slopes", True), stage("looks", False))[: 1 if self.short else 2]


class Stages:
    """Runs the stages: says what each does to an image, and remembers what it was given."""

    def __init__(self, breaks: dict[str, list[int]], **flags: dict[str, list[int]]):
        self.first_id = 10
        self.breaks = breaks
        self.flags = flags
        self.calls: list[tuple[str, list[int]]] = []

    def __call__(self, clf, probes, images, classes, targeted, *, ids, logits, advance, **_):
        name = probes[0].name
        self.calls.append((name, classes.tolist()))
        np.testing.assert_array_equal(ids - classes, self.first_id)
        assert logits is None or (logits == LOGITS[classes]).all()
        assert not targeted.any()
        advance(len(classes), 3)  # a stage ends no item, whatever it says

        def those(kind: dict[str, list[int]]) -> np.ndarray:
            return np.isin(classes, kind.get(name, []))

        success = those(self.breaks)
        flags = {kind: those(given) for kind, given in self.flags.items()}
        rest = ("near_tie", "revoked", "invalid", "zero_gradient")
        return AttackResult(
            adversarial=images + 0.1,
            success=success,
            predicted=np.where(success, 9, classes).astype(np.int32),
            gradients=np.full(len(classes), 2, np.int32),
            forwards=np.full(len(classes), 5, np.int32),
            details={},
            clean=images,
            classes=classes,
            targeted=targeted,
            **{kind: flags.get(kind, np.zeros(len(classes), bool)) for kind in rest},
            **{kind: np.full(len(classes), 0.25, np.float32) for kind in metrics.DISTANCES},
        )


def run(stages: Stages, attacks=None, **more) -> tuple[AttackResult, list[tuple[int, int | None]]]:
    told: list[tuple[int, int | None]] = []
    given = {"ids": 10 + CLASSES, "logits": LOGITS} | more
    attacks = attacks or [Two()] * COUNT
    untargeted = np.zeros(COUNT, bool)
    piece = Piece(attacks, IMAGES, CLASSES, untargeted, advance=lambda *a: told.append(a), **given)
    return sequences.run(CLF, piece, stages, lanes=4), told


def test_a_stage_gets_what_still_stands():
    stages = Stages({"slopes": [0, 3], "looks": [4]})
    result, told = run(stages)
    assert stages.calls == [("slopes", [0, 1, 2, 3, 4, 5]), ("looks", [1, 2, 4, 5])]
    assert result.details["broken_by"].tolist() == ["slopes", "", "", "slopes", "looks", ""]
    assert result.success.tolist() == [True, False, False, True, True, False]
    assert result.predicted.tolist() == [9, 1, 2, 9, 9, 5]
    assert result.gradients.tolist() == [2, 4, 4, 2, 4, 4]
    assert result.forwards.tolist() == [5, 10, 10, 5, 10, 10]
    np.testing.assert_array_equal(np.isnan(result.l2), ~result.success)
    np.testing.assert_array_equal(result.adversarial[:, 0, 0, 0] > 0.55, result.success)
    assert sum(count for count, _ in told) == COUNT
    assert sum(broken or 0 for _, broken in told) == 3


def test_known_logits_are_not_computed_again():
    asked.clear()
    run(Stages({}))
    assert not asked
    stages = Stages({})
    stages.first_id = 0
    result, _ = run(stages, ids=None, logits=None)
    assert asked == [4] and result.predicted.tolist() == CLASSES.tolist()


def test_nothing_goes_on_when_nothing_stands():
    stages = Stages({"slopes": list(range(COUNT))})
    result, told = run(stages)
    assert len(stages.calls) == 1 and result.success.all()
    assert sum(count for count, _ in told) == COUNT


def test_sequences_of_different_lengths_end_at_their_own():
    stages = Stages({"slopes": [1]})
    attacks = [Two(short=i < 3) for i in range(COUNT)]
    result, told = run(stages, attacks)
    assert stages.calls == [("slopes", [0, 1, 2, 3, 4, 5]), ("looks", [3, 4, 5])]
    assert result.gradients.tolist() == [2, 2, 2, 4, 4, 4]
    assert sum(count for count, _ in told) == COUNT


def test_zero_gradients_are_those_of_every_stage_that_asks_for_some():
    """Also an image that a later stage breaks or finds invalid has none."""
    stages = Stages({"looks": [2]}, zero_gradient={"slopes": [0, 1, 2, 3]}, invalid={"looks": [3]})
    result, _ = run(stages)
    assert result.zero_gradient.tolist() == [True, True, False, False, False, False]
    assert result.invalid.tolist() == [False, False, False, True, False, False]


def test_a_broken_image_keeps_no_fault_of_the_stages_before():
    stages = Stages({"looks": [2, 3]}, revoked={"slopes": [2, 4]}, invalid={"slopes": [3, 5]})
    result, _ = run(stages)
    assert result.revoked.tolist() == [False, False, False, False, True, False]
    assert result.invalid.tolist() == [False, False, False, False, False, True]


def test_journals_are_those_of_the_stages():
    opened: list[int] = []
    journal: Any = SimpleNamespace(of_stage=lambda number: opened.append(number) or number)
    seen: list[Any] = []
    stages = Stages({})

    def noting(*given, journal, **more):
        seen.append(journal)
        return stages(*given, **more)

    run(noting, journal=journal)  # type: ignore[arg-type]
    assert opened == seen == [0, 1]


def test_targets_and_mixtures_are_refused():
    piece = Piece([Two()], IMAGES[:1], CLASSES[:1], np.ones(1, bool))
    with pytest.raises(jaxadv.InputError, match="no targeted form"):
        sequences.run(CLF, piece, Stages({}), lanes=1)
    mixed = Piece([Two(), jaxadv.FGSM(0.1)], IMAGES[:2], CLASSES[:2], np.zeros(2, bool))
    with pytest.raises(jaxadv.InputError, match="mixed"):
        sequences.run(CLF, mixed, Stages({}), lanes=1)


def test_nothing_is_asked_for_no_images():
    asked.clear()
    told: list[tuple[int, int | None]] = []
    piece = Piece([], IMAGES[:0], CLASSES[:0], np.zeros(0, bool), advance=lambda *a: told.append(a))
    stages = Stages({})
    result = sequences.run(CLF, piece, stages, lanes=4)
    assert len(result) == len(result.predicted) == 0
    assert not asked and not stages.calls and told == [(0, 0)]


@pytest.mark.parametrize(("given", "expected"), [({}, 0), ({"seed": 5}, 5)])
def test_stages_draw_by_the_seed_of_the_run(given, expected):
    seeds: list[int] = []
    stages = Stages({})

    def noting(*of_stage, seed, **more):
        seeds.append(seed)
        return stages(*of_stage, **more)

    piece = Piece([Two()] * COUNT, IMAGES, CLASSES, np.zeros(COUNT, bool), ids=10 + CLASSES)
    sequences.run(CLF, piece, noting, lanes=4, **given)  # type: ignore[arg-type]
    assert seeds == [expected, expected]
