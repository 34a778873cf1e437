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
"""Power at which a detectable effect is told from zero, and at which the seeds that are asked for decide."""

ASSURANCE = 0.8
"""Chance that the true standard deviation is below its bound, from which the seeds to ask for are computed."""

FEWEST_FOR_A_NUMBER = 5
"""Below this many pairs, the seeds to ask for are a range: the standard deviation is hardly known."""

MOST_MORE_SEEDS = 100
"""Largest number of extra seeds that is reported; more is infinity, as the estimate is too rough."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)
_FARTHEST = 8.0
"""Standard deviations beyond which nothing of a normal distribution is counted."""

_LARGEST = 1e9
"""Effect in standard deviations that is told from zero with certainty; the squares of larger ones may overflow."""


def power(standardised: Floats, n: NDArray[Any], level: float = LEVEL) -> Floats:
    """Return the chance that the two-sided paired t test tells an effect from zero, in its own direction.

    The true effect is in standard deviations of the differences, not negative (any shape), of n pairs, two or more.
    """
    shift, n = np.broadcast_arrays(np.minimum(standardised, _LARGEST) * np.sqrt(n), n)
    critical = np.asarray(stats.t.isf(level / 2, n - 1))
    return _chance(-np.minimum(shift, _FARTHEST), _FARTHEST, lambda z: shift[..., np.newaxis] + z, critical, n - 1)


def equivalence_power(margin: Floats, n: Counts, level: float = LEVEL) -> Floats:
    """Return the chance that two one-sided t tests show an effect of 0 to be within a margin, as `power` has it."""
    shift, n = np.broadcast_arrays(np.minimum(margin, _LARGEST) * np.sqrt(n), n)
    critical = np.asarray(stats.t.isf(level, n - 1))
    return 2 * _chance(0.0, np.minimum(shift, _FARTHEST), lambda z: shift[..., np.newaxis] - z, critical, n - 1)


def _chance(
    first: Floats | float, last: Floats | float, reach: Callable[[Floats], Floats], critical: Floats, freedom: Any
) -> Floats:
    r"""Return the chance that a t test rejects, as an integral over the standardised mean z of the noise.

    It is :math:`\int \varphi(z) \, P(c S \le \mathrm{reach}(z)) \, dz`, with S the estimated over the true deviation,
    since the test rejects where c S is within what z reaches. This is exact for effects of any size, unlike computed
    noncentral t distributions. The integral goes from ``first`` to ``last`` (...), over points z (..., points), with
    the critical c and degrees of freedom (...) of the test.
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

    Pairs, of an unpaired test its degrees of freedom plus 1, and standard deviations of the differences have any shape,
    the same; NaN below two pairs.
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
    """Return how many pairs decide about an effect of ``delta``, in all.

    So many have the power `POWER` to tell an effect of ``delta`` from zero, and to show an effect of zero to be within
    ``delta``, which takes about a tenth more.

    Args:
        delta: The smallest effect that matters, in the unit of the metric.
        sd: (contrasts,) true standard deviations of the differences.
        most: (contrasts,) largest number of pairs that is tried; infinity is returned where it is not enough.
        level: Of the tests.
    """
    with np.errstate(over="ignore"):  # an infinite size is told from zero with certainty
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
    studies would have too few seeds as enough; ``assurance`` is the chance that it is below. What effect was seen does
    not matter. Of n pairs that there are, with standard deviations of their differences (contrasts,), the result is
    (contrasts,): 0 where there are enough, infinity above `MOST_MORE_SEEDS`, NaN where the deviation is unknown.
    """
    needed = seeds_needed(delta, sd_bound(sd, n, assurance), n + MOST_MORE_SEEDS, level)
    return np.maximum(needed - n, 0)
