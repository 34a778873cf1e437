"""What pairing gained: the interval of a correlation of two arms over their seeds."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

FEWEST_CORRELATED = 5
"""Pairs of which a correlation gets an interval."""

FEWEST_UNPAIRED = 8
"""Pairs from which on the seeds that an unpaired design would need are said: they follow from the correlation."""


def correlation_interval(correlation: Floats, n: NDArray[np.int64], confidence: float) -> tuple[Floats, Floats]:
    r"""Return the interval of correlations, :math:`\tanh(\mathrm{artanh}\, r \pm z / \sqrt{n - 3})` (Fisher 1915).

    Args:
        correlation: Pearson's (any shape).
        n: Pairs it was computed of (same shape).
        confidence: Of the interval.

    Returns:
        Lower and upper ends (same shape); NaN below `FEWEST_CORRELATED` pairs.
    """
    half = stats.norm.ppf((1 + confidence) / 2) / np.sqrt(np.where(n >= FEWEST_CORRELATED, n - 3, np.nan))
    with np.errstate(divide="ignore"):  # a correlation of 1 has an interval without width
        middle = np.arctanh(np.clip(correlation, -1, 1))
    return np.tanh(middle - half), np.tanh(middle + half)
