"""Checks of arguments. Each error is one line with the value, what is allowed, and the remedy."""

import math

import numpy as np

from model_ports.errors import InputError


def images(value, *, size: int | None = None, name: str = "images") -> np.ndarray:
    """Check images with pixels in [0, 1].

    Args:
        value: floating-point images (N, S, S, 3).
        size: the side S that is needed, in pixels; None for any.
        name: what the error calls them.

    Returns:
        The images as float32.

    Raises:
        InputError: for another type, shape or range, or for NaN.
    """
    array = pictures(value, size=size, name=name)
    if array.size:
        low, high = array.min(), array.max()
        if not (low >= 0 and high <= 1):  # NaN fails too
            remedy = (
                "remove NaN and infinite pixels" if not np.isfinite(array).all() else "rescale them"
            )
            raise InputError(
                f"{name} range from {low:g} to {high:g}; pixels must lie in [0, 1]: {remedy}"
            )
    return array


def pictures(value, *, size: int | None = None, name: str = "images") -> np.ndarray:
    """Check images with pixels of any range.

    Args:
        value: floating-point images (N, S, S, 3).
        size: the side S that is needed, in pixels; None for any.
        name: what the error calls them.

    Returns:
        The images as float32.

    Raises:
        InputError: for another type or shape.
    """
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.floating) and array.dtype.name != "bfloat16":
        raise InputError(
            f"{name} have type {array.dtype}; floating point in [0, 1] is needed: divide 8-bit "
            "pixels by 255"
        )
    side = "S" if size is None else size
    if (
        array.ndim != 4
        or array.shape[3] != 3
        or array.shape[1] != array.shape[2]
        or (size and array.shape[1] != size)
    ):
        remedy = (
            "jaxadv.refit(images, size) crops or borders them"
            if array.ndim == 4
            else "one image is images[None]"
        )
        raise InputError(
            f"{name} have shape {array.shape}; (N, {side}, {side}, 3) is needed: {remedy}"
        )
    with np.errstate(over="ignore"):  # infinite then, which is out of every range
        return array.astype(np.float32, copy=False)


def classes(value, *, count: int, num_classes: int, name: str) -> np.ndarray:
    """Check class numbers.

    Args:
        value: ``count`` integers in 0..num_classes-1.
        count: the number of images.
        num_classes: the number of classes.
        name: what the error calls them.

    Returns:
        The classes as int32, shape (count,).

    Raises:
        InputError: for another type, shape or range.
    """
    array = np.asarray(value)
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"{name} have type {array.dtype}; integers 0..{num_classes - 1} are needed: use "
            ".astype(int)"
        )
    if array.shape != (count,):
        raise InputError(
            f"{name} have shape {array.shape}; ({count},) is needed: one class for each image"
        )
    bad = (array < 0) | (array >= num_classes)
    if bad.any():
        where = int(np.argmax(bad))
        raise InputError(
            f"{name}[{where}] is {array[where]}; classes are 0..{num_classes - 1}: a background "
            "class does not count"
        )
    return array.astype(np.int32)


def targets(value, labels: np.ndarray, *, num_classes: int) -> np.ndarray:
    """Check target classes.

    Args:
        value: N integers in 0..num_classes-1.
        labels: (N,) the true classes, which the targets must differ from.
        num_classes: the number of classes.

    Returns:
        The targets as int32, shape (N,).

    Raises:
        InputError: for another type, shape or range, or a target that is its image's label.
    """
    array = classes(value, count=len(labels), num_classes=num_classes, name="targets")
    same = array == labels
    if same.any():
        where = int(np.argmax(same))
        raise InputError(
            f"targets[{where}] is {array[where]}, its label; a target must be another class: leave "
            "the image out"
        )
    return array


def number(
    name: str, value, *, low: float = -math.inf, high: float = math.inf, above: bool = False
) -> None:
    """Require a finite number within a range.

    Args:
        name: what the error calls it.
        value: the number.
        low: the lower end of the range.
        high: the upper end of the range, which is allowed.
        above: True if ``low`` itself is not allowed.

    Raises:
        InputError: for another type, NaN, infinity, or a number out of range.
    """
    allowed = f"{'above' if above else 'at least'} {low:g}" + (
        "" if high == math.inf else f" and at most {high:g}"
    )
    ok = (
        isinstance(value, (int, float, np.number))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
    if not ok or value < low or value > high or (above and value == low):
        raise InputError(f"{name} is {value!r}; it must be a number {allowed}")


def count(name: str, value, *, low: int = 1) -> None:
    """Require a whole number.

    Args:
        name: what the error calls it.
        value: the number.
        low: the smallest allowed number.

    Raises:
        InputError: for another type or a smaller number.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < low:
        raise InputError(f"{name} is {value!r}; it must be a whole number of at least {low}")


def choice(name: str, value, allowed: tuple) -> None:
    """Require one of a few values.

    Args:
        name: what the error calls it.
        value: the value.
        allowed: the values that are allowed.

    Raises:
        InputError: for any other value.
    """
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, allowed))}")


def whole_numbers(name: str, value, *, size: int | None = None) -> np.ndarray:
    """Check one or several whole numbers that fit into int32.

    Args:
        name: what the error calls them.
        value: one integer, or ``size`` of them.
        size: how many numbers are needed; None for a single one.

    Returns:
        The numbers as int32, shape () or (size,).

    Raises:
        InputError: for another type, shape or range.
    """
    array = np.asarray(value)
    shape = () if size is None else (size,)
    limit = np.iinfo(np.int32).max
    if (
        array.shape != shape
        or not np.issubdtype(array.dtype, np.integer)
        or ((array > limit) | (array < -limit)).any()
    ):
        if size is None:
            raise InputError(
                f"{name} is {value!r}; it must be a whole number between {-limit} and {limit}"
            )
        raise InputError(
            f"{name} have type {array.dtype} and shape {array.shape}; integers of shape "
            f"({size},) between {-limit} and {limit} are needed: one for each image"
        )
    return array.astype(np.int32)
