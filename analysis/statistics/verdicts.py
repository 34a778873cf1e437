"""Power: the effect that a number of seeds detects, and how many more seeds would decide."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq
from scipy.special import chdtr

from analysis.statistics.intervals import Counts, Floats
from cktf.verdicts import LEVEL

POWER = 0.8
"""Power with which a detectable effect is detected, and with which the recommended number of seeds decides."""

ASSURANCE = 0.8
"""Chance that the true standard deviation is below its bound, from which the recommended seeds are computed."""

FEWEST_FOR_A_NUMBER = 5
"""Below this many pairs (unpaired: values of a side), the recommended seeds are a range: the standard deviation is
hardly known."""

MOST_MORE_SEEDS = 100
"""Largest number of extra seeds that is reported; more is infinity, as the estimate is too rough."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)
_FARTHEST = 8.0
"""Standard deviations at which integrals over a normal distribution are cut off."""

_LARGEST = 1e9
"""Effect in standard deviations that is detected with certainty; the squares of larger ones may overflow."""


def power(standardised: Floats, n: NDArray[Any], level: float = LEVEL) -> Floats:
    """Return the power of the two-sided paired t test: the chance that it detects an effect, with the right sign.

    ``standardised`` is the true effect in standard deviations of the differences, at least 0 (any shape), and n the
    number of pairs, at least 2.
    """
    shift, n = np.broadcast_arrays(np.minimum(standardised, _LARGEST) * np.sqrt(n), n)
    critical = np.asarray(stats.t.isf(level / 2, n - 1))
    return _chance(-np.minimum(shift, _FARTHEST), _FARTHEST, lambda z: shift[..., np.newaxis] + z, critical, n - 1)


def equivalence_power(margin: Floats, n: Counts, level: float = LEVEL) -> Floats:
    """Return the chance that two one-sided t tests show an effect of 0 to be within a margin; see `power`."""
    shift, n = np.broadcast_arrays(np.minimum(margin, _LARGEST) * np.sqrt(n), n)
    critical = np.asarray(stats.t.isf(level, n - 1))
    return 2 * _chance(0.0, np.minimum(shift, _FARTHEST), lambda z: shift[..., np.newaxis] - z, critical, n - 1)


def _chance(
    first: Floats | float, last: Floats | float, reach: Callable[[Floats], Floats], critical: Floats, freedom: Any
) -> Floats:
    r"""Return the chance that a t test rejects, as an integral over the standardised mean z of the noise.

    It is :math:`\int \varphi(z) \, P(c S \le \mathrm{reach}(z)) \, dz`, with S the estimated over the true deviation,
    since the test rejects if c S is at most reach(z). This is exact for effects of any size, unlike computed noncentral
    t distributions. The integral goes from ``first`` to ``last`` (...), over points z (..., points), with the critical
    value c and the degrees of freedom (...) of the test.
    """
    first, last = np.broadcast_arrays(np.asarray(first, np.float64), last)
    half = (last - first)[..., np.newaxis] / 2
    z = first[..., np.newaxis] + half * (1 + _NODES)
    freedom = freedom[..., np.newaxis]
    inside = chdtr(freedom, freedom * (np.maximum(reach(z), 0) / critical[..., np.newaxis]) ** 2)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(np.sum(half * _WEIGHTS * density * inside, axis=-1))


def mde(n: NDArray[Any], level: float, sd: Floats) -> Floats:
    """Return the smallest effect that the paired t test detects with power `POWER`, in the unit of the metric.

    It depends on the number of pairs and on how much they vary, not on the effect that was seen.

    The pairs ``n`` (for an unpaired test its degrees of freedom plus 1) and ``sd``, the standard deviations of the
    differences, broadcast to one shape; NaN below two pairs.
    """
    n, sd = np.broadcast_arrays(n, sd)
    counts, places = np.unique(n, return_inverse=True)
    found = np.array([_detectable(float(count), level) if count > 1 else np.nan for count in counts])
    return np.asarray(found[places.reshape(n.shape)] * sd if n.size else np.empty(n.shape))


@cache
def _detectable(n: float, level: float) -> float:
    """Return the detectable effect of ``n`` pairs, in standard deviations of the differences."""
    # Where both the noise and the estimated deviation are within these quantiles, the test rejects.
    share = np.sqrt(POWER)
    widest = stats.t.isf(level / 2, n - 1) * np.sqrt(stats.chi2.ppf(share, n - 1) / (n - 1))
    largest = (widest + stats.norm.ppf(share)) / np.sqrt(n)
    counted = np.array(n)
    return float(brentq(lambda size: float(power(np.array(size), counted, level)) - POWER, 0, largest))


def sd_bound(sd: Floats, n: Counts, share: float) -> Floats:
    r"""Return the one-sided bound of a standard deviation, :math:`s \sqrt{(n - 1) / \chi^2_{1 - share, n - 1}}`.

    It is above the true deviation of normal values with a chance of ``share``; NaN below two values (any shape).
    """
    freedom = np.where(n > 1, n - 1, np.nan)
    return np.asarray(sd * np.sqrt(freedom / stats.chi2.ppf(1 - share, freedom)))


def seeds_needed(delta: float, sd: Floats, most: Counts, level: float) -> Floats:
    """Return the total number of pairs that decides about an effect of ``delta``.

    So many have the power `POWER` to tell an effect of ``delta`` from zero, and to show an effect of zero to be within
    ``delta``, which takes about a tenth more.

    Args:
        delta: The smallest effect that matters, in the unit of the metric.
        sd: (contrasts,) true standard deviations of the differences.
        most: (contrasts,) largest number of pairs that is tried; infinity is returned where it is not enough.
        level: Level of the tests.
    """
    with np.errstate(over="ignore"):  # an infinite size is detected with certainty
        size = delta / sd
    too_few, enough = np.ones_like(most), np.maximum(most, 2) + 1
    while (enough - too_few).max(initial=0) > 1:
        n = np.maximum((too_few + enough) // 2, 2)
        decides = np.minimum(power(size, n, level), equivalence_power(size, n, level)) >= POWER
        too_few, enough = np.where(decides, too_few, n), np.where(decides, n, enough)
    return np.where(np.isnan(size), np.nan, np.where(enough > most, np.inf, enough))


def more_seeds(delta: float, sd: Floats, n: Counts, level: float, assurance: float = ASSURANCE) -> Floats:
    """Return how many more seeds decide about an effect of ``delta`` with power `POWER`; see `seeds_needed`.

    The standard deviation is taken at its upper bound, since it is an estimate: with the estimate itself, as many
    studies would have too few seeds as enough; ``assurance`` is the chance that the true one is below. The observed
    effect does not matter. ``n``, the pairs so far, ``sd``, of their differences, and the result are (contrasts,). The
    result is 0 if there are enough, infinity above `MOST_MORE_SEEDS`, NaN if the deviation is unknown.
    """
    needed = seeds_needed(delta, sd_bound(sd, n, assurance), n + MOST_MORE_SEEDS, level)
    return np.maximum(needed - n, 0)
