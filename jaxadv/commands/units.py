"""The units of work of an evaluation, each a part of the run's rows: a unit whose part is there is done.

    clean        a network         its classifications; and `dropped`, the pictures that could not be used
    examples     network-attack    every setting of one attack, on every attacked image
    adversarial  a network         the pictures that the report shows
    transfer     network-to-other  the network's adversarial images, shown to another
    clever       network-kind      the scores towards one kind of target

A unit's rows follow from the run's identity alone, so one that was interrupted or damaged is made again to the bit.
"""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxadv import image_store, log, targets, transfer
from jaxadv.api import AttackResult, clever_scores, run_attacks
from jaxadv.classifier import Classifier
from jaxadv.commands.plan import Job
from jaxadv.data import study
from jaxadv.data.loader import Dropped, Pictures
from jaxadv.data.selection import common
from jaxadv.files import load_arrays, save_arrays
from jaxadv.journal import Journal
from jaxadv.progress import Progress
from jaxadv.store import Run

NORMS = {"1": 1, "2": 2, "inf": np.inf}


class Todo(NamedTuple):
    """What is missing of one network."""

    clean: bool
    attacks: list[str]
    pictures: bool
    shown_to: list[str]
    clever: list[str]


class Attacked(NamedTuple):
    """The images of one network that it classifies correctly, as far as they are attacked."""

    images: np.ndarray  # (N, S, S, 3) float32 in [0, 1]
    labels: np.ndarray  # (N,) int32
    ids: np.ndarray  # (N,) int32
    logits: np.ndarray  # (N, K) float32, clean
    drawn: np.ndarray | None  # (N,) int32, the study's own random targets

    def first(self, count: int | None) -> "Attacked":
        return Attacked(*(array if array is None else array[:count] for array in self))


def missing(run: Run, job: Job, name: str) -> Todo:
    """What is still to be done for the network ``name``; an attack also where its images are needed and not at hand."""
    attacks = [attack for attack in job.attacks if not _is_attacked(run, job, f"{name}-{attack}")]
    pictures = bool(job.attacks) and not run.has("adversarial", name)
    others = job.shown_to(name) if "transfer" in job.parts else []
    shown_to = [other for other in others if not run.has("transfer", f"{name}-to-{other}")]
    if pictures or shown_to:
        attacks = [attack for attack in job.attacks if attack in attacks or not zipfile.is_zipfile(_images(run, name, attack))]
    clever = [kind for kind in job.clever_kinds if not run.has("clever", f"{name}-{kind}")]
    clean = not all([run.has("clean", name), run.has("dropped", name)])
    return Todo(clean, attacks, pictures, shown_to, clever)


def _is_attacked(run: Run, job: Job, part: str) -> bool:
    return run.has("examples", part) and (not job.save_adversarial or image_store.has(run.directory, part))


def classify(run: Run, job: Job, name: str, classifiers, *, title: str) -> None:
    """Do that unit alone: which images all networks have right is known once all are classified."""
    classifier = classifiers[name]
    _classify(run, job, classifier, job.pictures(classifier.input_size), title)


def work(run: Run, job: Job, todo: Todo, name: str, classifiers, *, title: str) -> None:
    """Do what is missing of one network. classifiers: by name, of all networks that this needs."""
    classifier = classifiers[name]
    pictures = job.pictures(classifier.input_size)
    if todo.clean:
        _classify(run, job, classifier, pictures, title)
    attacked = _attacked(run, job, classifier, pictures)
    for attack in todo.attacks:
        _attack(run, job, classifier, attacked, attack, title)
    if todo.pictures:
        _keep_pictures(run, job, classifier, attacked)
    if todo.shown_to:
        _show_to_others(run, job, name, attacked, [classifiers[other] for other in todo.shown_to], title)
    for attack in job.attacks:
        _images(run, name, attack).unlink(missing_ok=True)
    for kind in todo.clever:
        _score(run, job, classifier, attacked, kind, title)


def _images(run: Run, name: str, attack: str) -> Path:
    """The adversarial images of an attack, in the order of its rows, until they have been shown to the other networks."""
    return run.unfinished / f"{name}-{attack}.npz"


def _classify(run: Run, job: Job, classifier: Classifier, pictures: Pictures, title: str) -> None:
    name, frames, dropped = classifier.name, [], []
    with Progress(f"{title} classification", len(job.chosen), "images", show=job.progress) as bar:
        for batch in pictures:
            logits = classifier.logits_in_batches(batch.images, job.lanes)
            top_five = np.argsort(logits, axis=1, kind="stable")[:, -5:]
            rows = {
                "model": name,
                "image_id": batch.ids,
                "label": batch.labels,
                "predicted": logits.argmax(1).astype(np.int32),
                "top5": (top_five == batch.labels[:, None]).any(1),
            }
            frames.append(pd.DataFrame(rows))
            dropped += batch.dropped
            bar.advance(len(batch.ids) + len(batch.dropped))
    run.append("dropped", pd.DataFrame(dropped, columns=Dropped._fields).assign(model=name), part=name)
    run.append("clean", pd.concat(frames), part=name)


def _attacked(run: Run, job: Job, classifier: Classifier, pictures: Pictures) -> Attacked:
    """The first images that are classified correctly, by all networks if the selection is of those."""
    clean = run.read("clean", part=classifier.name)
    right = clean["predicted"] == clean["label"]
    if job.selection == "common":
        right &= clean["image_id"].isin(common(run.read("clean"), job.models))
    use = np.flatnonzero(right)[: job.attacked_images]
    labels, ids = clean["label"].to_numpy()[use], clean["image_id"].to_numpy()[use]
    images = pictures.take(ids)
    drawn = study.random_targets(clean["label"].to_numpy())[use] if job.has_study_targets else None
    return Attacked(images, labels, ids, classifier.logits_in_batches(images, job.lanes), drawn)


def _attack(run: Run, job: Job, classifier: Classifier, attacked: Attacked, attack: str, title: str) -> None:
    """Every setting of one attack on every image, as one queue."""
    part = f"{classifier.name}-{attack}"
    settings = [setting for setting in job.settings if setting.attack == attack]
    classes = [_classes(setting.target_kind, attacked, job.seed) for setting in settings]
    chosen = [_aims_elsewhere(setting.target_kind, c, attacked) for setting, c in zip(settings, classes, strict=True)]
    sizes = [int(use.sum()) for use in chosen]
    log.skip("targets equal to the label", sum(int((~use).sum()) for use in chosen))
    journal = Journal(run.unfinished, part, seconds=job.save_seconds)
    with Progress(f"{title} {attack}", sum(sizes), "attempts", show=job.progress) as bar:
        result = run_attacks(
            classifier,
            [setting.probe for setting, size in zip(settings, sizes, strict=True) for _ in range(size)],
            np.concatenate([attacked.images[use] for use in chosen]),
            np.concatenate([c[use] for c, use in zip(classes, chosen, strict=True)]),
            np.repeat([setting.target_kind != "untargeted" for setting in settings], sizes),
            lanes=job.lanes,
            advance=bar.advance,
            journal=journal,
        )
    ends = np.cumsum(sizes)
    frames = [
        _example_rows(classifier, attacked, setting, aims, use, result.part(slice(end - size, end)))
        for setting, aims, use, end, size in zip(settings, classes, chosen, ends, sizes, strict=True)
    ]
    save_arrays(_images(run, classifier.name, attack), {"adversarial": result.adversarial})
    if job.save_adversarial:
        image_store.write(run.directory, part, result.adversarial)
    run.append("examples", pd.concat(frames), part=part)
    journal.remove()


def _classes(kind: str, attacked: Attacked, seed: int) -> np.ndarray:
    if kind == "random" and attacked.drawn is not None:
        return attacked.drawn
    return targets.choose(kind, attacked.logits, attacked.labels, ids=attacked.ids, seed=seed)


def _aims_elsewhere(kind: str, classes: np.ndarray, attacked: Attacked) -> np.ndarray:
    """A target that equals the true class is skipped, as released."""
    return np.full(len(classes), True) if kind == "untargeted" else classes != attacked.labels


def _example_rows(classifier, attacked: Attacked, setting, classes: np.ndarray, use: np.ndarray, result: AttackResult) -> pd.DataFrame:
    values = 3 * classifier.input_size**2
    nan = np.full(int(use.sum()), np.nan, np.float32)
    eps = np.full_like(nan, setting.probe.eps) if setting.attack == "fgsm" else nan
    return pd.DataFrame(
        {
            "model": classifier.name,
            "attack": setting.attack,
            "setting": setting.label,
            "target_kind": setting.target_kind,
            "image_id": attacked.ids[use],
            "label": attacked.labels[use],
            "target": classes[use] if setting.target_kind != "untargeted" else np.int32(-1),
            "success": result.success,
            "near_tie": result.near_tie,
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


def _attempts(run: Run, job: Job, name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """All rows of a network's attacks, and the adversarial image (N, S, S, 3) of each."""
    rows = [run.read("examples", part=f"{name}-{attack}") for attack in job.attacks]
    images = [load_arrays(_images(run, name, attack))["adversarial"] for attack in job.attacks]
    return pd.concat(rows, ignore_index=True), np.concatenate(images)


def _keep_pictures(run: Run, job: Job, classifier: Classifier, attacked: Attacked) -> None:
    """Of the first image, what the last setting of each attack made of it."""
    rows, adversarial = _attempts(run, job, classifier.name)
    last = rows[rows["image_id"] == attacked.ids[0]].groupby("attack", sort=False).tail(1) if len(attacked.ids) else rows[:0]
    columns = ["model", "attack", "setting", "target_kind", "image_id", "label", "target", "predicted", "success"]
    pictures = {
        "size": np.int32(classifier.input_size),
        "clean": [attacked.images[0].ravel() for _ in last.index],
        "adversarial": [adversarial[row].ravel() for row in last.index],
    }
    run.append("adversarial", last[columns].assign(**pictures), part=classifier.name)


def _show_to_others(run: Run, job: Job, name: str, attacked: Attacked, others: list[Classifier], title: str) -> None:
    rows, adversarial = _attempts(run, job, name)
    with Progress(f"{title} transfer", len(others), "networks", show=job.progress) as bar:
        for other in others:
            run.append("transfer", _transfer_rows(other, rows, adversarial, attacked, job.lanes), part=f"{name}-to-{other.name}")
            bar.advance(1)


def _transfer_rows(other: Classifier, rows: pd.DataFrame, adversarial: np.ndarray, attacked: Attacked, lanes: int) -> pd.DataFrame:
    """All that one network makes of another's images; rows: of the attempts that made them."""
    clean = other.logits_in_batches(transfer.refit(attacked.images, other.input_size), lanes).argmax(1)
    logits = other.logits_in_batches(transfer.refit(adversarial, other.input_size), lanes)
    judged = transfer.judge_transfer(
        logits,
        pd.Series(clean, attacked.ids)[rows["image_id"]].to_numpy(),
        rows["label"].to_numpy(),
        rows["target"].to_numpy(),
        (rows["success"] | (rows["attack"] == "fgsm")).to_numpy(),  # the release keeps FGSM's image, successful or not
        source_success=rows["success"].to_numpy(),
        label_offset=other.label_offset,
    )
    shown = ("attacked", "clean_predicted", "predicted", "success", "top5", "released_success", "released_top5")
    kept = rows[["attack", "setting", "target_kind", "image_id", "label", "target"]]
    return kept.assign(
        source=rows["model"], model=other.name, source_success=rows["success"], **{column: getattr(judged, column) for column in shown}
    )


def _score(run: Run, job: Job, classifier: Classifier, attacked: Attacked, kind: str, title: str) -> None:
    """CLEVER's rows: an image, a target and a norm each."""
    first = attacked.first(job.clever_images)
    classes = _classes(kind, first, job.seed)
    use = _aims_elsewhere(kind, classes, first)
    part = f"{classifier.name}-{kind}"
    journal = Journal(run.unfinished, f"{part}-clever", seconds=job.save_seconds)
    scores = clever_scores(
        classifier,
        first.images[use],
        first.labels[use],
        None if kind == "untargeted" else classes[use],
        norms=tuple(NORMS.values()),
        **job.clever,
        seed=job.seed,
        ids=first.ids[use],
        lanes=job.lanes,
        progress=job.progress and f"{title} CLEVER, {kind}",
        journal=journal,
    )
    frames = []
    for column, norm in enumerate(NORMS):
        rows = {
            "model": classifier.name,
            "image_id": first.ids[use],
            "label": first.labels[use],
            "target": scores.target,
            "target_kind": kind,
            "norm": norm,
            "margin": scores.margin,
            "score": scores.score[:, column],
            **{name: values[:, column] for name, values in scores.fit._asdict().items()},
            "maxima": list(scores.maxima[:, :, column]),
        }
        frames.append(pd.DataFrame(rows))
    run.append("clever", pd.concat(frames), part=part)
    journal.remove()
