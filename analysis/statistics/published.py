"""A measured mean beside a published one: how far they differ."""

import numpy as np
from scipy import stats

from analysis.statistics.intervals import CONFIDENCE


def mean_of(published: float | list[float]) -> float:
    """Return the published mean: a value, or the first of mean, standard deviation and number of runs."""
    return published[0] if isinstance(published, list) else published


def difference_interval(mean: float, sd: float, n: int, published: float | list[float]) -> tuple[float, float]:
    """Return the interval of a measured mean minus a published one; NaN where the measured scores have no spread.

    Student's where the publication has a value alone, which then counts as known; Welch's (1947) where it has its
    standard deviation and number of runs.
    """
    if n < 2 or not sd > 0:
        return np.nan, np.nan
    parts = [(sd**2 / n, n - 1.0)]
    if isinstance(published, list):
        parts.append((published[1] ** 2 / published[2], published[2] - 1))
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / of for part, of in parts)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * np.sqrt(variance)
    difference = mean - mean_of(published)
    return difference - half, difference + half
