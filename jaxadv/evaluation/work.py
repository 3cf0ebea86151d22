"""The work of an evaluation's units (see `jaxadv.evaluation.units`)."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from jaxadv.api import AttackResult, Piece, clever_scores, run_chain
from jaxadv.attacks import catalog
from jaxadv.core import targets, transfer
from jaxadv.core.classifier import Classifier
from jaxadv.core.journal import Journal
from jaxadv.data.loader import Batch, Dropped, check_digest
from jaxadv.evaluation import units
from jaxadv.evaluation.plan import Job
from jaxadv.evaluation.settings import Attempt
from jaxadv.evaluation.units import Unit
from jaxadv.store import image_store
from jaxadv.store.run import Run
from jaxadv.support import log
from jaxadv.support.norms import SCORE_NORMS
from jaxadv.support.progress import Progress, Whole
from model_ports.errors import InputError


class Classifiers(Protocol):
    """The networks of a run by name, each with compiled programs."""

    def __getitem__(self, name: str) -> Classifier: ...

    def logits(self, name: str) -> Classifier:
        """The classifier, as soon as its logits program is compiled."""
        ...


class Block(NamedTuple):
    """The images of one block, which are attacked and scored."""

    images: np.ndarray  # (N, S, S, 3) float32 in [0, 1]
    labels: np.ndarray  # (N,) int32
    ids: np.ndarray  # (N,) int64
    logits: np.ndarray  # (N, K) float32, of the clean images
    drawn: np.ndarray | None  # (N,) int32, the random targets of the study
    others: list[str]  # the networks that are shown the adversarial images
    seen: dict[str, np.ndarray]  # for each of these, its classes (N,) of the clean images


_NONE = np.zeros(0)
NO_BLOCK = Block(_NONE, _NONE, _NONE, _NONE, None, [], {})
OPEN = 2
"""The attacks of so many blocks of images may be in the lanes at a time."""


class Aims(NamedTuple):
    """The target classes of one attempt, for every image of a block."""

    attempt: Attempt
    classes: np.ndarray  # (N,) int32
    use: np.ndarray  # (N,) bool, whether the image is attacked


class Lost(Exception):
    """Another process has taken over the unit, or has done it."""


class Ticket(NamedTuple):
    """A unit that this process has claimed."""

    unit: Unit
    writer: str  # of journals; see `jaxadv.core.journal`
    check: Callable[[], None]  # raises if the work is to end: Cancelled, or Lost


Follow = Callable[[Unit], Ticket | None]


class Done(NamedTuple):
    """A unit whose rows are written."""

    ticket: Ticket
    rows: pd.DataFrame | None  # of examples, for a unit of attacks


class _Open(NamedTuple):
    """A unit of attacks in the lanes."""

    ticket: Ticket
    block: Block
    aims: list[Aims]
    journal: Journal
    bar: Progress


class Work:
    """Does units of a run, one after the other. It keeps the images of the last one.

    Args:
        run: gets the rows.
        job: the work.
        classifiers: the networks by name.
        attackable: the images to attack, of a network whose classifications are done.
        progress: counts the finished units of the run.
    """

    def __init__(
        self,
        run: Run,
        job: Job,
        classifiers: Classifiers,
        attackable: Callable[[str], units.Attackable],
        progress: Whole,
    ):
        self.run = run
        self.job = job
        self.classifiers = classifiers
        self.attackable = attackable
        self.progress = progress
        self._block: tuple[tuple[str, str, int, int], Block] | None = None

    def do(self, ticket: Ticket, follow: Follow) -> Iterator[Done]:
        """Do a unit and write its rows. The classifications of a network come first.

        Units of the same attack follow in the same lanes, as long as there are any.

        Args:
            ticket: the unit.
            follow: claims a unit that follows a unit, whose journal is empty; or returns None.

        Yields:
            Each unit whose rows are written.

        Raises:
            Lost: if another process has done a unit in the meantime, or has taken it over. Of units
                that were not yielded, nothing is written.
        """
        unit = ticket.unit
        if unit.stage == "clean":
            seconds = self._classify(self.classifiers.logits(unit.network), ticket)
            yield self._done(ticket, seconds)
        elif unit.stage == "clever":
            classifier = self.classifiers[unit.network]
            block = self._images_of(classifier, unit)
            yield self._done(ticket, self._score(classifier, block, ticket))
        else:
            yield from self._attack(self.classifiers[unit.network], ticket, follow)

    def _done(self, ticket: Ticket, seconds: float, rows: pd.DataFrame | None = None) -> Done:
        unit = ticket.unit
        self.progress.done(unit.network, unit.what or units.CLASSIFICATION, seconds)
        return Done(ticket, rows)

    def _images_of(self, classifier: Classifier, unit: Unit) -> Block:
        """The images of a unit. Units of other attacks with the same images share them."""
        count = units.size(self.job, unit.what)
        key = (unit.network, unit.stage, unit.block * count, count)  # fewer images have scores
        if self._block is None or self._block[0] != key:
            self._block = None
            chosen = self.attackable(unit.network).block(self.job, unit)
            pictures = self.job.pictures(classifier.input_size)
            images = pictures.take(chosen.ids, chosen.digests.tolist())
            logits = classifier.logits_in_batches(images, self._lanes)
            others = units.shown_to(self.job, unit.network)
            block = Block(images, chosen.labels, chosen.ids, logits, chosen.drawn, others, {})
            self._block = (key, block)
        return self._block[1]

    def _commit(self, unit: Unit, rows: Sequence[tuple[str, pd.DataFrame]]) -> None:
        """Write all rows of a unit at once. Raises Lost if another process has done so."""
        if units.exists(self.run, self.job, unit):
            log.say("%s: another process was faster", unit.part)
            raise Lost
        try:
            for kind, some in rows:
                self.run.append(kind, some, part=unit.part)
        except InputError:  # the process that ended the run has swept its temporary files
            if not units.exists(self.run, self.job, unit):
                raise
            raise Lost from None

    @property
    def _lanes(self) -> int:
        lanes = self.job.settings.lanes
        assert lanes is not None  # chosen before any work
        return lanes

    def _title(self, unit: Unit) -> str:
        """The beginning of a progress line."""
        models = self.job.models
        return f"[{1 + models.index(unit.network)}/{len(models)}] {unit.network}"

    def _progress(self, unit: Unit, what: str, total: int, name: str) -> Progress:
        return Progress(f"{self._title(unit)} {what}", total, name, show=self.job.settings.progress)

    def _advance(self, ticket: Ticket, bar: Progress) -> Callable[..., None]:
        """`Progress.advance` of a bar. It raises an error if the work is to end."""

        def advance(count: int, successes: int | None = None) -> None:
            ticket.check()
            bar.advance(count, successes)

        return advance

    def _journal(self, ticket: Ticket, kind: str, name: str = "") -> Journal:
        return Journal(
            self.run.unfinished,
            f"{ticket.unit.part}{name}",
            seconds=self.job.settings.save_seconds,
            digest=self.run.belonging.digest(kind),
            writer=ticket.writer,
        )

    def _classify(self, classifier: Classifier, ticket: Ticket) -> float:
        """Classify a block. Returns the seconds that this took, without compilation."""
        unit = ticket.unit
        chosen = units.classified(self.job, unit.block)
        known = self._known_digests(unit.block)
        frames = []
        dropped = []
        with self._progress(unit, "classification", len(chosen), "images") as bar:
            for batch in self.job.pictures(classifier.input_size, chosen):
                self._compare(known, batch)
                predicted, top_five = transfer.seen(
                    classifier.logits_in_batches(batch.images, self._lanes)
                )
                rows = {
                    "model": classifier.name,
                    "image_id": batch.ids,
                    "label": batch.labels,
                    "predicted": predicted,
                    "top5": (top_five == batch.labels[:, None]).any(1),
                    "invalid": predicted < 0,
                    "digest": batch.digests,
                }
                frames.append(pd.DataFrame(rows))
                dropped += batch.dropped
                self._advance(ticket, bar)(len(batch.ids) + len(batch.dropped))
        left_out = pd.DataFrame(dropped, columns=Dropped._fields).assign(model=classifier.name)
        self._commit(unit, [("dropped", left_out), ("clean", pd.concat(frames))])
        return bar.seconds

    def _known_digests(self, block: int) -> dict[int, str]:
        """The digests of a block's pictures in another network's rows; empty if there are none."""
        for name in self.job.models:
            part = units.Unit(name, "clean", "", block).part
            if self.run.exists("clean", part):
                rows = [
                    self.run.read(kind, ["image_id", "digest"], part=part)
                    for kind in ("clean", "dropped")
                ]
                return {
                    int(one): str(digest)
                    for some in rows
                    for one, digest in zip(some["image_id"], some["digest"], strict=True)
                }
        return {}

    def _compare(self, known: dict[int, str], batch: Batch) -> None:
        """Raises InputError if a picture has changed since another network read it."""
        seen = {
            int(image_id): digest for image_id, digest in zip(batch.ids, batch.digests, strict=True)
        }
        seen |= {left.image_id: left.digest for left in batch.dropped}
        source = self.job.source
        for image_id, digest in seen.items():
            if known.get(image_id, digest) != digest:
                (index,) = np.flatnonzero(source.ids == image_id)
                check_digest(source, int(index), known[image_id], digest)

    def _attack(self, classifier: Classifier, ticket: Ticket, follow: Follow) -> Iterator[Done]:
        """Attack every image with every setting of one attack, and test the transfer to other
        networks. Units follow one another in one queue.

        A unit's journal keeps the attacks' outcomes until all its rows are written. So an
        interrupted transfer does not attack again.
        """
        opened: list[_Open] = []
        open_images = 0
        is_over = False

        def begin(ticket: Ticket) -> Piece:
            nonlocal open_images
            block = self._images_of(classifier, ticket.unit)
            one, piece = self._opened(classifier, block, ticket)
            opened.append(one)
            open_images += len(block.ids)
            return piece

        def more() -> Piece | None:
            nonlocal is_over
            count = units.size(self.job, ticket.unit.what)
            if open_images + count > OPEN * self.job.settings.block_images:
                return None  # later: a unit in the lanes is near its end
            following = follow(ticket.unit)
            is_over = following is None
            return None if following is None else begin(following)

        before = time.monotonic()
        try:
            for number, result in run_chain(
                classifier,
                begin(ticket),
                lanes=self._lanes,
                seed=self.job.settings.seed,
                more=more,
                is_over=lambda: is_over,
            ):
                one = opened[number]
                one.bar.__exit__(None, None, None)
                took = time.monotonic() - before
                open_images -= len(one.block.ids)
                rows, shown = self._finish(classifier, one, result)
                one.journal.remove()
                yield self._done(one.ticket, took + shown, rows)
                before = time.monotonic()
                opened[number] = one._replace(block=NO_BLOCK)  # frees its images
        finally:
            for one in opened:
                if one.bar.is_open:
                    one.bar.__exit__(*sys.exc_info())

    def _opened(self, classifier: Classifier, block: Block, ticket: Ticket) -> tuple[_Open, Piece]:
        """A unit of attacks, and its piece of the queue."""
        attempts = [one for one in self.job.attempts if one.attack == ticket.unit.what]
        aims = [self._aims(attempt, block) for attempt in attempts]
        sizes = [int(aim.use.sum()) for aim in aims]
        log.skip("targets equal to the label", sum(int((~aim.use).sum()) for aim in aims))
        journal = self._journal(ticket, "examples")
        bar = self._progress(ticket.unit, ticket.unit.what, sum(sizes), "attempts").__enter__()
        pairs = zip(aims, sizes, strict=True)
        piece = Piece(
            attacks=[aim.attempt.probe for aim, size in pairs for _ in range(size)],
            images=np.concatenate([block.images[aim.use] for aim in aims]),
            classes=np.concatenate([aim.classes[aim.use] for aim in aims]),
            targeted=np.repeat([aim.attempt.target_kind != "untargeted" for aim in aims], sizes),
            ids=np.concatenate([block.ids[aim.use] for aim in aims]),
            logits=np.concatenate([block.logits[aim.use] for aim in aims]),
            advance=self._advance(ticket, bar),
            journal=journal,
        )
        return _Open(ticket, block, aims, journal, bar), piece

    def _finish(
        self, classifier: Classifier, one: _Open, result: AttackResult
    ) -> tuple[pd.DataFrame, float]:
        """Write the rows of a unit whose attacks have ended.

        Returns the rows of examples, and the seconds of the transfer, without compilation.
        """
        unit, block = one.ticket.unit, one.block
        sizes = [int(aim.use.sum()) for aim in one.aims]
        ends = np.cumsum(sizes)
        frames = [
            _example_rows(classifier, block, aim, result.part(slice(end - size, end)))
            for aim, end, size in zip(one.aims, ends, sizes, strict=True)
        ]
        rows = pd.concat(frames, ignore_index=True)
        parts = [("examples", rows)]
        seconds = 0.0
        if unit.is_pictured:
            parts.append(("adversarial", _picture(classifier, block, rows, result.adversarial)))
        if block.others:
            shown, seconds = self._show_to_others(
                block, one.ticket, rows, result.adversarial, one.journal
            )
            parts.append(("transfer", shown))
        if self.job.settings.save_adversarial and not units.exists(self.run, self.job, unit):
            image_store.write(
                self.run.directory,
                unit.part,
                result.adversarial,
                digest=self.run.belonging.digest("examples"),
                dtype=self.job.settings.save_dtype,
            )
        self._commit(unit, parts)
        return rows, seconds

    def _aims(self, attempt: Attempt, block: Block) -> Aims:
        """The target classes of an attempt.

        As in the release, a target that equals the true class is skipped.
        """
        classes = self._classes(attempt.target_kind, block)
        return Aims(attempt, classes, _aims_elsewhere(attempt.target_kind, classes, block))

    def _classes(self, kind: str, block: Block) -> np.ndarray:
        if kind == "random" and block.drawn is not None:
            return block.drawn
        return targets.choose(
            kind, block.logits, block.labels, ids=block.ids, seed=self.job.settings.seed
        )

    def _show_to_others(
        self,
        block: Block,
        ticket: Ticket,
        rows: pd.DataFrame,
        adversarial: np.ndarray,
        journal: Journal,
    ) -> tuple[pd.DataFrame, float]:
        """Test the transfer to other networks.

        Returns the rows, and the seconds that this took, without compilation.
        """
        unit = ticket.unit
        others = [self.classifiers.logits(name) for name in block.others]
        what = f"{unit.what} shown to {len(others)} others"
        with self._progress(unit, what, len(rows), "images") as bar:

            def advance(count: int) -> None:
                self._advance(ticket, bar)(count)
                if journal.due():
                    journal.write()

            unseen = [other for other in others if other.name not in block.seen]
            for other, classes in zip(
                unseen, transfer.show(unseen, block.images, self._lanes), strict=True
            ):
                block.seen[other.name] = classes.predicted
            seen = transfer.show(others, adversarial, self._lanes, advance=advance)
        attempted = _Attempted.of(rows, block)
        judged = [
            attempted.judged(other, one, block.seen[other.name])
            for other, one in zip(others, seen, strict=True)
        ]
        shown = (
            "attacked",
            "invalid",
            "clean_predicted",
            "predicted",
            "success",
            "top5",
            "released_success",
            "released_top5",
        )
        columns = {
            column: np.concatenate([getattr(one, column) for one in judged]) for column in shown
        }
        models = np.repeat([other.name for other in others], len(rows))
        source = pd.concat([rows] * len(others), ignore_index=True)
        kept = source[["attack", "setting", "target_kind", "image_id", "label", "target"]]
        shown_rows = kept.assign(
            source=source["model"], model=models, source_success=source["success"], **columns
        )
        return shown_rows, bar.seconds

    def _score(self, classifier: Classifier, block: Block, ticket: Ticket) -> float:
        """Score a block with CLEVER. A row has one image, one target and one norm.

        The targeted kinds are scored in one call, because they share forward passes.

        Returns:
            The seconds that this took, without compilation.
        """
        unit = ticket.unit
        began = time.monotonic()
        clever = self.job.settings.clever
        targeted = [kind for kind in self.job.clever_kinds if kind != "untargeted"]
        frames = []
        untargeted = [kind for kind in self.job.clever_kinds if kind not in targeted]
        with contextlib.ExitStack() as journals:
            for number, kinds in enumerate(filter(None, [targeted, untargeted])):
                classes = [self._classes(kind, block) for kind in kinds]
                chosen = [
                    np.flatnonzero(_aims_elsewhere(kind, c, block))
                    for kind, c in zip(kinds, classes, strict=True)
                ]
                images = np.concatenate(chosen)
                log.skip("targets equal to the label", len(kinds) * len(block.ids) - len(images))
                journal = journals.enter_context(self._journal(ticket, "clever", f"-{number}"))
                aims = np.concatenate([c[use] for c, use in zip(classes, chosen, strict=True)])
                scores = clever_scores(
                    classifier,
                    block.images[images],
                    block.labels[images],
                    aims if kinds == targeted else None,
                    norms=tuple(SCORE_NORMS.values()),
                    batches=clever.batches,
                    samples=clever.samples,
                    radius=clever.radius,
                    protocol=clever.protocol,
                    method=clever.method,
                    seed=self.job.settings.seed,
                    ids=block.ids[images],
                    lanes=self._lanes,
                    progress=self.job.settings.progress
                    and f"{self._title(unit)} CLEVER, {', '.join(kinds)}",
                    advance=lambda count: ticket.check(),
                    journal=journal,
                )
                for column, norm in enumerate(SCORE_NORMS):
                    rows = {
                        "model": classifier.name,
                        "image_id": block.ids[images],
                        "label": block.labels[images],
                        "target": scores.target,
                        "target_kind": np.repeat(kinds, [len(use) for use in chosen]),
                        "norm": norm,
                        "margin": scores.margin,
                        "score": scores.score[:, column],
                        **{
                            name: values[:, column] for name, values in scores.fit._asdict().items()
                        },
                        "maxima": list(scores.maxima[:, :, column]),
                    }
                    frames.append(pd.DataFrame(rows))
            self._commit(unit, [("clever", pd.concat(frames))])
        return time.monotonic() - began


def _aims_elsewhere(kind: str, classes: np.ndarray, block: Block) -> np.ndarray:
    return np.full(len(classes), True) if kind == "untargeted" else classes != block.labels


def _picture(
    classifier: Classifier, block: Block, rows: pd.DataFrame, adversarial: np.ndarray
) -> pd.DataFrame:
    """The first image, and its adversarial image by the attack's last setting, for the report."""
    last = rows[rows["image_id"] == block.ids[0]].tail(1)
    columns = [
        "model",
        "attack",
        "setting",
        "target_kind",
        "image_id",
        "label",
        "target",
        "predicted",
        "success",
    ]
    pictures = {
        "size": np.int32(classifier.input_size),
        "clean": [block.images[0].ravel() for _ in last.index],
        "adversarial": [adversarial[row].ravel() for row in last.index],
    }
    return last[columns].assign(**pictures)


def _example_rows(
    classifier: Classifier, block: Block, aims: Aims, result: AttackResult
) -> pd.DataFrame:
    """A row for each image that an attempt attacked.

    The setting's values and the attack's notes are columns.
    """
    attempt = aims.attempt
    use = aims.use
    values = 3 * classifier.input_size**2
    nan = np.full(int(use.sum()), np.nan, np.float32)
    settings = dict(attempt.plain)
    searched = {"eps": np.full_like(nan, settings.pop("eps", np.nan)), "const": nan}
    for name in searched:
        if f"best_{name}" in result.details:
            searched[name] = result.details[f"best_{name}"]
    return pd.DataFrame(
        {
            "model": classifier.name,
            "attack": attempt.attack,
            "setting": attempt.label,
            "target_kind": attempt.target_kind,
            "image_id": block.ids[use],
            "label": block.labels[use],
            "target": aims.classes[use] if attempt.target_kind != "untargeted" else np.int32(-1),
            "success": result.success,
            "near_tie": result.near_tie,
            "revoked": result.revoked,
            "invalid": result.invalid,
            "zero_gradient": result.zero_gradient,
            "predicted": result.predicted,
            "l0": result.l0,
            "l1": result.l1,
            "l2": result.l2,
            "linf": result.linf,
            "l2_per_pixel": result.l2 / np.float32(values),
            "gradients": result.gradients,
            "forwards": result.forwards,
            **searched,
            **settings,
            **{name: result.details[name] for name in catalog.get(attempt.attack).notes},
        }
    )


class _Attempted(NamedTuple):
    """What the transfer to any network needs of the attempts of a block."""

    places: np.ndarray  # of their images in the block
    labels: np.ndarray
    targets: np.ndarray
    has_image: np.ndarray  # in the release
    success: np.ndarray

    @classmethod
    def of(cls, rows: pd.DataFrame, block: Block) -> "_Attempted":
        kept = {attack.name for attack in catalog.ATTACKS if attack.hands_on_failures}
        success = rows["success"].to_numpy()
        return cls(
            pd.Index(block.ids).get_indexer(pd.Index(rows["image_id"])),
            rows["label"].to_numpy(),
            rows["target"].to_numpy(),
            success | rows["attack"].isin(kept).to_numpy(),
            success,
        )

    def judged(
        self, other: Classifier, seen: transfer.Seen, clean: np.ndarray
    ) -> transfer.TransferRates:
        """The transfer to one network, from its predictions ``seen``, and ``clean`` of the block."""
        return transfer.judge_transfer(
            seen,
            clean[self.places],
            self.labels,
            self.targets,
            self.has_image,
            source_success=self.success,
            clf=other,
        )
