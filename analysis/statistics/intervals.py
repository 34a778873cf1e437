"""Means, standard deviations and Student's intervals of groups of values."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis.arguments import check_confidence

CONFIDENCE = 0.95
"""Confidence of every interval, unless another is asked for."""


RELATIVE_ROUNDING = 1e-12
"""Numbers that differ by less than this share of the values that they were computed from differ by rounding alone."""


@dataclass(frozen=True)
class Estimate:
    """The mean of a population of runs, estimated from ``n`` of them. What cannot be estimated is NaN.

    Values that are all equal hold no information on the error of their mean, and have no interval. An interval is
    Student's own, even where it reaches beyond what the quantity can be, as an accuracy above 100%: it says that so few
    values tell little. Tables and figures show it cut at the quantity's bounds.

    Attributes:
        n: Values used.
        mean: Their mean.
        sd: Their standard deviation, with ``n - 1`` in the denominator.
        low: Lower end of the interval of the mean.
        high: Upper end.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float


def half_width(sd: NDArray[np.float64], n: NDArray[np.int64], confidence: float = CONFIDENCE) -> NDArray[np.float64]:
    r"""Return half the width of Student's interval of a mean, :math:`t_{n-1} \, s / \sqrt n`.

    Args:
        sd: Standard deviations (any shape).
        n: Numbers of values they come from (same shape).
        confidence: Share of such intervals that hold the true mean.

    Returns:
        (same shape); NaN where ``n`` is below two.
    """
    check_confidence(confidence)
    counts = np.where(n > 1, n, np.nan)
    return np.asarray(stats.t.ppf((1 + confidence) / 2, counts - 1) * sd / np.sqrt(counts))


def estimate(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Estimate:
    """Return mean, standard deviation and t interval of ``values`` (n,).

    Raises:
        ValueError: If the confidence is not between 0 and 1.
    """
    n = len(values)
    mean = float(np.mean(values)) if n else np.nan
    sd = float(np.std(values, ddof=1)) if n > 1 else np.nan
    varies = n > 1 and bool(differ(np.array(np.min(values)), np.array(np.max(values))))
    half = float(half_width(np.array(sd if varies else np.nan), np.array(n), confidence))
    return Estimate(n, mean, sd, mean - half, mean + half)


def differ(least: NDArray[np.float64], most: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether the least and the largest of some values differ by more than rounding (any shape)."""
    return np.asarray(most - least > RELATIVE_ROUNDING * np.maximum(np.abs(least), np.abs(most)))


def grouped_estimates(
    frame: pd.DataFrame, keys: list[str], column: str, confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """Return the `Estimate` of ``column`` for each combination of ``keys``, in order of appearance."""
    grouped = frame.groupby(keys, sort=False, observed=True)[column]
    groups: pd.DataFrame = grouped.agg(n="count", mean="mean", sd="std", least="min", most="max").reset_index()
    least, most = (groups.pop(name).to_numpy(np.float64) for name in ("least", "most"))
    sd = np.where(differ(least, most), groups["sd"], np.nan)
    half = half_width(sd, groups["n"].to_numpy(), confidence)
    groups["low"], groups["high"] = groups["mean"] - half, groups["mean"] + half
    return groups
