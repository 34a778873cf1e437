r"""Group-sequential tests of a race: p values that hold over all its looks, and the chance that the last look decides.

Look k judges the first :math:`n_k` seeds by the paired t test. The looks spend the level: up to look k, a share
of :math:`f(n_k / n_K)` of it. How small p must be at a look follows from the joint distribution of the statistics at
all looks if there is no effect, which is simulated (Jennison and Turnbull 2000, chapters 7 and 11). The sequential p
value is the smallest level at which any look so far rejects; Holm's method applies to it as to any p (Maurer and Bretz
2013).
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit  # scipy.stats takes a second to import

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

PATHS = 2**18
"""Number of simulated studies without effect."""

LEVELS = np.geomspace(1e-6, 1, 61)
"""Significance levels with computed limits; others are interpolated. No sequential p is below the smallest."""

ROUNDING = 1e-12
"""Differences that vary by less than this share of the values differ by rounding alone."""


class Spending(StrEnum):
    """Alpha-spending function of a race: early looks spend as the square of the seeds, hardly anything, or much."""

    POWER2 = "power2"
    OBRIEN_FLEMING = "obrien_fleming"
    POCOCK = "pocock"


def spent(share: float, level: Floats, spending: str) -> Floats:
    """Return how much of each level is spent by the looks up to a share of the seeds (Lan and DeMets 1983)."""
    if spending == Spending.OBRIEN_FLEMING:
        return np.asarray(4 * ndtr(ndtri(level / 4) / np.sqrt(share)))
    return level * (share**2 if spending == Spending.POWER2 else np.log(1 + (np.e - 1) * share))


@cache
def limits(looks: tuple[int, ...], spending: str, *, is_one_sided: bool = False) -> Floats:
    r"""Return limits (looks, levels): at a level of `LEVELS`, a look rejects if its own p is below its limit.

    At its limit q, the chance that a look newly rejects, :math:`q - P(\text{rejected before}, p \le q)`, equals what it
    may spend. Only the second term is simulated, so q is exact if no path was rejected before.
    """
    draws = np.random.default_rng(0)
    total, squares = np.zeros(PATHS), np.zeros(PATHS)
    rejected = np.full(PATHS, np.inf)  # the smallest level at which an earlier look has rejected the path
    found, before, spent_before = [], 0, np.zeros_like(LEVELS)
    for n in looks:
        of_block = draws.standard_normal(PATHS) * np.sqrt(n - before)
        total += of_block
        squares += of_block**2 / (n - before)
        if n - before > 1:
            squares += draws.chisquare(n - before - 1, PATHS)
        t = total / np.sqrt(n * (squares - total**2 / n) / (n - 1))
        p = stdtr(n - 1, -t) if is_one_sided else 2 * stdtr(n - 1, -np.abs(t))
        spent_now = spent(n / looks[-1], LEVELS, spending)
        own, order = np.empty_like(LEVELS), np.argsort(p)
        ascending, rejected_at = p[order], rejected[order]
        for index, (level, increment) in enumerate(zip(LEVELS, spent_now - spent_before, strict=True)):
            earlier = ascending[rejected_at <= level]
            counts = np.arange(len(earlier) + 1) / PATHS
            is_past = np.append(earlier, np.inf) - counts >= increment
            own[index] = increment + counts[is_past.argmax()]
        own = np.maximum.accumulate(np.clip(own, np.finfo(float).tiny, 1))
        found.append(own)
        rejected = np.minimum(rejected, np.append(LEVELS, np.inf)[np.searchsorted(own, p)])
        before, spent_before = n, spent_now
    return np.array(found)


@dataclass(frozen=True)
class Judged:
    """Results of comparisons, each at its last look so far; fields are arrays (..., comparisons), NaN where unknown.

    Attributes:
        n_pairs: Seeds at which both sides have a result.
        effect: Mean difference.
        sd: Standard deviation of the differences.
        p: Sequential p of no effect; if the question is one-sided, of an effect that is not beyond the margin.
        p_equivalence: Sequential p of an effect as large as ``delta``.
    """

    n_pairs: Counts
    effect: Floats
    sd: Floats
    p: Floats
    p_equivalence: Floats


@dataclass(frozen=True)
class Race:
    """The question that a race tests at its looks.

    Attributes:
        looks: Number of seeds at each look, increasing.
        spending: `Spending`.
        sign: Sign of the effects that are looked for; 0 for both.
        margin: How far an effect must be beyond 0 in the direction of ``sign``; below 0, how far short it may fall.
        delta: The smallest effect that matters; None: nothing is called equivalent.
    """

    looks: tuple[int, ...]
    spending: str
    sign: int = 0
    margin: float = 0.0
    delta: float | None = None

    def judged(self, values: Floats, against: Floats, num_looks: Counts) -> Judged:
        """Return the results of comparisons of arms, each at its last look so far.

        A look uses the pairs that there are: a seed without a result on either side is left out.

        Args:
            values: (..., comparisons, seeds), seeds in the order in which they are run; NaN where there is no result.
            against: Values of the arms that these are compared with, likewise.
            num_looks: (..., comparisons) looks that each comparison has had.
        """
        values, against = np.broadcast_arrays(values, against)
        shape = values.shape[:-1]
        n, effect, sd = np.zeros(shape, np.int64), np.full(shape, np.nan), np.full(shape, np.nan)
        questions = [(self.sign * self.margin, self.sign)]
        questions += [] if self.delta is None else [(-self.delta, 1), (self.delta, -1)]
        running = [np.ones(shape) for _ in questions]
        for look, seeds in enumerate(self.looks):
            is_looked = look < num_looks
            now = _differences(values[..., :seeds], against[..., :seeds])
            n, effect, sd = (np.where(is_looked, new, old) for new, old in zip(now, (n, effect, sd), strict=True))
            own = [self._p(*now, bound, sign, look) for bound, sign in questions]
            running = [np.where(is_looked, np.fmin(*both), both[0]) for both in zip(running, own, strict=True)]
        p, *of_delta = (np.where(np.isfinite(sd), each, np.nan) for each in running)
        return Judged(n, effect, sd, p, np.maximum(*of_delta) if of_delta else np.full(shape, np.nan))

    def width(self, sd: Floats, n: Counts, num_looks: Counts, level: float) -> Floats:
        """Return the half-width (...) of each effect's repeated confidence interval, 1 - ``level``, at its last look.

        All intervals of one effect, one at each look, hold together with this confidence. The deviations ``sd`` are of
        ``n`` pairs.
        """
        level = level / 2 if self.sign else level  # each end of the interval takes half
        at = np.append(self._limits(level, is_one_sided=bool(self.sign)), np.nan)
        own = at[np.where(num_looks > 0, num_looks - 1, len(self.looks))]
        freedom = np.where(n > 1, n - 1, np.nan)
        critical = -stdtrit(freedom, own if self.sign else own / 2)
        return np.asarray(critical * sd / np.sqrt(freedom + 1))

    def chance(self, found: Judged, look: int, level: float) -> Floats:
        """Return the chance (...) that the last look decides at a level, predicted from the results at an earlier one.

        It is the predictive power under flat priors: the last look's t is this look's, divided by the root of its share
        of the seeds, plus a Student-distributed error (Spiegelhalter, Freedman and Blackburn 1986).
        """
        share = self.looks[look] / self.looks[-1]
        spread, freedom, last = np.sqrt((1 - share) / share), np.maximum(found.n_pairs - 1, 1), self.looks[-1] - 1

        def critical(is_one_sided: bool) -> float:
            limit = self._limits(level, is_one_sided=is_one_sided)[-1]
            return float(-stdtrit(last, limit if is_one_sided else limit / 2))

        def beyond(least: Any) -> Floats:
            return np.asarray(stdtr(freedom, -least / spread))

        error = found.sd / np.sqrt(self.looks[-1])
        expected = (found.effect - self.sign * self.margin) / error
        if self.sign:
            chance = beyond(critical(True) - self.sign * expected)
        else:
            chance = beyond(critical(False) - expected) + beyond(critical(False) + expected)
        if self.delta is not None:
            within = self.delta / error - critical(True)
            chance += np.where(within > 0, beyond(-within - expected) - beyond(within - expected), 0)
        return np.minimum(chance, 1)

    def _limits(self, level: float, *, is_one_sided: bool) -> Floats:
        """Return the limits (looks,) below which a look's own p rejects at a level."""
        table = limits(self.looks, self.spending, is_one_sided=is_one_sided)
        return np.array([np.exp(np.interp(np.log(level), np.log(LEVELS), np.log(own))) for own in table])

    def _p(self, n: Counts, effect: Floats, sd: Floats, bound: float, sign: int, look: int) -> Floats:
        """Return the smallest level at which a look rejects each effect being at (one-sided: not beyond) ``bound``."""
        freedom = np.where(n > 1, n - 1, np.nan)
        t = (effect - bound) / (sd / np.sqrt(freedom + 1))
        p = stdtr(freedom, -sign * t) if sign else 2 * stdtr(freedom, -np.abs(t))
        own = limits(self.looks, self.spending, is_one_sided=bool(sign))[look]
        tiny = np.finfo(float).tiny
        return np.asarray(np.exp(np.interp(np.log(np.maximum(p, tiny)), np.log(own), np.log(LEVELS))))


def _differences(values: Floats, against: Floats) -> tuple[Counts, Floats, Floats]:
    """Return number, mean and standard deviation of differences (..., seeds); the deviation is NaN if all are equal."""
    is_pair = np.isfinite(values) & np.isfinite(against)
    n = is_pair.sum(axis=-1)
    arm, other = (np.where(is_pair, side, 0.0) for side in (values, against))
    largest = np.maximum(np.abs(arm), np.abs(other)).max(axis=-1, initial=0)
    scale = np.where(largest > 0, largest, 1.0)[..., np.newaxis]  # so that no square overflows
    difference = arm / scale - other / scale
    mean = difference.sum(axis=-1) / np.where(n > 0, n, np.nan)
    deviation = np.where(is_pair, difference - mean[..., np.newaxis], 0.0)
    sd = np.sqrt((deviation**2).sum(axis=-1) / np.where(n > 1, n - 1, np.nan))
    largest = np.max(difference, axis=-1, initial=-np.inf, where=is_pair)
    varies = largest - np.min(difference, axis=-1, initial=np.inf, where=is_pair) > ROUNDING
    return n, mean * scale[..., 0], np.where(varies, sd * scale[..., 0], np.nan)
