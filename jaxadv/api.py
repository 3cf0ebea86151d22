"""Attacks and CLEVER on arrays of images, for Python users and for the commands: `run_attack` and
`clever_scores`.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxadv.analysis import faults
from jaxadv.attacks import catalog
from jaxadv.clever.result import CleverResult
from jaxadv.clever.sampler import PROTOCOLS, CleverSampler, SampleItem
from jaxadv.clever.weibull import METHODS, WeibullFit, fit_reverse_weibull
from jaxadv.core import chain, contract, engine, sequences
from jaxadv.core.chain import Piece
from jaxadv.core.classifier import Classifier
from jaxadv.core.faults import Watch
from jaxadv.core.items import check_classes
from jaxadv.core.journal import Journal
from jaxadv.core.probe import AttackProbe, AttackSequence
from jaxadv.core.result import AttackResult
from jaxadv.support import checks, log
from jaxadv.support.progress import Progress

DUAL = {1.0: 2, 2.0: 1, np.inf: 0}
"""For each norm of a distortion, the column of its dual norm in the sampler's maxima (l1, l2,
linf).
"""
TOGETHER = 4
"""The most targets of CLEVER that share a forward pass. Two or three together take 21 to 39 % less
time than separately. Nine targets in groups of three take 22 to 34 % less (mobilenet_v1_100 and
resnet_v2_50 of the digits zoo on two shared cores).
"""
SHARED_FROM = 2**14
"""The least number of samples of a pair for which sharing saves more time than its additional
program takes to compile.
"""


def run_attack(
    clf: Classifier,
    attack,
    images,
    labels,
    targets=None,
    *,
    lanes: int | None = None,
    seed: int = 0,
    ids=None,
    progress: bool = False,
) -> AttackResult:
    """Attack every image with one setting.

    An untargeted attack succeeds if the class is not the label. So a clean image that is classified
    wrongly is a success, usually at distance 0. Leave such images out (keep ``clf.predict(images)
    == labels``), as an evaluation does. An attempt without success is ``invalid`` if a logit or
    gradient was NaN or infinite. A warning reports invalid attempts. Another reports zero gradients
    if a quarter of the images has them.

    Args:
        clf: the classifier.
        attack: an attack with its settings, such as `FGSM(eps=0.1)`.
        images: (N, S, S, 3) float32 in [0, 1].
        labels: (N,) true classes, 0..K-1.
        targets: (N,) target classes, 0..K-1, different from the labels. None for untargeted
            attacks.
        lanes: images side by side on the device. Results depend on it by rounding only.
        seed: the seed of random starts and steps. The attacks of the study have none.
        ids: (N,) numbers of the images. The seed and an image's number determine its random draws.
            None for 0..N-1.
        progress: whether a line on standard error shows rate and remaining time.

    Returns:
        For each image: the adversarial image, success, distances and evaluations used.

    Raises:
        InputError: if an input has another type, shape or range, or if the classifier breaks its
            contract.
    """
    images = clf.check(images)
    labels = checks.classes(labels, count=len(images), num_classes=clf.num_classes, name="labels")
    targeted = np.full(len(images), targets is not None)
    classes = (
        labels if targets is None else checks.targets(targets, labels, num_classes=clf.num_classes)
    )
    what = f"{type(attack).__name__} on {clf.name}"
    with Progress(what, len(images), "images", show=progress) as bar:
        attacks = [attack] * len(images)
        result = run_attacks(
            clf,
            attacks,
            images,
            classes,
            targeted,
            lanes=lanes,
            seed=seed,
            ids=ids,
            advance=bar.advance,
        )
    counts = len(images), int(result.invalid.sum()), int(result.zero_gradient.sum())
    for line in faults.of_attempts([faults.Attempts(what, *counts)]):
        log.warn(line)
    return result


def run_attacks(
    clf: Classifier,
    attacks: Sequence[AttackProbe[Any]],
    images: np.ndarray,
    classes: np.ndarray,
    targeted: np.ndarray,
    *,
    lanes: int | None = None,
    seed: int = 0,
    ids: Any = None,
    logits: np.ndarray | None = None,
    advance: Callable[[int, int | None], None] | None = None,
    journal: Journal | None = None,
) -> AttackResult:
    """Run attack i on image i, for all i. A whole sweep is one queue.

    If the attacks are sequences, such as AutoAttack, each stage is a queue.

    Args:
        clf: the classifier.
        attacks: N attacks with their settings.
        images: (N, S, S, 3) float32 in [0, 1], already checked.
        classes: (N,) int32, the target class where ``targeted``, else the true class.
        targeted: (N,) bool.
        lanes: images side by side on the device.
        seed: as for `run_attack`.
        ids: as for `run_attack`.
        logits: (N, K) of the clean images, if they are known. Some attacks rank the classes by
            them.
        advance: called after each image with 1, and with 1 or 0 for success. For an attack without
            a search the second argument is None, since success is not yet known.
        journal: saves unfinished work, and holds the work of an interrupted call with the same
            arguments.

    Returns:
        The result of each image. ``details`` has the entries that all attacks share.

    Raises:
        InputError: if a setting is out of range, or if the classifier breaks its contract.
    """
    lanes = _check_lanes(lanes, len(images))
    piece = Piece(attacks, images, classes, targeted, ids, logits, advance, journal)
    ((_, result),) = run_chain(clf, piece, lanes=lanes, seed=seed)
    return result


def run_chain(
    clf: Classifier,
    first: Piece,
    *,
    lanes: int,
    seed: int = 0,
    more: Callable[[], Piece | None] | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, AttackResult]]:
    """Run the attacks of several pieces of work in one queue; see `jaxadv.core.chain.run`.

    Args:
        clf: the classifier.
        first: as for `jaxadv.core.chain.run`.
        lanes: as for `jaxadv.core.chain.run`.
        seed: as for `run_attack`.
        more: as for `jaxadv.core.chain.run`. It is not called if attacks are sequences.
        is_over: as for `jaxadv.core.chain.run`.

    Yields:
        The number of a piece, and its result.

    Raises:
        InputError: if a setting is out of range, or if the classifier breaks its contract.
    """
    different = {id(attack): attack for attack in first.attacks}.values()
    for attack in different:
        catalog.check(attack)
        check_classes(attack, clf.name, clf.num_classes)
    if any(isinstance(attack, AttackSequence) for attack in different):
        yield 0, sequences.run(clf, first, run_attacks, lanes=lanes, seed=seed)
        return
    clf = clf.awake()
    if first.attacks:
        contract.check(clf, lanes)
    yield from chain.run(clf, first, lanes=lanes, seed=seed, more=more, is_over=is_over)


def _check_lanes(lanes: int | None, items: int) -> int:
    if lanes is not None:
        checks.count("lanes", lanes)
    return engine.choose_lanes(items, lanes)


def clever_scores(
    clf: Classifier,
    images,
    labels,
    targets=None,
    *,
    norms: Sequence[float] = (1, 2, np.inf),
    batches: int = 500,
    samples: int = 1024,
    radius: float | None = None,
    protocol: str = "released",
    method: str = "released",
    seed: int = 0,
    ids=None,
    lanes: int | None = None,
    progress: bool | str = False,
    advance: Callable[[int], None] | None = None,
    journal: Journal | None = None,
) -> CleverResult:
    """CLEVER scores: estimated lower bounds on the distortion that changes a class (Weng et al.
    2018, algorithm 1).

    A score is the margin divided by the local Lipschitz constant. An extreme-value fit to the
    largest gradient norms around the image estimates that constant. The score is 0 if the margin is
    not positive. It is NaN if a logit or gradient is NaN or infinite, at the image or at a sample.
    Rows with the same image, label and id use the same samples for all targets. They share forward
    passes if the samples are many.

    Args:
        clf: the classifier.
        images: (N, S, S, 3) float32 in [0, 1].
        labels: (N,) classes c.
        targets: (N,) classes j. None for untargeted scores: the least over all j != c, at K - 1
            times the cost.
        norms: the norms of the distortion, out of 1, 2 and inf. The gradient is measured in the
            dual norm.
        batches: Nb, the number of batches whose maxima are fitted, at least 2.
        samples: Ns, the number of samples in a batch.
        radius: the radius of the samples, in pixel units of range 1. None for the protocol's
            default.
        protocol: "released" or "paper" (see `CleverSampler`). The paper's score is capped at the
            radius.
        method: the method of the fit: "released", "mle" or "max".
        seed: the seed of the samples.
        ids: (N,) numbers of the images. The seed and an image's number determine its samples. None
            for 0..N-1.
        lanes: batches side by side on the device. Results depend on it by rounding only.
        progress: whether a line shows rate and remaining time. A string is the title of the line.
        advance: called with 1 after each batch of samples.
        journal: saves unfinished work, and holds the work of an interrupted call with the same
            arguments.

    Returns:
        For each image: scores (N, len(norms)), margins, maxima and fits.

    Raises:
        InputError: if an input has another type, shape or range, or if the classifier breaks its
            contract.
    """
    images = clf.check(images)
    count = len(images)
    num_classes = clf.num_classes
    labels = checks.classes(labels, count=count, num_classes=num_classes, name="labels")
    if not isinstance(norms, Sequence) or not norms or any(norm not in DUAL for norm in norms):
        raise checks.InputError(
            f"norms is {norms!r}; give a list with at least one norm, each 1, 2 or inf"
        )
    columns = [DUAL[norm] for norm in norms]
    checks.choice("protocol", protocol, tuple(PROTOCOLS))
    checks.choice("method", method, METHODS)
    checks.count("batches", batches, low=2)
    sampler = CleverSampler(
        radius=PROTOCOLS[protocol] if radius is None else radius, samples=samples, protocol=protocol
    )
    sampler.check()
    seed_number: Any = checks.whole_numbers("seed", seed)
    ids = checks.whole_numbers("ids", np.arange(count) if ids is None else ids, size=count)

    if targets is None:  # every class except the label: K - 1 pairs for each image
        aims = (
            np.stack([np.delete(np.arange(num_classes), label) for label in labels])
            if count
            else np.zeros((0, 1))
        )
    else:
        aims = checks.targets(targets, labels, num_classes=num_classes)[:, None]
    pairs = [(image, int(target)) for image in range(count) for target in aims[image]]
    lanes = _check_lanes(lanes, len(pairs) * batches)
    if pairs:
        contract.check(clf, lanes)
    clf = clf.awake()
    margins = clf.logits_in_batches(images, lanes)
    margins = np.array([margins[i, labels[i]] - margins[i, t] for i, t in pairs], np.float32)
    groups = (
        _alike(images, labels, ids, pairs)
        if batches * samples >= SHARED_FROM
        else [[number] for number in range(len(pairs))]
    )
    widest = max(map(len, groups), default=1)
    items: list[SampleItem] = []
    numbers: Any = np.arange(batches, dtype=np.int32)
    for group in groups:
        i = pairs[group[0]][0]
        aims = np.array(
            [pairs[number][1] for number in group] + [pairs[group[-1]][1]] * (widest - len(group)),
            np.int32,
        )
        target: Any = aims if widest > 1 else aims[0]
        items += [
            SampleItem(images[i], labels[i], target, seed_number, ids[i], batch)
            for batch in numbers
        ]
    maxima = np.zeros((len(pairs), batches, 3), np.float32)
    watch = Watch(len(items))
    title = progress if isinstance(progress, str) else f"CLEVER on {clf.name}"
    with Progress(title, len(items), "batches", show=bool(progress)) as bar:
        samplers = [sampler] * len(items)
        abreast = max(1, lanes // widest)
        for index, seen in engine.run(
            clf, samplers, items, lanes=abreast, journal=journal, watch=watch
        ):
            group = groups[index // batches]
            maxima[group, index % batches] = seen.reshape(widest, 3)[: len(group)]
            bar.advance(1)
            if advance:
                advance(1)
    maxima = maxima[:, :, columns]
    broken = ~np.isfinite(margins) | ~np.isfinite(maxima).all((1, 2))
    for number in np.flatnonzero(watch.invalid):
        broken[groups[number // batches]] = True
    fit = _fitted(maxima, broken, method)
    scores = _bound(
        margins[:, None], fit.lipschitz, cap=sampler.radius if protocol == "paper" else np.inf
    )
    scores[broken] = np.nan
    best = np.arange(len(pairs))
    if targets is None and count:
        best = np.arange(count) * (num_classes - 1) + scores[:, 0].reshape(count, -1).argmin(1)
        scores = scores.reshape(count, num_classes - 1, -1).min(1)
    return CleverResult(
        score=scores.astype(np.float32),
        margin=margins[best],
        target=np.array([pairs[i][1] for i in best], np.int32),
        maxima=maxima[best],
        fit=jax.tree.map(lambda field: field[best], fit),
        norms=tuple(float(norm) for norm in norms),
        label=labels,
    )


def _alike(
    images: np.ndarray, labels: np.ndarray, ids: np.ndarray, pairs: Sequence[tuple[int, int]]
) -> list[list[int]]:
    """The numbers of the pairs in groups that have the same samples: the same id, label and image.

    At most TOGETHER in a group.
    """
    keys = [
        (*key, hashlib.sha256(image.tobytes()).digest())
        for *key, image in zip(ids.tolist(), labels.tolist(), images, strict=True)
    ]
    of_image: dict[tuple, list[int]] = {}
    for number, (i, _) in enumerate(pairs):
        of_image.setdefault(keys[i], []).append(number)
    return [
        part.tolist()
        for group in of_image.values()
        for part in np.array_split(group, -(-len(group) // TOGETHER))
    ]


def _fitted(maxima: np.ndarray, broken: np.ndarray, method: str) -> WeibullFit:
    """The fits (pairs, norms) to maxima (pairs, batches, norms).

    They are NaN for ``broken`` pairs.
    """
    pairs, batches, norms = maxima.shape
    some = fit_reverse_weibull(
        np.moveaxis(maxima[~broken], 2, 1).reshape(-1, batches), method=method
    )
    every = WeibullFit(*(np.full((pairs, norms), np.nan) for _ in some))
    for values, fitted in zip(every, some, strict=True):
        values[~broken] = fitted.reshape(-1, norms)
    return every


def _bound(margin: np.ndarray, lipschitz: np.ndarray, *, cap: float) -> np.ndarray:
    """min(margin / L, cap); 0 if the margin is not positive.

    If the gradient is zero everywhere, L = 0 and the result is the cap.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = margin / lipschitz
    return np.minimum(np.where(margin > 0, bound, 0.0), cap)
