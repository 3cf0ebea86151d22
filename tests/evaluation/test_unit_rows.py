"""The rows that units write, worked out by hand; no network is asked."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jaxadv.core import transfer
from jaxadv.data.loader import Batch, Dropped
from jaxadv.evaluation import units, work
from jaxadv.evaluation.settings import Attempt
from jaxadv.evaluation.units import Unit
from jaxadv.evaluation.work import Aims, Block, Lost, Ticket, Work
from jaxadv.support.progress import Progress

NET: Any = SimpleNamespace(name="net", input_size=2)
UNTARGETED = Attempt("fgsm", "eps=0.1", "untargeted", "first", {"eps": 0.1})
RANDOM = Attempt("fgsm", "eps=0.2", "random", "second", {"eps": 0.2})
OTHER = Attempt("cw", "", "random", "third", {})


class Written:
    """Work on a run that only notes what is written."""

    def __init__(self, monkeypatch, **settings: Any):
        self.rows: dict[str, pd.DataFrame] = {}
        self.bars: list[Progress] = []
        self.skipped: list[int] = []
        self.exists = False
        given = {"lanes": 2, "progress": False, "seed": 3, "save_adversarial": False}
        run: Any = SimpleNamespace(
            append=lambda kind, rows, part: self.rows.update({kind: rows}),
            exists=lambda *_: False,
            directory="there",
            belonging=SimpleNamespace(digest=lambda kind: f"digest of {kind}"),
        )
        self.job: Any = SimpleNamespace(
            settings=SimpleNamespace(**given | settings),
            models=["net", "other"],
            attempts=[UNTARGETED, OTHER, RANDOM],
            source=None,
        )
        nothing: Any = None
        self.work: Any = Work(run, self.job, nothing, nothing, nothing)
        self.work._journal = lambda *_: nullcontext()
        monkeypatch.setattr(units, "exists", lambda *_: self.exists)
        monkeypatch.setattr(work, "Progress", self.bar)
        monkeypatch.setattr(work.log, "skip", lambda what, count: self.skipped.append(count))

    def bar(self, *given: Any, **options: Any) -> Progress:
        self.bars.append(Progress(*given, **options))
        return self.bars[-1]


@pytest.fixture
def written(monkeypatch) -> Written:
    return Written(monkeypatch)


def ticket(stage: str, what: str = "", block: int = 0) -> Ticket:
    return Ticket(Unit("net", stage, what, block), "me", lambda: None)


def a_block(count: int = 3, **changes: Any) -> Block:
    """Images 7, 8, ... of classes 0, 1, ...; the study draws class 1 for each."""
    return Block(
        images=np.arange(count * 12, dtype=np.float32).reshape(count, 2, 2, 3),
        labels=np.arange(count, dtype=np.int32),
        ids=np.arange(7, 7 + count),
        logits=np.eye(count, dtype=np.float32),
        drawn=np.ones(count, np.int32),
        others=[],
        seen={},
    )._replace(**changes)


def test_classifications_say_class_top_five_and_what_is_invalid(written, monkeypatch):
    """Seven classes: class 1 is next to last; class 0 is a class; NaN is none."""
    logits = np.arange(7.0) * np.ones((4, 1))
    logits[0, 0] = 9
    logits[3, 2] = np.nan
    none = Dropped(11, "", 0, "", "")
    labels = np.array([0, 1, 2, 3], np.int32)
    batch = Batch(logits.astype(np.float32), labels, np.arange(4), [none], ["a"] * 4)
    written.job.pictures = lambda *_: [batch]
    monkeypatch.setattr(units, "classified", lambda *_: np.arange(5))
    net: Any = SimpleNamespace(
        name="net", input_size=2, logits_in_batches=lambda images, lanes: images
    )
    seconds = written.work._classify(net, ticket("clean"))
    rows = written.rows["clean"]
    assert rows["predicted"].tolist() == [0, 6, 6, -1]
    assert rows["top5"].tolist() == [True, False, True, False]
    assert rows["invalid"].tolist() == [False, False, False, True]
    assert written.rows["dropped"]["image_id"].tolist() == [11]
    (bar,) = written.bars
    assert (bar.count, bar.total, bar.seconds) == (5, 5, seconds)


def test_scores_share_a_call_by_whether_they_have_targets(written, monkeypatch):
    """Image 8 has class 1, which is also its random target, so it is skipped there."""
    asked: list[tuple] = []

    def clever_scores(_, images, labels, aims, **rest):
        asked.append((rest["ids"].tolist(), None if aims is None else aims.tolist()))
        count = len(images)
        by_norm = np.arange(3) + np.zeros((count, 1))
        return SimpleNamespace(
            target=labels + 10,
            margin=np.zeros(count),
            score=by_norm,
            fit=SimpleNamespace(_asdict=lambda: {"shape": by_norm + 5}),
            maxima=by_norm[:, None] * np.ones((1, 4, 1)),
        )

    monkeypatch.setattr(work, "clever_scores", clever_scores)
    times = iter([10.0, 14.0])
    monkeypatch.setattr(work, "time", SimpleNamespace(monotonic=lambda: next(times)))
    written.job.clever_kinds = ("untargeted", "random")
    written.job.settings.clever = SimpleNamespace(
        batches=4, samples=1, radius=None, protocol="", method=""
    )
    assert written.work._score(NET, a_block(), ticket("clever", "clever")) == 4
    assert asked == [([7, 9], [1, 1]), ([7, 8, 9], None)] and written.skipped == [1, 0]
    rows = written.rows["clever"]
    assert len(rows) == 3 * 5 and (rows["target"] == rows["label"] + 10).all()
    second = rows[rows["norm"] == "2"]
    assert second["target_kind"].tolist() == ["random"] * 2 + ["untargeted"] * 3
    assert (second["score"] == 1).all() and (second["shape"] == 6).all()
    assert all(maxima.tolist() == [1] * 4 for maxima in second["maxima"])


def test_a_unit_of_attacks_has_the_attempts_of_its_attack(written):
    """Not those of C&W; and none whose target is the label."""
    one, piece = written.work._opened(NET, a_block(2), ticket("attack", "fgsm"))
    assert piece.attacks == ["first", "first", "second"]
    assert piece.targeted.tolist() == [False, False, True]
    assert piece.classes.tolist() == [0, 1, 1] and piece.ids.tolist() == [7, 8, 7]
    assert written.skipped == [1] and one.bar.total == 3
    assert [aims.use.tolist() for aims in one.aims] == [[True, True], [True, False]]


def test_random_targets_without_the_study_are_never_the_label(written):
    block = a_block(drawn=None)
    classes = written.work._classes("random", block)
    assert (classes != block.labels).all()
    assert written.work._classes("least", block).tolist() == [1, 0, 0]


@pytest.mark.parametrize("save", [False, True])
@pytest.mark.parametrize("others", [[], ["other"]])
def test_a_finished_unit_writes_all_its_parts(monkeypatch, save, others):
    written = Written(monkeypatch, save_adversarial=save, save_dtype="float32")
    block = a_block(2, others=others)
    one: Any = SimpleNamespace(
        ticket=ticket("attack", "fgsm"),
        block=block,
        aims=[
            Aims(UNTARGETED, block.labels, np.array([True, True])),
            Aims(RANDOM, block.labels, np.array([True, False])),
        ],
        journal=None,
    )
    monkeypatch.setattr(
        work, "_example_rows", lambda *given: pd.DataFrame({"of": [given[3]], "by": [given[2]]})
    )
    monkeypatch.setattr(work, "_picture", lambda *_: "picture")
    written.work._show_to_others = lambda *_: ("shown", 2.5)
    saved: list[Any] = []
    monkeypatch.setattr(work.image_store, "write", lambda *_, **given: saved.append(given))
    result: Any = SimpleNamespace(
        part=lambda which: (which.start, which.stop), adversarial=np.zeros(3)
    )
    rows, seconds = written.work._finish(NET, one, result)
    assert rows["of"].tolist() == [(0, 2), (2, 3)] and rows.index.tolist() == [0, 1]
    assert seconds == (2.5 if others else 0)
    kinds = ["examples", "adversarial", *(["transfer"] if others else [])]
    assert list(written.rows) == kinds
    assert saved == [{"digest": "digest of examples", "dtype": "float32"}] * save
    written.exists = True
    with pytest.raises(Lost):
        written.work._finish(NET, one, result)
    assert len(saved) == save


def a_result(**changes: Any) -> Any:
    names = "success near_tie revoked invalid zero_gradient predicted l0 l1 linf gradients forwards"
    given = {name: np.arange(2) for name in names.split()}
    return SimpleNamespace(**given | {"l2": np.float32([2.4, 12]), "details": {}} | changes)


def test_rows_of_examples_have_targets_and_distances_a_pixel():
    """Images of 2 x 2 pixels have 12 values."""
    block = a_block()
    use = np.array([True, False, True])
    classes = np.array([4, 5, 6], np.int32)
    rows = work._example_rows(NET, block, Aims(RANDOM, classes, use), a_result())
    assert rows["image_id"].tolist() == [7, 9] and rows["target"].tolist() == [4, 6]
    assert rows["l2_per_pixel"].tolist() == pytest.approx([0.2, 1])
    assert rows["eps"].tolist() == pytest.approx([0.2, 0.2]) and rows["const"].isna().all()
    found = {"best_eps": np.float32([0.25, 0.5])}
    aims = Aims(UNTARGETED, classes, use)
    rows = work._example_rows(NET, block, aims, a_result(details=found))
    assert rows["target"].tolist() == [-1, -1] and rows["eps"].tolist() == [0.25, 0.5]


def test_the_report_shows_the_first_image_by_the_last_setting():
    block = a_block(2)
    columns = "model attack target_kind label target predicted success".split()
    rows = pd.DataFrame(0, index=range(4), columns=columns)
    rows = rows.assign(image_id=[7, 8, 7, 8], setting=list("aabb"))
    shown = work._picture(NET, block, rows, np.arange(4 * 12.0).reshape(4, 2, 2, 3))
    assert shown["setting"].tolist() == ["b"] and shown["size"].tolist() == [2]
    assert shown["image_id"].tolist() == [7]
    assert shown["clean"].iloc[0].tolist() == list(range(12))
    assert shown["adversarial"].iloc[0].tolist() == list(range(24, 36))


def examples() -> pd.DataFrame:
    """FGSM fails on image 9, C&W on image 8 and not on image 7."""
    return pd.DataFrame(
        {
            "model": "net",
            "attack": ["fgsm", "cw", "cw"],
            "setting": "",
            "target_kind": "random",
            "image_id": [9, 8, 7],
            "label": [2, 1, 0],
            "target": 1,
            "success": [False, False, True],
        }
    )


def test_of_failures_only_fgsm_has_an_image(monkeypatch):
    asked: list[tuple] = []
    monkeypatch.setattr(transfer, "judge_transfer", lambda *given, **more: asked.append(given))
    block = a_block(seen={"other": np.array([10, 11, 12])})
    other: Any = SimpleNamespace(name="other")
    seen: Any = "seen"
    work._Attempted.of(examples(), block).judged(other, seen, block.seen["other"])
    ((_, clean, labels, _, has_image),) = asked
    assert clean.tolist() == [12, 11, 10] and labels.tolist() == [2, 1, 0]
    assert has_image.tolist() == [True, False, True]


def test_each_other_network_sees_clean_images_once_and_has_a_row_for_each_example(
    written, monkeypatch
):
    looked: list[tuple[list[str], int]] = []

    def show(networks, images, lanes, *, advance=lambda count: None):
        looked.append(([one.name for one in networks], len(images)))
        advance(len(images))
        seen = transfer.Seen(np.zeros(len(images), np.int32), np.zeros((len(images), 5)))
        return [seen for _ in networks]

    monkeypatch.setattr(transfer, "show", show)
    named = {name: SimpleNamespace(name=name, label_offset=0, num_classes=6) for name in "pq"}
    written.work.classifiers = SimpleNamespace(logits=named.__getitem__)
    block = a_block(others=["p", "q"], seen={"p": np.zeros(3, np.int32)})
    kept: list[None] = []
    journal: Any = SimpleNamespace(due=lambda: True, write=lambda: kept.append(None))
    rows, seconds = written.work._show_to_others(
        block, ticket("attack", "fgsm"), examples(), np.zeros((3, 2, 2, 3)), journal
    )
    assert looked == [(["q"], 3), (["p", "q"], 3)] and set(block.seen) == {"p", "q"}
    assert rows["model"].tolist() == ["p"] * 3 + ["q"] * 3 and (rows["source"] == "net").all()
    assert rows["image_id"].tolist() == [9, 8, 7] * 2 and rows.index.tolist() == list(range(6))
    (bar,) = written.bars
    assert (bar.count, bar.total, bar.seconds) == (3, 3, seconds) and len(kept) == 1
