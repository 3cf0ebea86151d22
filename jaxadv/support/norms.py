"""Names of the norms of perturbations and scores."""

import math

NORMS: dict[str, float] = {"linf": math.inf, "l2": 2, "l1": 1}
"""The exponent p of each norm, by its name in settings and rows."""

DISTANCES = {"l0": "L0", "l1": "L1", "l2": "L2", "linf": "L∞", "l2_per_pixel": "L2 / 3HW"}
"""The distances of an attempt (columns of its row) and their titles. The last one is L2 divided by
the number of values."""

SCORE_NORMS = {"1": 1.0, "2": 2.0, "inf": math.inf}
"""The norms of the distances that CLEVER bounds, by their names in rows."""

SCORE_TITLES = {"1": "L1", "2": "L2", "inf": "L∞"}
