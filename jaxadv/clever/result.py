"""The CLEVER scores of N images, and their display in a notebook."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jaxadv.clever.weibull import WeibullFit

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class CleverResult:
    """CLEVER scores of N (image, target) pairs in P norms."""

    score: np.ndarray
    """(N, P) float32, the estimated lower bound on the distortion in each norm, pixel range 1.
    Untargeted: the least over the classes. Infinite if all gradients are zero. NaN if a logit or
    gradient was NaN or infinite
    """
    margin: np.ndarray
    """(N,) float32, g(x0) = Z_label - Z_target, in logit units"""
    target: np.ndarray
    """(N,) int32, the target class. Untargeted: the class with the least score in the first norm"""
    maxima: np.ndarray
    """(N, batches, P) float32, the largest dual norm of the gradient in each batch, for the class
    `target`
    """
    fit: WeibullFit
    """the fit to the maxima, arrays (N, P)"""
    norms: tuple[float, ...]
    """(P,), the norms of the distortion: 1, 2 or inf"""
    label: np.ndarray
    """(N,) int32, true classes"""

    def __len__(self) -> int:
        return len(self.score)

    @property
    def invalid(self) -> np.ndarray:
        """(N,) bool, images without a score, because a logit or gradient was NaN or infinite."""
        return np.asarray(np.isnan(self.score).any(axis=1))

    def __repr__(self) -> str:
        what = f"CleverResult: {len(self)} images, {self.maxima.shape[1]} batches"
        if not len(self):
            return f"<{what}>"
        scores = self.score[~self.invalid]
        lost = int(self.invalid.sum())
        if lost:
            what += f", {lost} without a score"
        if not len(scores):
            return f"<{what}>"
        medians = ", ".join(
            f"{median:.3g} in {norm}"
            for norm, median in zip(self._titles, np.median(scores, axis=0), strict=True)
        )
        return f"<{what}; median score {medians}>"

    @property
    def _titles(self) -> list[str]:
        return [f"l{norm:g}" for norm in self.norms]

    def to_pandas(self) -> "pd.DataFrame":
        """A table with a row for each image and norm, without the maxima.

        Returns:
            A frame with the columns ``image``, ``label``, ``target``, ``norm`` (of the distortion:
            "l1", "l2" or "linf"), ``margin`` (logit units) and ``score`` (pixel range 1). The
            columns ``shape``, ``location``, ``scale``, ``ks``, ``p_value`` and ``lipschitz`` are
            those of `WeibullFit`.
        """
        import pandas as pd

        count, norms = self.score.shape
        pairs = {"image": np.arange(count), "label": self.label, "target": self.target}
        columns = {name: np.repeat(values, norms) for name, values in pairs.items()}
        columns |= {
            "norm": np.tile(np.array(self._titles, object), count),
            "margin": np.repeat(self.margin, norms),
        }
        columns |= {"score": self.score.ravel()} | {
            name: values.ravel() for name, values in self.fit._asdict().items()
        }
        return pd.DataFrame(columns)

    def summary(self) -> "pd.DataFrame":
        """Statistics of the scores in each norm.

        Returns:
            A frame with a row for each norm. The columns are ``n`` (the number of images with a
            score), ``mean``, ``median``, ``min``, ``max``, ``not_fitted`` and ``invalid``.
            ``not_fitted`` counts scores without an acceptable fit; their Lipschitz estimate is the
            largest maximum. ``invalid`` counts images without a score.
        """
        import pandas as pd

        rows = {}
        valid = ~self.invalid
        for column, title in enumerate(self._titles):
            score = self.score[valid, column].astype(np.float64)
            numbers = (
                (score.mean(), np.median(score), score.min(), score.max())
                if len(score)
                else (np.nan,) * 4
            )
            described = dict(
                zip(("mean", "median", "min", "max"), map(float, numbers), strict=True)
            )
            not_fitted = int(np.isnan(self.fit.shape[valid, column]).sum())
            rows[title] = (
                {"n": len(score)}
                | described
                | {"not_fitted": not_fitted, "invalid": int(self.invalid.sum())}
            )
        table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("norm")
        return table.astype({"n": int, "not_fitted": int, "invalid": int})
