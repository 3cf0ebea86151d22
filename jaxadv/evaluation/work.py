"""Doing the units of work of an evaluation (see `jaxadv.evaluation.units`)."""

import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv.api import AttackResult, clever_scores, run_attacks
from jaxadv.core import targets, transfer
from jaxadv.core.classifier import Classifier
from jaxadv.core.journal import Journal
from jaxadv.data.loader import Dropped, Pictures
from jaxadv.evaluation import units
from jaxadv.evaluation.plan import Job
from jaxadv.evaluation.units import Unit
from jaxadv.store import image_store
from jaxadv.store.run import Run
from jaxadv.support import log
from jaxadv.support.progress import Progress

NORMS = {"1": 1, "2": 2, "inf": np.inf}


class Block(NamedTuple):
    """The attacked images of one network that are in memory."""

    images: np.ndarray  # (N, S, S, 3) float32 in [0, 1]
    labels: np.ndarray  # (N,) int32
    ids: np.ndarray  # (N,) int64
    logits: np.ndarray  # (N, K) float32, clean
    drawn: np.ndarray | None  # (N,) int32, the study's own random targets
    seen: dict[str, np.ndarray]  # what other networks make of the clean images, (N,) each, as far as they were asked


def whole(run: Run, job: Job, names: list[str], classifiers, *, title: str) -> None:
    """Do what is missing of one network, the only one named. classifiers: by name, compiled; ``logits`` waits for that program alone."""
    (name,) = names
    classify(run, job, [unit for unit in units.classifications(job, name) if not units.is_done(run, job, unit)], classifiers, title=title)
    attempt(run, job, [unit for unit in units.attempts(run, job, name) if not units.is_done(run, job, unit)], classifiers, title=title)


def classify(run: Run, job: Job, todo: list[Unit], classifiers, *, title: str) -> None:
    """Classify blocks of one network."""
    for unit in todo:
        classifier = classifiers.logits(unit.network)
        _classify(run, job, classifier, unit, job.pictures(classifier.input_size, units.classified(job, unit.block)), title)


def attempt(run: Run, job: Job, todo: list[Unit], classifiers, *, title: str) -> None:
    """Attack and score blocks of one network, which is classified."""
    if not todo:
        return
    classifier = classifiers[todo[0].network]
    attackable = units.attackable(run, job, classifier.name)
    pictures = job.pictures(classifier.input_size)
    for _, some in itertools.groupby(todo, key=lambda unit: (unit.stage, unit.block)):
        some = list(some)
        block = _block(job, classifier, pictures, attackable.block(job, some[0]))
        for unit in some:
            if unit.stage == "attack":
                _attack(run, job, classifier, block, unit, classifiers, title)
            else:
                _score(run, job, classifier, block, unit, title)


def _block(job: Job, classifier: Classifier, pictures: Pictures, chosen: units.Attackable) -> Block:
    images = pictures.take(chosen.ids)
    return Block(images, chosen.labels, chosen.ids, classifier.logits_in_batches(images, job.lanes), chosen.drawn, {})


def _classify(run: Run, job: Job, classifier: Classifier, unit: Unit, pictures: Pictures, title: str) -> None:
    name, frames, dropped = classifier.name, [], []
    with Progress(f"{title} classification", len(units.classified(job, unit.block)), "images", show=job.progress) as bar:
        for batch in pictures:
            predicted, top_five = transfer.seen(classifier.logits_in_batches(batch.images, job.lanes))
            rows = {
                "model": name,
                "image_id": batch.ids,
                "label": batch.labels,
                "predicted": predicted,
                "top5": (top_five == batch.labels[:, None]).any(1),
            }
            frames.append(pd.DataFrame(rows))
            dropped += batch.dropped
            bar.advance(len(batch.ids) + len(batch.dropped))
    run.append("dropped", pd.DataFrame(dropped, columns=Dropped._fields).assign(model=name), part=unit.part)
    run.append("clean", pd.concat(frames), part=unit.part)


def _attack(run: Run, job: Job, classifier: Classifier, block: Block, unit: Unit, classifiers, title: str) -> None:
    """Every setting of one attack on every image, as one queue; then the others are shown what came of it.

    The journal keeps it until all is written: an interrupted transfer does not attack again.
    """
    settings = [setting for setting in job.settings if setting.attack == unit.what]
    classes = [_classes(setting.target_kind, block, job.seed) for setting in settings]
    chosen = [_aims_elsewhere(setting.target_kind, c, block) for setting, c in zip(settings, classes, strict=True)]
    sizes = [int(use.sum()) for use in chosen]
    log.skip("targets equal to the label", sum(int((~use).sum()) for use in chosen))
    journal = Journal(run.unfinished, unit.part, seconds=job.save_seconds)
    with Progress(f"{title} {unit.what}", sum(sizes), "attempts", show=job.progress) as bar:
        result = run_attacks(
            classifier,
            [setting.probe for setting, size in zip(settings, sizes, strict=True) for _ in range(size)],
            np.concatenate([block.images[use] for use in chosen]),
            np.concatenate([c[use] for c, use in zip(classes, chosen, strict=True)]),
            np.repeat([setting.target_kind != "untargeted" for setting in settings], sizes),
            lanes=job.lanes,
            advance=bar.advance,
            journal=journal,
        )
    ends = np.cumsum(sizes)
    frames = [
        _example_rows(classifier, block, setting, aims, use, result.part(slice(end - size, end)))
        for setting, aims, use, end, size in zip(settings, classes, chosen, ends, sizes, strict=True)
    ]
    rows = pd.concat(frames, ignore_index=True)
    if job.save_adversarial:
        image_store.write(run.directory, unit.part, result.adversarial)
    run.append("examples", rows, part=unit.part)
    for kind in units.kinds(job, unit)[1:]:
        if kind == "adversarial":
            _keep_picture(run, classifier, block, unit, rows, result.adversarial)
        else:
            _show_to_others(run, job, block, unit, rows, result.adversarial, classifiers, journal, title)
    journal.remove()


def _classes(kind: str, block: Block, seed: int) -> np.ndarray:
    if kind == "random" and block.drawn is not None:
        return block.drawn
    return targets.choose(kind, block.logits, block.labels, ids=block.ids, seed=seed)


def _aims_elsewhere(kind: str, classes: np.ndarray, block: Block) -> np.ndarray:
    """A target that equals the true class is skipped, as released."""
    return np.full(len(classes), True) if kind == "untargeted" else classes != block.labels


def _example_rows(classifier, block: Block, setting, classes: np.ndarray, use: np.ndarray, result: AttackResult) -> pd.DataFrame:
    values = 3 * classifier.input_size**2
    nan = np.full(int(use.sum()), np.nan, np.float32)
    eps = np.full_like(nan, setting.probe.eps) if setting.attack == "fgsm" else nan
    return pd.DataFrame(
        {
            "model": classifier.name,
            "attack": setting.attack,
            "setting": setting.label,
            "target_kind": setting.target_kind,
            "image_id": block.ids[use],
            "label": block.labels[use],
            "target": classes[use] if setting.target_kind != "untargeted" else np.int32(-1),
            "success": result.success,
            "near_tie": result.near_tie,
            "revoked": result.revoked,
            "predicted": result.predicted,
            "l0": result.l0,
            "l1": result.l1,
            "l2": result.l2,
            "linf": result.linf,
            "l2_per_pixel": result.l2 / np.float32(values),
            "gradients": result.gradients,
            "forwards": result.forwards,
            "eps": result.details.get("best_eps", eps),
            "const": result.details.get("best_const", nan),
        }
    )


def _keep_picture(run: Run, classifier: Classifier, block: Block, unit: Unit, rows: pd.DataFrame, adversarial: np.ndarray) -> None:
    """What the last setting of the attack made of the first image, for the report."""
    last = rows[rows["image_id"] == block.ids[0]].tail(1)
    columns = ["model", "attack", "setting", "target_kind", "image_id", "label", "target", "predicted", "success"]
    pictures = {
        "size": np.int32(classifier.input_size),
        "clean": [block.images[0].ravel() for _ in last.index],
        "adversarial": [adversarial[row].ravel() for row in last.index],
    }
    run.append("adversarial", last[columns].assign(**pictures), part=unit.part)


def _show_to_others(run: Run, job: Job, block: Block, unit: Unit, rows, adversarial, classifiers, journal: Journal, title: str) -> None:
    others = [classifiers.logits(name) for name in job.shown_to(unit.network)]
    with Progress(f"{title} {unit.what} shown to {len(others)} others", len(rows), "images", show=job.progress) as bar:

        def advance(count: int) -> None:
            bar.advance(count)
            if journal.due():
                journal.write()

        unseen = [other for other in others if other.name not in block.seen]
        for other, classes in zip(unseen, transfer.show(unseen, block.images, job.lanes), strict=True):
            block.seen[other.name] = classes.predicted
        found = transfer.show(others, adversarial, job.lanes, advance=advance)
    judged = [_judge(*pair, rows, block) for pair in zip(others, found, strict=True)]
    shown = ("attacked", "clean_predicted", "predicted", "success", "top5", "released_success", "released_top5")
    columns = {column: np.concatenate([getattr(one, column) for one in judged]) for column in shown}
    models = np.repeat([other.name for other in others], len(rows))
    source = pd.concat([rows] * len(others), ignore_index=True)
    kept = source[["attack", "setting", "target_kind", "image_id", "label", "target"]]
    run.append(
        "transfer",
        kept.assign(source=source["model"], model=models, source_success=source["success"], **columns),
        part=unit.part,
    )


def _judge(other: Classifier, found: transfer.Seen, rows: pd.DataFrame, block: Block) -> transfer.TransferRates:
    """What one network makes of another's images, in which it has ``found`` these classes; rows: of the attempts that made them."""
    return transfer.judge_transfer(
        found,
        block.seen[other.name][pd.Index(block.ids).get_indexer(rows["image_id"])],
        rows["label"].to_numpy(),
        rows["target"].to_numpy(),
        (rows["success"] | (rows["attack"] == "fgsm")).to_numpy(),  # the release keeps FGSM's image, successful or not
        source_success=rows["success"].to_numpy(),
        clf=other,
    )


def _score(run: Run, job: Job, classifier: Classifier, block: Block, unit: Unit, title: str) -> None:
    """CLEVER's rows: an image, a target and a norm each. Kinds of target are scored together, since they share forward passes."""
    targeted = [kind for kind in job.clever_kinds if kind != "untargeted"]
    frames, journals = [], []
    for kinds in filter(None, [targeted, [kind for kind in job.clever_kinds if kind not in targeted]]):
        classes = [_classes(kind, block, job.seed) for kind in kinds]
        chosen = [np.flatnonzero(_aims_elsewhere(kind, c, block)) for kind, c in zip(kinds, classes, strict=True)]
        images = np.concatenate(chosen)
        log.skip("targets equal to the label", len(kinds) * len(block.ids) - len(images))
        journals.append(Journal(run.unfinished, f"{unit.part}-{len(journals)}", seconds=job.save_seconds))
        scores = clever_scores(
            classifier,
            block.images[images],
            block.labels[images],
            np.concatenate([c[use] for c, use in zip(classes, chosen, strict=True)]) if kinds == targeted else None,
            norms=tuple(NORMS.values()),
            **job.clever,
            seed=job.seed,
            ids=block.ids[images],
            lanes=job.lanes,
            progress=job.progress and f"{title} CLEVER, {', '.join(kinds)}",
            journal=journals[-1],
        )
        for column, norm in enumerate(NORMS):
            rows = {
                "model": classifier.name,
                "image_id": block.ids[images],
                "label": block.labels[images],
                "target": scores.target,
                "target_kind": np.repeat(kinds, [len(use) for use in chosen]),
                "norm": norm,
                "margin": scores.margin,
                "score": scores.score[:, column],
                **{name: values[:, column] for name, values in scores.fit._asdict().items()},
                "maxima": list(scores.maxima[:, :, column]),
            }
            frames.append(pd.DataFrame(rows))
    run.append("clever", pd.concat(frames), part=unit.part)
    for journal in journals:
        journal.remove()
