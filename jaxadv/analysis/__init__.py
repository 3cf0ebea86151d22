"""Statistics of rows: intervals, the law of robustness and accuracy, associations, transfer
signatures.

This package may import `jaxadv.support`. It does not import JAX. tests/analysis measures the
coverage of the intervals on synthetic data.
"""

from jaxadv.analysis.association import (
    Correlation,
    Explained,
    Symmetry,
    correlation,
    explained,
    ranks,
    symmetry,
)
from jaxadv.analysis.intervals import (
    LARGE,
    RESAMPLES,
    mean_intervals,
    paired_intervals,
    paired_rate_interval,
    rate_interval,
)
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
