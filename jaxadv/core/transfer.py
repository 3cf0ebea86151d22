"""How far adversarial images of one model fool another (the study, sections 2.4 and 4.8 of its released code)."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxadv.core import contract, metrics
from jaxadv.core.classifier import Classifier, on_device
from jaxadv.core.engine import choose_lanes
from jaxadv.support import checks

MID_GREY = 0.5


def refit(images: ArrayLike, size: int) -> np.ndarray:
    """The study's rule between input sizes, without resampling: images (N, S, S, 3) -> (N, size, size, 3) float32.

    A larger picture loses its border: the crop begins at S // 2 - size // 2. A smaller one gets a mid-grey border, with an
    odd row and column behind it. Pixels may have any value, NaN too.

    Raises:
        InputError: for anything but pictures in floating point.
    """
    pictures = checks.pictures(images)
    checks.count("size", size)
    return placed(pictures, size, pad=np.pad)


def placed(images: Any, size: int, *, pad: Callable[..., Any]) -> Any:
    """`refit` of checked images; pad: `np.pad`, or `jnp.pad` inside a compiled function."""
    source = images.shape[1]
    if source >= size:
        start = source // 2 - size // 2
        return images[:, start : start + size, start : start + size]
    before = (size - source) // 2
    after = size - source - before
    return pad(
        images,
        ((0, 0), (before, after), (before, after), (0, 0)),
        constant_values=np.float32(MID_GREY),
    )


_placed = jax.jit(functools.partial(placed, pad=jnp.pad), static_argnames="size")


class Seen(NamedTuple):
    """The classes that a network sees in N images."""

    predicted: np.ndarray  # (N,) int32, with the largest logit, the lowest of equals; -1 where not all logits are finite
    top_five: np.ndarray  # (N, 5), with the five largest; -1 there too


def seen(logits: np.ndarray) -> Seen:
    """In logits (N, K)."""
    top_five = np.argsort(logits, axis=1, kind="stable")[:, -5:]
    return Seen(metrics.predicted(logits), np.where(metrics.valid(logits)[:, None], top_five, -1))


def show(
    classifiers: Sequence[Classifier],
    images: np.ndarray,
    batch: int,
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Seen]:
    """What each classifier sees in checked images (N, S, S, 3), as `refit` adapts them to it.

    A batch goes to a device once, is adapted there, and every classifier answers, while what they said of the batch before is looked at.
    advance: told how many images are through.
    """
    answers = [
        [seen(np.zeros((0, classifier.num_classes), np.float32))] for classifier in classifiers
    ]

    def look(logits: list[jax.Array], count: int) -> None:
        for rows, own in zip(answers, logits, strict=True):
            rows.append(seen(np.asarray(own)[:count]))
        advance(count)

    before = None
    for device, on_it, count in classifiers[0].batches(images, batch) if classifiers else ():
        with on_device(device):
            sizes = {
                size: _placed(on_it, size=size)
                for size in {classifier.input_size for classifier in classifiers}
            }
            logits = [
                one.oracle.logits(one.on(device).params, sizes[one.input_size])
                for one in classifiers
            ]
        if before:
            look(*before)
        before = logits, count
    if before:
        look(*before)
    return [Seen(*map(np.concatenate, zip(*rows, strict=True))) for rows in answers]


@dataclass(frozen=True)
class Rate:
    """A share of ``n`` images: ``rate`` (top-1) and ``top5_rate``, NaN where n is 0."""

    n: int
    successes: int
    rate: float
    top5_rate: float


@dataclass(frozen=True)
class TransferRates:
    """What a target model makes of the adversarial images of a source model.

    Per image, (N,): ``attacked`` (the target classifies the adapted clean image correctly and its logits of the adversarial one are
    finite; all rates are over these), ``invalid`` (those logits are not), ``clean_predicted`` and ``predicted`` (int32), ``success``
    and ``top5`` (bool, as the pictures are; a failed search's picture is clean).
    Untargeted, success means another class than before; the release logs the same as its top-5. Targeted, it means the source's
    target. ``released_success`` and ``released_top5`` are what the release would log. The three rates differ in the images on which
    the source itself failed:

    ``released``: they stay. The release hands on an array of NaN, whose argmax is the network's first output: with a background
    class there that is always an untargeted success and never a targeted one, without it the first class.
    ``left_out``: they do not count. ``as_failures``: they count as not transferred.
    """

    attacked: np.ndarray
    invalid: np.ndarray
    clean_predicted: np.ndarray
    predicted: np.ndarray
    success: np.ndarray
    top5: np.ndarray
    released_success: np.ndarray
    released_top5: np.ndarray
    released: Rate
    left_out: Rate
    as_failures: Rate


def transfer_rates(
    adversarial: ArrayLike,
    clean: ArrayLike,
    labels: ArrayLike,
    targets: ArrayLike | None,
    success: ArrayLike,
    clf: Classifier,
    *,
    failed_kept: bool = False,
    lanes: int | None = None,
) -> TransferRates:
    """Show the adversarial images of a source model to ``clf``.

    Args:
        adversarial: (N, S, S, 3) float32 in [0, 1], at the source's size; `refit` adapts them.
        clean: the same, before the attack.
        labels: (N,) classes.
        targets: (N,) classes, or None if untargeted.
        success: (N,) bool, of the source's attack.
        clf: the model that is shown the images.
        failed_kept: whether the release keeps the image of a failed attempt, as it does for FGSM.
        lanes: images side by side on the device.

    Raises:
        InputError: for input of another type, shape or range.
    """
    before = checks.images(clean, name="clean")
    count = len(before)
    classes = checks.classes(labels, count=count, num_classes=clf.num_classes, name="labels")
    aims = (
        np.full(count, -1)
        if targets is None
        else checks.targets(targets, classes, num_classes=clf.num_classes)
    )
    succeeded = np.asarray(success, bool)
    # A failed source may be given as NaN, as the release has it: its picture is then the clean one.
    after = np.asarray(adversarial, np.float32)
    if after.shape != before.shape or succeeded.shape != (count,):
        raise checks.InputError(
            f"adversarial has shape {after.shape} and success {succeeded.shape}; {before.shape} and ({count},) are needed: "
            "one of each for every clean image"
        )
    failed = np.isnan(after).any((1, 2, 3)) & ~succeeded
    after = checks.images(np.where(failed[:, None, None, None], before, after))

    batch = choose_lanes(count, lanes)
    if count:
        contract.check(clf, batch)
    (of_clean,), (of_adversarial,) = show([clf], before, batch), show([clf], after, batch)
    released = succeeded | failed_kept
    return judge_transfer(
        of_adversarial,
        of_clean.predicted,
        classes,
        aims,
        released,
        source_success=succeeded,
        clf=clf,
    )


def judge_transfer(
    found: Seen,
    clean_predicted: np.ndarray,
    labels: np.ndarray,
    targets: np.ndarray,
    has_image: np.ndarray,
    *,
    source_success: np.ndarray,
    clf: Classifier,
) -> TransferRates:
    """The rates of a target model ``clf`` by what it sees in the adapted adversarial images; see `transfer_rates`.

    targets: (N,), -1 if untargeted. has_image: (N,) bool, where the release would have an image rather than NaN.
    """
    predicted, top_five = found
    invalid = predicted < 0
    attacked = (clean_predicted == labels) & ~invalid
    nan_predicted = (
        -clf.label_offset
    )  # of an array of NaN: the first output, which is no class if it is the background
    nan_top_five = np.arange(clf.num_classes)[-5:]  # and the last five, as NaN sorts
    released_predicted = np.where(has_image, predicted, nan_predicted)
    targeted = targets >= 0
    hit = np.where(targeted, predicted == targets, predicted != clean_predicted) & ~invalid
    top5 = np.where(targeted, (top_five == targets[:, None]).any(1), hit)
    released = np.where(
        targeted, released_predicted == targets, released_predicted != clean_predicted
    ) & ~(invalid & has_image)
    released5 = np.where(
        targeted, np.where(has_image, top5, np.isin(targets, nan_top_five)), released
    )
    return TransferRates(
        attacked,
        invalid,
        clean_predicted,
        predicted,
        hit,
        top5,
        released,
        released5,
        released=_rate(released, released5, attacked),
        left_out=_rate(hit, top5, attacked & source_success),
        as_failures=_rate(hit & source_success, top5 & source_success, attacked),
    )


def _rate(success: np.ndarray, top5: np.ndarray, counted: np.ndarray) -> Rate:
    n = int(counted.sum())
    successes = int(success[counted].sum())
    successes5 = int(top5[counted].sum())
    return Rate(
        n, successes, successes / n if n else float("nan"), successes5 / n if n else float("nan")
    )
