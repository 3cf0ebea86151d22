"""The result of an attack on N images, and its display in a notebook."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxadv.core import metrics
from model_ports.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SHOWN = 4
"""The number of images that `AttackResult.plot` shows by default."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, repr=False)
class AttackResult:
    """The result of an attack on N images."""

    adversarial: np.ndarray
    """(N, H, W, 3) float32 in [0, 1]. For a fixed budget: the last iterate, successful or not. For
    a search: the best success, or the clean image after a failure.
    """
    success: np.ndarray
    """(N,) bool, by a new evaluation of `adversarial` in the highest precision"""
    near_tie: np.ndarray
    """(N,) bool, targeted failures that only the study's rule of 0.001 would count as successes"""
    revoked: np.ndarray
    """(N,) bool, failures that a search counted as successes, by the logits of the gradient
    program. They are ties, and more if that program is less precise
    """
    invalid: np.ndarray
    """(N,) bool, attempts without success in which a logit or gradient was NaN or infinite.

    They do not count as failures
    """
    zero_gradient: np.ndarray
    """(N,) bool, failures in which every gradient was zero everywhere, so the attack had no
    direction
    """
    predicted: np.ndarray
    """(N,) int32, class of `adversarial`; -1 if not all its logits are finite"""
    l0: np.ndarray
    """(N,) float32, the number of changed values; NaN for failures"""
    l1: np.ndarray
    """(N,) float32, L1 distance, pixel range 1; NaN for failures"""
    l2: np.ndarray
    """(N,) float32, L2 distance, pixel range 1; NaN for failures"""
    linf: np.ndarray
    """(N,) float32, L-infinity distance, pixel range 1; NaN for failures"""
    gradients: np.ndarray
    """(N,) int32, evaluations with gradient"""
    forwards: np.ndarray
    """(N,) int32, evaluations of logits alone, including the final judgement"""
    details: dict[str, np.ndarray]
    """Further arrays of an attack. I-FGSM: "eps" (N, attempts) and "best_eps" (N,). C&W and EAD:
    "best_const" (N,), "const" and "iterations" (N, search_steps). APGD: "loss". Square: "margin".
    Later searches: "distance". AutoAttack: "broken_by". Each of these is (N,).
    """
    clean: np.ndarray
    """(N, H, W, 3) float32 in [0, 1], the images before the attack"""
    classes: np.ndarray
    """(N,) int32, the target if `targeted`, else the true class"""
    targeted: np.ndarray
    """(N,) bool"""

    def __len__(self) -> int:
        return len(self.success)

    def __repr__(self) -> str:
        height, width = self.clean.shape[1:3]
        what = f"AttackResult: {len(self)} images of {height} x {width} pixels"
        if not len(self):
            return f"<{what}>"
        successes = int(self.success.sum())
        reached = (
            "reached the target"
            if self.targeted.all()
            else "fooled"
            if not self.targeted.any()
            else "succeeded"
        )
        text = f"{what}, {successes} {reached} ({100 * successes / len(self):.0f} %)"
        if self.invalid.any():
            text += f", {int(self.invalid.sum())} with NaN or infinite logits or gradients"
        if not successes:
            return f"<{text}>"
        medians = ", ".join(
            f"{name} {_median(getattr(self, name)):.3g}" for name in ("l1", "l2", "linf")
        )
        return f"<{text}; median {medians}>"

    def part(self, rows: slice) -> "AttackResult":
        """The result of some of the images.

        Args:
            rows: which images.

        Returns:
            A result of these images alone.
        """
        return jax.tree.map(lambda array: array[rows], self)

    def to_pandas(self) -> "pd.DataFrame":
        """A table with a row for each image, without the pixels.

        Returns:
            A frame with the column ``class``: the target if ``targeted``, else the true class.
                These columns are the
            attributes of the same names: ``targeted``, ``predicted``, ``success``, ``near_tie``,
                ``revoked``, ``invalid``,
            ``zero_gradient``, ``l0``, ``l1``, ``l2``, ``linf``, ``gradients`` and ``forwards``.
            Each detail with one number for an image is a column, too.
        """
        import pandas as pd

        names = (
            "targeted",
            "predicted",
            "success",
            "near_tie",
            "revoked",
            "invalid",
            "zero_gradient",
        )
        names += (*metrics.DISTANCES, "gradients", "forwards")
        single = {name: values for name, values in self.details.items() if np.ndim(values) == 1}
        columns = {"class": self.classes} | {name: getattr(self, name) for name in names} | single
        return pd.DataFrame(columns, index=pd.RangeIndex(len(self), name="image"))

    def summary(self) -> "pd.DataFrame":
        """Statistics of success, distances and evaluations.

        Returns:
            A frame with rows for ``success`` (1 or 0), the four distances, ``gradients`` and
            ``forwards``. Invalid attempts do not count for success, and failures do not count for
            distances. The columns are ``n`` (the number of images that count), ``mean``,
            ``median``, ``min`` and ``max``.
        """
        import pandas as pd

        rows = {
            name: _described(getattr(self, name))
            for name in (*metrics.DISTANCES, "gradients", "forwards")
        }
        rows = {"success": _described(np.where(self.invalid, np.nan, self.success))} | rows
        return pd.DataFrame.from_dict(rows, orient="index").astype({"n": int})

    def plot(self, images: Sequence[int] | None = None) -> "Figure":
        """Show some images: clean, adversarial, and their difference.

        Args:
            images: their numbers, 0 to N - 1. None for the first four.

        Returns:
            A matplotlib figure with a row for each image. The difference is drawn around mid-grey,
            and magnified so that its largest value is black or white. The title shows the factor,
            which each image has separately.

        Raises:
            InputError: if a number is out of range, or if there is none.
        """
        import matplotlib.pyplot as plt

        chosen = np.arange(min(SHOWN, len(self))) if images is None else np.asarray(images)
        are_numbers = (
            chosen.ndim == 1 and len(chosen) > 0 and np.issubdtype(chosen.dtype, np.integer)
        )
        if not are_numbers or not ((chosen >= 0) & (chosen < len(self))).all():
            raise InputError(
                f"images is {images!r}; give at least one image number, from 0 to {len(self) - 1}"
            )
        figure, grid = plt.subplots(
            len(chosen), 3, squeeze=False, figsize=(6.6, 2.4 * len(chosen)), layout="constrained"
        )
        plt.close(figure)  # otherwise a notebook would show the figure twice
        for axes, number in zip(grid, chosen, strict=True):
            difference = self.adversarial[number] - self.clean[number]
            largest = float(np.abs(difference).max())
            middle_grey = (
                0.5 + difference / (2 * largest) if largest else np.full_like(difference, 0.5)
            )
            goal = (
                f"target {self.classes[number]}"
                if self.targeted[number]
                else f"true class {self.classes[number]}"
            )
            outcome = "success" if self.success[number] else "failure"
            titles = (
                f"image {number}, {goal}",
                f"{outcome}: class {self.predicted[number]}",
                f"difference × {0.5 / largest:.3g}" if largest else "no difference",
            )
            for panel, pixels, title in zip(
                axes,
                (self.clean[number], self.adversarial[number], middle_grey),
                titles,
                strict=True,
            ):
                panel.imshow(np.clip(pixels, 0, 1), interpolation="nearest")
                panel.set_title(title, fontsize=9)
                panel.set_axis_off()
        return figure


def _median(values: np.ndarray) -> float:
    """The median of the values that are not NaN; NaN if there are none."""
    counted = values[~np.isnan(values)]
    return float(np.median(counted)) if len(counted) else float("nan")


def _described(values: np.ndarray) -> dict[str, float]:
    """The count of values that are not NaN, and their mean, median, minimum and maximum; NaN if
    there are none.
    """
    counted = values[~np.isnan(values)].astype(np.float64)
    if not len(counted):
        return {"n": 0} | dict.fromkeys(("mean", "median", "min", "max"), float("nan"))
    numbers = {
        "mean": counted.mean(),
        "median": np.median(counted),
        "min": counted.min(),
        "max": counted.max(),
    }
    return {"n": len(counted)} | {name: float(value) for name, value in numbers.items()}
