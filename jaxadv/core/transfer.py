"""Transfer: how often adversarial images of one model fool another (the study, section 2.4, and its
released code).
"""

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
    """Change the size of pictures by the study's rule, without resampling.

    A larger picture is cropped; the crop begins at S // 2 - size // 2. A smaller picture gets a
    mid-grey border. If the border is odd, the additional row is at the bottom and the additional
    column at the right.

    Args:
        images: (N, S, S, 3), floating point. Pixels may have any value, including NaN.
        size: the new height and width, pixels.

    Returns:
        (N, size, size, 3) float32.

    Raises:
        InputError: if the images are not pictures in floating point, or the size is not a positive
            whole number.
    """
    pictures = checks.pictures(images)
    checks.count("size", size)
    return placed(pictures, size, pad=np.pad)


def placed(images: Any, size: int, *, pad: Callable[..., Any]) -> Any:
    """`refit` without its checks.

    Args:
        images: (N, S, S, 3) float32.
        size: the new height and width, pixels.
        pad: `np.pad`, or `jnp.pad` in a compiled function.

    Returns:
        (N, size, size, 3) float32.
    """
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
    """A network's predictions for N images."""

    predicted: (
        np.ndarray
    )  # (N,) int32, the class with the largest logit; -1 if not all logits are finite
    top_five: (
        np.ndarray
    )  # (N, 5), the classes with the five largest logits; -1 if not all are finite


def seen(logits: np.ndarray) -> Seen:
    """The predictions from logits (N, K).

    Args:
        logits: (N, K) float32.

    Returns:
        The predictions.
    """
    top_five = np.argsort(logits, axis=1, kind="stable")[:, -5:]
    return Seen(metrics.predicted(logits), np.where(metrics.valid(logits)[:, None], top_five, -1))


def show(
    classifiers: Sequence[Classifier],
    images: np.ndarray,
    batch: int,
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Seen]:
    """The predictions of several classifiers for the same images, which `refit` adapts to their
    input sizes.

    A batch goes to a device once and is adapted there. While the classifiers compute, the host
    reads the logits of the previous batch.

    Args:
        classifiers: the classifiers.
        images: (N, S, S, 3) float32 in [0, 1], already checked.
        batch: images of one call.
        advance: called after each batch with its number of images.

    Returns:
        The predictions of each classifier.
    """
    answers = [
        [seen(np.zeros((0, classifier.num_classes), np.float32))] for classifier in classifiers
    ]

    def look(logits: list[jax.Array], count: int) -> None:
        for rows, values in zip(answers, logits, strict=True):
            rows.append(seen(np.asarray(values)[:count]))
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
    """Success rates over ``n`` images: ``rate`` (top-1) and ``top5_rate``, in [0, 1]; NaN if n is
    0.
    """

    n: int
    successes: int
    rate: float
    top5_rate: float


@dataclass(frozen=True)
class TransferRates:
    """A target model's predictions for the adversarial images of a source model, with success
    rates.

    An untargeted attack transfers if the target model's class changes. The release logs the same
    value as top-5. A targeted attack transfers if the target model predicts the attack's target
    class. A failed search leaves the clean image.

    The three rates differ in the images on which the source attack failed.
    """

    attacked: np.ndarray
    """(N,) bool, the images that count: the target model classifies the adapted clean image
    correctly, and its logits for the adversarial image are finite
    """
    invalid: np.ndarray
    """(N,) bool, the target model's logits for the adversarial image are not finite"""
    clean_predicted: np.ndarray
    """(N,) int32, the class of the adapted clean image"""
    predicted: np.ndarray
    """(N,) int32, the class of the adapted adversarial image; -1 if its logits are not finite"""
    success: np.ndarray
    """(N,) bool, whether the attack transfers"""
    top5: np.ndarray
    """(N,) bool, whether the target class is among the five best; untargeted: equal to ``success``
    """
    released_success: np.ndarray
    """(N,) bool, as the release would log it"""
    released_top5: np.ndarray
    """(N,) bool, as the release would log it"""
    released: Rate
    """Includes failed sources as the release does. It passes on an array of NaN, whose argmax is
    the network's first output. A background class there is always an untargeted success and never a
    targeted one.
    """
    left_out: Rate
    """Leaves out images on which the source failed."""
    as_failures: Rate
    """Counts images on which the source failed as failures."""


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
    """Test whether the adversarial images of a source model fool another model.

    Args:
        adversarial: (N, S, S, 3) float32 in [0, 1], at the source's input size. `refit` adapts
            them. A failed image may be NaN.
        clean: (N, S, S, 3) float32 in [0, 1], the images before the attack.
        labels: (N,) true classes.
        targets: (N,) target classes, or None for untargeted attacks.
        success: (N,) bool, whether the attack fooled the source.
        clf: the target model.
        failed_kept: whether the release keeps the image of a failed attempt, as it does for FGSM.
        lanes: images of one call on the device.

    Returns:
        Predictions for each image, and the three rates.

    Raises:
        InputError: if an input has another type, shape or range, or if the model breaks its
            contract.
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
    # The release has NaN for a failed source. Such an image is replaced by the clean one.
    after = np.asarray(adversarial, np.float32)
    if after.shape != before.shape or succeeded.shape != (count,):
        raise checks.InputError(
            f"adversarial has shape {after.shape} and success {succeeded.shape}; {before.shape} "
            f"and ({count},) are needed: one adversarial image and one success for each clean image"
        )
    failed = np.isnan(after).any((1, 2, 3)) & ~succeeded
    after = checks.images(np.where(failed[:, None, None, None], before, after))

    batch = choose_lanes(count, lanes)
    if count:
        contract.check(clf, batch)
    (of_clean,) = show([clf], before, batch)
    (of_adversarial,) = show([clf], after, batch)
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
    predictions: Seen,
    clean_predicted: np.ndarray,
    labels: np.ndarray,
    targets: np.ndarray,
    has_image: np.ndarray,
    *,
    source_success: np.ndarray,
    clf: Classifier,
) -> TransferRates:
    """The transfer rates from a target model's predictions.

    Args:
        predictions: for the adapted adversarial images.
        clean_predicted: (N,) int32, for the adapted clean images.
        labels: (N,) true classes.
        targets: (N,) target classes; -1 for untargeted attacks.
        has_image: (N,) bool, whether the release would have an image instead of NaN.
        source_success: (N,) bool, whether the attack fooled the source.
        clf: the target model.

    Returns:
        Predictions for each image, and the three rates.
    """
    predicted, top_five = predictions
    invalid = predicted < 0
    attacked = (clean_predicted == labels) & ~invalid
    nan_predicted = (
        -clf.label_offset
    )  # for NaN the release predicts the first output; a negative number is no class
    nan_top_five = max(0, clf.num_classes - 5)  # NaN logits sort so that this class and later win
    released_predicted = np.where(has_image, predicted, nan_predicted)
    targeted = targets >= 0
    hit = np.where(targeted, predicted == targets, predicted != clean_predicted) & ~invalid
    top5 = np.where(targeted, (top_five == targets[:, None]).any(1), hit)
    released = np.where(
        targeted, released_predicted == targets, released_predicted != clean_predicted
    ) & ~(invalid & has_image)
    released5 = np.where(targeted, np.where(has_image, top5, targets >= nan_top_five), released)
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
