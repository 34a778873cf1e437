"""Gain of pairing by seed: how much of the variance of an unpaired difference is left, with its interval."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics.intervals import CONFIDENCE, Floats
from analysis.statistics.paired import FEWEST_CORRELATED


def variance_left(
    values: Floats, baseline: Floats, is_tested: NDArray[np.bool_], confidence: float = CONFIDENCE
) -> tuple[Floats, Floats, Floats]:
    r"""Return the variance of paired differences over that of unpaired ones, and the ends of its interval.

    With u the sum and v the difference of both sides, :math:`s_v^2 / (s_a^2 + s_b^2) = 2 / (1 + w)`,
    :math:`w = s_u^2 / s_v^2`: a ratio of two variances of correlated normal values, whose exact interval is
    :math:`w (K \pm \sqrt{K^2 - 1})`, :math:`K = 1 + 2 (1 - r^2) t_{n-2}^2 / (n - 2)`, r being the correlation of u and
    v (Pitman 1939, Morgan 1939). Below 1, pairing gained; at 1, it removed nothing; 2 is the worst case.

    Both sides are (comparisons, seeds), the three results (comparisons,): NaN where differences do not vary
    (``is_tested`` is false), the ends also below `FEWEST_CORRELATED` pairs.
    """
    is_pair = np.isfinite(values) & np.isfinite(baseline)
    with np.errstate(over="ignore", invalid="ignore"):  # no ratio if squares overflow
        sides = np.stack([values + baseline, values - baseline])
        n = np.where(is_tested, is_pair.sum(axis=-1), np.nan)
        means = np.where(is_pair, sides, 0.0).sum(axis=-1) / n
        around = np.where(is_pair, sides - means[..., np.newaxis], 0.0)
        of_sum, of_difference = (around**2).sum(axis=-1)
        ratio = of_sum / of_difference
        freedom = np.where(n >= FEWEST_CORRELATED, n - 2, np.nan)
        unshared = of_sum * of_difference - around.prod(axis=0).sum(axis=-1) ** 2
        t = stats.t.ppf((1 + confidence) / 2, freedom)
        varies = np.where(of_sum > 0, of_sum * of_difference, np.inf)
        spread = np.maximum(2 * unshared / varies * t**2 / freedom, 0.0)
        factor = 1 + spread + np.sqrt(spread * (spread + 2))
        return 2 / (1 + ratio), 2 / (1 + ratio * factor), 2 / (1 + ratio / factor)
