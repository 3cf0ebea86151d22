"""The statistics of rows: how sure a number is, how robustness goes with accuracy, and what goes together. No JAX.

What intervals cover is measured on synthetic data in tests/analysis.
"""

from jaxadv.analysis.association import Correlation, Explained, Symmetry, correlation, explained, ranks, symmetry
from jaxadv.analysis.intervals import LARGE, RESAMPLES, mean_intervals, paired_intervals, paired_rate_interval, rate_interval
from jaxadv.analysis.law import Law, fit_law, pareto_frontier

__all__ = [
    "LARGE",
    "RESAMPLES",
    "Correlation",
    "Explained",
    "Law",
    "Symmetry",
    "correlation",
    "explained",
    "fit_law",
    "mean_intervals",
    "paired_intervals",
    "paired_rate_interval",
    "pareto_frontier",
    "ranks",
    "rate_interval",
    "symmetry",
]
