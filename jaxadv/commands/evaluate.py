"""evaluate: attack networks, score them with CLEVER, show every network the others' adversarial images, and report."""

import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from jaxadv import checks, targets, transfer
from jaxadv.api import AttackResult, clever_scores, run_attacks
from jaxadv.classifier import Classifier, load_classifier
from jaxadv.commands import plan, report
from jaxadv.data import digits
from jaxadv.progress import Progress
from jaxadv.store import Run
from model_ports import registry, weights
from model_ports.errors import InputError, unknown

NORMS = {"1": 1, "2": 2, "inf": np.inf}


class Attacked(NamedTuple):
    """The images of one network that it classifies correctly, as far as they are attacked."""

    images: np.ndarray  # (N, S, S, 3) float32 in [0, 1]
    labels: np.ndarray  # (N,) int32
    ids: np.ndarray  # (N,) int32
    logits: np.ndarray  # (N, K) float32, clean


class Attempts(NamedTuple):
    """One setting's attack on a network's images."""

    setting: plan.Setting
    classes: np.ndarray  # (N,) int32, what was aimed at; the labels if untargeted
    chosen: np.ndarray  # (N,) bool, False where the target would be the label
    result: AttackResult  # of the chosen


def main(flags: SimpleNamespace) -> None:
    """Run the job that the flags describe. Raises InputError before anything is written."""
    began = time.time()
    parts = plan.chosen("parts", flags.parts, plan.PARTS)
    if "transfer" in parts and "attacks" not in parts:
        raise InputError("--parts has transfer without attacks; transfer shows the attacks' images to the others: add attacks")
    settings = plan.attack_settings(flags) if "attacks" in parts else []
    clever_kinds = []
    if "clever" in parts:
        plan.check_clever(flags)
        clever_kinds = plan.target_kinds(flags, "clever")
    classifiers = _load(flags)
    out = Path(flags.out or time.strftime("results/%Y%m%d-%H%M%S"))
    run = Run.create(out, overwrite=flags.overwrite)

    sources = {}
    for number, classifier in enumerate(_compiled_ahead(classifiers, flags.lanes), 1):
        title = f"[{number}/{len(classifiers)}] {classifier.name}"
        attacked = _classify(run, classifier, flags)
        if settings:
            attempts = _attack(run, classifier, attacked, settings, flags, title)
            sources[classifier.name] = (attacked, attempts)
        if clever_kinds:
            _score(run, classifier, attacked, clever_kinds, flags, title)
    if "transfer" in parts:
        _transfer(run, classifiers, sources, flags)
    run.write_manifest(_manifest(flags, classifiers, time.time() - began))
    if "report" in parts:
        report.remake(out)
    print(f"finished in {time.time() - began:.0f} s", file=sys.stderr)


def _load(flags) -> list[Classifier]:
    if flags.zoo not in registry.ZOOS:
        raise unknown("zoo", flags.zoo, registry.ZOOS)
    if flags.data != "digits":
        raise unknown("data", flags.data, ["digits"])
    if flags.zoo != "digits":
        raise InputError(f"--zoo={flags.zoo} cannot be evaluated on --data={flags.data}: its classes are ImageNet's; use --zoo=digits")
    names = plan.models(flags.models, tuple(spec.name for spec in registry.MODELS))
    places = [weights.find(registry.network(name, zoo=flags.zoo), flags.weights_dir) for name in names]
    return [load_classifier(name, zoo=flags.zoo, weights=place) for name, place in zip(names, places, strict=True)]


def _compiled_ahead(classifiers: list[Classifier], lanes: int) -> Iterator[Classifier]:
    """Each classifier when its programs are compiled, which a thread does while those before it are at work."""
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        compiled = [pool.submit(classifier.compile, lanes) for classifier in classifiers]
        for classifier, done in zip(classifiers, compiled, strict=True):
            done.result()
            yield classifier
    finally:
        pool.shutdown(cancel_futures=True)


def _classify(run: Run, classifier: Classifier, flags) -> Attacked:
    """Classify the data, keep the rows, and return the images to attack: the first that are classified correctly."""
    data = digits.load("test", classifier.input_size)
    images, labels, ids = (array[: flags.num_images] for array in (checks.images(data.images), data.labels, data.ids))
    logits = classifier.logits_in_batches(images, flags.lanes)
    predicted = logits.argmax(1).astype(np.int32)
    top_five = np.argsort(logits, axis=1, kind="stable")[:, -5:]
    rows = {"image_id": ids, "label": labels, "predicted": predicted, "top5": (top_five == labels[:, None]).any(1)}
    run.append("clean", pd.DataFrame({"model": classifier.name, **rows}))
    use = np.flatnonzero(predicted == labels)[: flags.attacked_images]
    return Attacked(images[use], labels[use], ids[use], logits[use])


def _attack(run: Run, classifier: Classifier, attacked: Attacked, settings, flags, title: str) -> list[Attempts]:
    """Every setting on every image; the settings of one attack are one queue."""
    attempts = []
    with Progress(f"{title} attacks", len(attacked.ids) * len(settings), "attempts", show=flags.progress) as bar:
        for attack in dict.fromkeys(setting.attack for setting in settings):
            group = [setting for setting in settings if setting.attack == attack]
            classes = [_classes(setting.target_kind, attacked, flags.seed) for setting in group]
            chosen = [_aims_elsewhere(setting.target_kind, c, attacked) for setting, c in zip(group, classes, strict=True)]
            sizes = [int(use.sum()) for use in chosen]
            result = run_attacks(
                classifier,
                [setting.probe for setting, size in zip(group, sizes, strict=True) for _ in range(size)],
                np.concatenate([attacked.images[use] for use in chosen]),
                np.concatenate([c[use] for c, use in zip(classes, chosen, strict=True)]),
                np.repeat([setting.target_kind != "untargeted" for setting in group], sizes),
                lanes=flags.lanes,
                advance=bar.advance,
            )
            ends = np.cumsum(sizes)
            for setting, aims, use, end, size in zip(group, classes, chosen, ends, sizes, strict=True):
                attempts.append(Attempts(setting, aims, use, result.part(slice(end - size, end))))
    for attempt in attempts:
        run.append("examples", _example_rows(classifier, attacked, attempt))
    return attempts


def _classes(kind: str, attacked: Attacked, seed: int) -> np.ndarray:
    return targets.choose(kind, attacked.logits, attacked.labels, ids=attacked.ids, seed=seed)


def _aims_elsewhere(kind: str, classes: np.ndarray, attacked: Attacked) -> np.ndarray:
    """A target that equals the true class is skipped, as released."""
    return np.full(len(classes), True) if kind == "untargeted" else classes != attacked.labels


def _example_rows(classifier: Classifier, attacked: Attacked, attempt: Attempts) -> pd.DataFrame:
    setting, use, result = attempt.setting, attempt.chosen, attempt.result
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
            "target": attempt.classes[use] if setting.target_kind != "untargeted" else np.int32(-1),
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


def _score(run: Run, classifier: Classifier, attacked: Attacked, kinds: list[str], flags, title: str) -> None:
    """CLEVER's rows: an image, a target and a norm each."""
    first = Attacked(*(array[: flags.clever_images] for array in attacked))
    for kind in kinds:
        classes = _classes(kind, first, flags.seed)
        use = _aims_elsewhere(kind, classes, first)
        scores = clever_scores(
            classifier,
            first.images[use],
            first.labels[use],
            None if kind == "untargeted" else classes[use],
            norms=tuple(NORMS.values()),
            batches=flags.clever_batches,
            samples=flags.clever_samples,
            radius=flags.clever_radius,
            protocol=flags.clever_protocol,
            method=flags.clever_method,
            seed=flags.seed,
            ids=first.ids[use],
            lanes=flags.lanes,
            progress=flags.progress and f"{title} CLEVER, {kind}",
        )
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
            run.append("clever", pd.DataFrame(rows))


def _transfer(run: Run, classifiers: list[Classifier], sources: dict, flags) -> None:
    """Show every network the adversarial images of every other."""
    pairs = len(classifiers) * (len(classifiers) - 1)
    with Progress("transfer", pairs, "pairs", show=flags.progress) as bar:
        for classifier in classifiers:
            for source, (attacked, attempts) in sources.items():
                if source != classifier.name:
                    run.append("transfer", _transfer_rows(classifier, source, attacked, attempts, flags.lanes))
                    bar.advance(1)


def _transfer_rows(classifier: Classifier, source: str, attacked: Attacked, attempts: list[Attempts], lanes: int):
    """All that one network makes of another's images."""
    clean = classifier.logits_in_batches(transfer.refit(attacked.images, classifier.input_size), lanes).argmax(1)
    adversarial = np.concatenate([attempt.result.adversarial for attempt in attempts])
    logits = classifier.logits_in_batches(transfer.refit(adversarial, classifier.input_size), lanes)
    frames, end = [], 0
    for setting, classes, use, result in attempts:
        start, end = end, end + len(result.success)
        untargeted = setting.target_kind == "untargeted"
        rates = transfer.judge_transfer(
            logits[start:end],
            clean[use],
            attacked.labels[use],
            None if untargeted else classes[use],
            result.success | (setting.attack == "fgsm"),  # the release keeps FGSM's image, successful or not
            source_success=result.success,
            label_offset=classifier.label_offset,
        )
        frames.append(
            pd.DataFrame(
                {
                    "source": source,
                    "attack": setting.attack,
                    "setting": setting.label,
                    "target_kind": setting.target_kind,
                    "image_id": attacked.ids[use],
                    "label": attacked.labels[use],
                    "target": np.int32(-1) if untargeted else classes[use],
                    "model": classifier.name,
                    "source_success": result.success,
                    **{
                        name: getattr(rates, name)
                        for name in ("attacked", "clean_predicted", "predicted", "success", "top5")
                        + ("released_success", "released_top5")
                    },
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _manifest(flags, classifiers: list[Classifier], seconds: float) -> dict:
    versions = {name: sys.modules[name].__version__ for name in ("jax", "numpy", "pandas")}
    return {
        "models": [classifier.name for classifier in classifiers],
        "settings": dict(sorted(vars(flags).items())),
        "weights": {classifier.name: classifier.facts for classifier in classifiers},
        "devices": [str(device) for device in jax.devices()],
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": {"python": platform.python_version(), **versions},
        "seconds": round(seconds, 1),
    }
