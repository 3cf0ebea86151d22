"""What attacks leave, and how a notebook shows it."""

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
"""Images that `AttackResult.plot` shows if nobody chooses."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, repr=False)
class AttackResult:
    """What an attack did to each of N images."""

    adversarial: np.ndarray
    """(N, H, W, 3) float32 in [0, 1]. Fixed budgets: the last iterate, successful or not. Searches: the best success, or
    the clean image where there was none."""
    success: np.ndarray
    """(N,) bool, by a fresh highest-precision evaluation of `adversarial`"""
    near_tie: np.ndarray
    """(N,) bool, targeted failures that the study's rule of 0.001 alone would count"""
    revoked: np.ndarray
    """(N,) bool, failures that a search took for successes, by logits of the gradient program: ties, and more if that is less precise"""
    invalid: np.ndarray
    """(N,) bool, neither successes nor failures: not a success, and a logit or gradient was NaN or infinite"""
    zero_gradient: np.ndarray
    """(N,) bool, failures for which every gradient was zero everywhere: the attack had nothing to follow"""
    predicted: np.ndarray
    """(N,) int32, class of `adversarial`; -1 where its logits are not all finite"""
    l0: np.ndarray
    """(N,) float32, changed values; NaN where failed, as the other distances"""
    l1: np.ndarray
    l2: np.ndarray
    linf: np.ndarray
    gradients: np.ndarray
    """(N,) int32, evaluations with gradient"""
    forwards: np.ndarray
    """(N,) int32, evaluations of logits alone, the final judgement included"""
    details: dict[str, np.ndarray]
    """Per attack: I-FGSM "eps" (N, attempts) and "best_eps" (N,); C&W and EAD "best_const" (N,), "const" and "iterations"
    (N, search_steps); APGD "loss", Square "margin", later searches "distance", AutoAttack "broken_by", each (N,)"""
    clean: np.ndarray
    """(N, H, W, 3) float32 in [0, 1], the images that were attacked"""
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
        """The same of some of the images."""
        return jax.tree.map(lambda array: array[rows], self)

    def to_pandas(self) -> "pd.DataFrame":
        """A row for each image, without the images.

        Returns:
            Columns ``class`` (the target if ``targeted``, else the true class), ``targeted``, ``predicted``, ``success``, ``near_tie``,
            ``revoked``, ``invalid``, ``zero_gradient``, ``l0``, ``l1``, ``l2``, ``linf`` (pixel range 1; NaN where failed), ``gradients``,
            ``forwards``, and the details that are one number for each image.
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
        """How often the attack succeeded, how far its successes lie from the clean images, and what they cost.

        Returns:
            A row each for ``success`` (1 or 0; invalid attempts are neither), the four distances (of successes alone) and the
            evaluations ``gradients`` and ``forwards``; columns ``n`` (images that count), ``mean``, ``median``, ``min`` and ``max``.
        """
        import pandas as pd

        rows = {
            name: _described(getattr(self, name))
            for name in (*metrics.DISTANCES, "gradients", "forwards")
        }
        rows = {"success": _described(np.where(self.invalid, np.nan, self.success))} | rows
        return pd.DataFrame.from_dict(rows, orient="index").astype({"n": int})

    def plot(self, images: Sequence[int] | None = None) -> "Figure":
        """Some images: clean, adversarial, and their difference.

        Args:
            images: their numbers, 0 to N - 1; the first four if not given.

        Returns:
            A figure of matplotlib with a row for each image. The difference is shown around mid-grey, each image's own magnified
            so that its largest value is black or white; the title says how much.

        Raises:
            InputError: for a number that no image has, or without any image.
        """
        import matplotlib.pyplot as plt

        chosen = np.arange(min(SHOWN, len(self))) if images is None else np.asarray(images)
        are_numbers = (
            chosen.ndim == 1 and len(chosen) > 0 and np.issubdtype(chosen.dtype, np.integer)
        )
        if not are_numbers or not ((chosen >= 0) & (chosen < len(self))).all():
            raise InputError(
                f"images is {images!r}; give at least one number of an image, from 0 to {len(self) - 1}"
            )
        figure, grid = plt.subplots(
            len(chosen), 3, squeeze=False, figsize=(6.6, 2.4 * len(chosen)), layout="constrained"
        )
        plt.close(figure)  # a notebook then shows what is returned, once
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
    """Of those that are numbers."""
    counted = values[~np.isnan(values)]
    return float(np.median(counted)) if len(counted) else float("nan")


def _described(values: np.ndarray) -> dict[str, float]:
    """How many are numbers, and their mean, median, least and largest; NaN where there are none."""
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
