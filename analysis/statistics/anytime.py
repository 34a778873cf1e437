r"""P values and intervals of the mixture t test (g = 1), which hold at any number of pairs, planned or not.

With n pairs, :math:`\nu = n - 1` and Student's t, the Bayes factor for an effect, whose prior in standard deviations is
normal with variance g, against no effect is

.. math::
    B_n = (1 + ng)^{-1/2} \left[\frac{1 + t^2/\nu}{1 + t^2/(\nu(1 + ng))}\right]^{(\nu + 1)/2}

Without an effect, the chance that :math:`B_n` ever reaches 1/p is at most p (Lindon, Ham, Tingley and Bojinov 2022;
Wang and Ramdas 2025), so the p value is one over the largest so far (at most 1).
"""

import numpy as np

from analysis.statistics.intervals import RELATIVE_ROUNDING, Counts, Floats

G = 1.0
"""Prior variance of the effects, in variances of the differences."""

TEST = "mixture t"


def anytime_p(differences: Floats, bound: float = 0.0, sign: int = 0) -> Floats:
    """Return p values, valid at every look, of the null hypothesis that an effect is at a bound, or not beyond it.

    Args:
        differences: (..., seeds) in an order that depends on no result; NaN where there is no pair.
        bound: Effect of the null hypothesis, in the unit of the differences.
        sign: 1: test whether effects are above the bound; -1: below it; 0: whether they differ from it.

    Returns:
        (...): NaN where no two pairs differ.
    """
    is_pair = np.isfinite(differences)
    values = np.where(is_pair, differences, 0.0)
    largest = np.abs(values).max(axis=-1, initial=0)
    scale = np.maximum(np.maximum(largest, abs(bound)), np.finfo(float).tiny)[..., np.newaxis]
    shifted = np.where(is_pair, (values - bound) / scale, 0.0)
    n = np.cumsum(is_pair, axis=-1)
    mean = np.cumsum(shifted, axis=-1) / np.maximum(n, 1)
    before = np.concatenate([np.zeros_like(mean[..., :1]), mean[..., :-1]], axis=-1)
    squares = np.cumsum(np.where(is_pair, (shifted - before) * (shifted - mean), 0.0), axis=-1)  # Welford's
    v = np.where((n > 1) & (squares > n * RELATIVE_ROUNDING**2), n - 1.0, np.nan)
    ratio = n * mean**2 / (squares / v) / v  # t squared over the degrees of freedom
    log_bayes = -np.log1p(n * G) / 2 + n / 2 * (np.log1p(ratio) - np.log1p(ratio / (1 + n * G)))
    log_bayes = np.where((sign == 0) | (sign * mean > 0) | np.isnan(log_bayes), log_bayes, 0.0)
    most = np.fmax.reduce(log_bayes, axis=-1, initial=-np.inf)
    return np.where(np.isnan(v).all(axis=-1), np.nan, np.exp(-np.maximum(most, 0)))


def anytime_width(sd: Floats, n: Counts, level: float) -> Floats:
    """Return half the width of the intervals of effects (...), at a level; NaN where they are unbounded."""
    ratio = ((1 + n * G) / level**2) ** (1 / np.maximum(n, 1))
    least = 1 - ratio / (1 + n * G)
    share = (n - 1) * (ratio - 1) / np.where((least > 0) & (n > 1), least, np.nan)
    return np.asarray(sd * np.sqrt(share / np.maximum(n, 1)))
