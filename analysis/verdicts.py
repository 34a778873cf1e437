"""What is said of an arm: helps, hurts, equivalent, failed or undecided; and how many more seeds could tell."""

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.05
"""Family-wise: the chance that a study in which no arm does anything says of any that it helps or hurts."""

POWER = 0.8
"""With which the seeds that are asked for would tell an effect from zero."""

MOST_MORE_SEEDS = 100
"""Above so many more seeds, how many there are is not told: the estimate is too rough."""


class Verdict(StrEnum):
    """What is said of an arm against its baseline."""

    HELPS = "helps"
    HURTS = "hurts"
    EQUIVALENT = "equivalent"
    FAILED = "failed"
    UNDECIDED = "undecided"


def holm(p: Floats) -> Floats:
    """Return Holm's adjusted p values (Holm 1979) of families of tests.

    What could not be tested, NaN, stays NaN, but counts in its family: the size of a family is fixed by the plan,
    and must not shrink where trials fail or are still running.

    Args:
        p: (..., tests), a family along the last axis.
    """
    if not p.size:
        return p
    order = np.argsort(p, axis=-1)  # NaN comes last
    factors = np.arange(p.shape[-1], 0, -1)
    ascending = np.minimum(np.take_along_axis(p, order, axis=-1) * factors, 1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(ascending, axis=-1), axis=-1)
    return adjusted


def decide(effect: Floats, p_holm: Floats, p_equivalence_holm: Floats, *, maximise: bool) -> NDArray[Any]:
    """Return the `Verdict` of each contrast, as a word.

    An effect that is shown to be smaller than the smallest that matters is called equivalent even where it is told
    apart from zero.

    Args:
        effect: (...), in the unit of the metric.
        p_holm: (...), adjusted, that the effect is zero; NaN where that was not tested.
        p_equivalence_holm: (...), adjusted, that it is as large as matters; NaN where that was not tested.
        maximise: Whether a larger metric is better.
    """
    is_better = (effect > 0) == maximise
    return np.select(
        [p_equivalence_holm < LEVEL, (p_holm < LEVEL) & is_better, p_holm < LEVEL],
        [Verdict.EQUIVALENT, Verdict.HELPS, Verdict.HURTS],
        Verdict.UNDECIDED,
    )


def power(standardised: Floats, n: NDArray[np.int64], level: float = LEVEL) -> Floats:
    """Return the chance that the two-sided paired t test tells an effect from zero, in its own direction.

    Args:
        standardised: True effect over the standard deviation of the differences, not negative (any shape).
        n: Pairs, two or more (a shape that broadcasts with it).
        level: Of the test.
    """
    from scipy import stats

    critical = stats.t.isf(level / 2, n - 1)
    return np.asarray(1 - stats.nct.cdf(critical, n - 1, standardised * np.sqrt(n)))


def more_seeds(target: Floats, sd: Floats, n: NDArray[np.int64], level: float) -> Floats:
    """Return how many more seeds make the power `POWER`, roughly, for the deviation is an estimate itself.

    Args:
        target: (contrasts,) effects that are to be told from zero, in the unit of the metric.
        sd: (contrasts,) standard deviations of the differences.
        n: (contrasts,) pairs that there are.
        level: Of the test.

    Returns:
        (contrasts,): 0 where there are enough, infinity above `MOST_MORE_SEEDS`, NaN where the deviation is unknown.
    """
    more = np.arange(MOST_MORE_SEEDS + 1)
    # Beyond 5 deviations a few seeds tell whatever they show, and the distribution is hard to compute.
    standardised = np.minimum(np.abs(target) / sd, 5)[:, np.newaxis]
    is_enough = power(standardised, np.maximum(n, 2)[:, np.newaxis] + more, level) >= POWER
    found = np.where(is_enough.any(axis=1), is_enough.argmax(axis=1), np.inf)
    return np.where(np.isnan(standardised[:, 0]), np.nan, found)
