"""Means, standard deviations and Student's intervals of groups of values.

Values that are all equal hold no information on the error of their mean, and have no interval. An interval is Student's
even where it exceeds the quantity's bounds, as an accuracy above 100%: it shows how little so few values tell. Tables
and figures cut it at the bounds.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis.arguments import check_confidence

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

CONFIDENCE = 0.95
"""Confidence of every interval, unless another is asked for."""

RELATIVE_ROUNDING = 1e-12
"""Numbers that differ by less than this share of the values that they were computed from differ by rounding alone."""


def half_width(sd: Floats, n: Counts, confidence: float = CONFIDENCE) -> Floats:
    r"""Return half the width of Student's interval of a mean, :math:`t_{n-1} \, s / \sqrt n`; NaN where n is below 2.

    ``sd`` and ``n`` have the same shape, whatever it is.
    """
    check_confidence(confidence)
    counts = np.where(n > 1, n, np.nan)
    return np.asarray(stats.t.ppf((1 + confidence) / 2, counts - 1) * sd / np.sqrt(counts))


def grouped_estimates(
    frame: pd.DataFrame, keys: list[str], column: str, confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """Return ``n``, ``mean``, ``sd``, ``low`` and ``high`` of ``column`` for each combination of ``keys``.

    Groups are in order of appearance; ``sd`` has ``n - 1`` in its denominator, and what cannot be estimated is NaN.
    """
    grouped = frame.groupby(keys, sort=False, observed=True)[column]
    groups: pd.DataFrame = grouped.agg(n="count", mean="mean", sd="std", least="min", most="max").reset_index()
    least, most = (groups.pop(name).to_numpy(np.float64) for name in ("least", "most"))
    varies = most - least > RELATIVE_ROUNDING * np.maximum(np.abs(least), np.abs(most))
    half = half_width(np.where(varies, groups["sd"], np.nan), groups["n"].to_numpy(), confidence)
    groups["low"], groups["high"] = groups["mean"] - half, groups["mean"] + half
    return groups
