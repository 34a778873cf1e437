"""Verdicts on an arm against another, such as helps, hurts or undecided, from the p values of a family of tests."""

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cktf.rows import Alternative

Floats = NDArray[np.float64]

LEVEL = 0.05
"""Family-wise error rate: the largest chance that a study without any effect finds that an arm helps or hurts."""


class Verdict(StrEnum):
    """Verdict on an arm against another; "not worse" and "not better" allow for the margin of the alternative."""

    HELPS = "helps"
    HURTS = "hurts"
    EQUIVALENT = "equivalent"
    NOT_WORSE = "not worse"
    NOT_BETTER = "not better"
    FAILED = "failed"
    UNDECIDED = "undecided"


def holm(p: Floats) -> Floats:
    """Return Holm's adjusted p values (Holm 1979) of families of tests.

    A test that was not possible, NaN, stays NaN but counts in its family: the size of a family is fixed by the plan,
    and must not shrink where trials fail or are still running.

    Args:
        p: (..., tests), a family along the last axis.
    """
    return _stepped_down(p[..., np.newaxis])[..., 0]


def adjusted(p: Floats, p_equivalence: Floats) -> tuple[Floats, Floats]:
    """Return p of difference and of equivalence, adjusted as one family (Shaffer 1986); without the latter, by `holm`.

    No arm's effect is 0 and as large as delta at once, so of its two hypotheses one at most is true: at each step from
    the smallest p on, p is multiplied by the number of arms of which not both hypotheses are rejected by then.

    Args:
        p: (..., arms), of the hypothesis that the effect is 0.
        p_equivalence: (..., arms), of the hypothesis that it is as large as delta; all NaN if that is not tested.

    Returns:
        Both (..., arms): the chance of any error, of either kind, in a family is at most the level that p is
        compared with. NaN stays so and counts, as in `holm`.
    """
    if np.isnan(p_equivalence).all():
        return holm(p), p_equivalence
    both = _stepped_down(np.stack([p, p_equivalence], axis=-1))
    return both[..., 0], both[..., 1]


def _stepped_down(p: Floats) -> Floats:
    """Return adjusted p (..., arms, questions), given that at most one of an arm's hypotheses is true."""
    if not p.size:
        return p
    flat = p.reshape(*p.shape[:-2], -1)
    order = np.argsort(flat, axis=-1, kind="stable")  # NaN comes last
    last = np.argsort(order, axis=-1).reshape(p.shape).max(axis=-1)  # step of each arm's last hypothesis
    is_through = np.zeros(flat.shape, np.int64)
    np.put_along_axis(is_through, last, 1, axis=-1)
    factors = p.shape[-2] - np.cumsum(is_through, axis=-1) + is_through
    ascending = np.minimum(np.take_along_axis(flat, order, axis=-1) * factors, 1)
    found = np.empty_like(flat)
    np.put_along_axis(found, order, np.maximum.accumulate(ascending, axis=-1), axis=-1)
    return found.reshape(p.shape)


def decide(
    effect: Floats,
    p: Floats,
    p_equivalence: Floats,
    *,
    maximise: bool,
    alternative: str = Alternative.TWO_SIDED,
    margin: float = 0.0,
) -> NDArray[Any]:
    """Return the `Verdict` of each contrast (...), as a word; undecided where p is NaN.

    An effect that is shown to be smaller than the smallest that matters is called equivalent even if it differs
    significantly from zero.

    Args:
        effect: Effects, in the unit of the metric.
        p: Adjusted p of no effect; if the alternative is one-sided, of an effect that is not beyond the margin.
        p_equivalence: Adjusted p of an effect as large as matters.
        maximise: Whether a larger metric is better.
        alternative: `cktf.rows.Alternative`.
        margin: Margin of a one-sided alternative; if below 0, the effect is shown to be no worse (better) than that.
    """
    is_better = (effect > 0) == maximise
    better, worse = (Verdict.NOT_WORSE, Verdict.NOT_BETTER) if margin < 0 else (Verdict.HELPS, Verdict.HURTS)
    if alternative != Alternative.TWO_SIDED:
        is_better = np.full_like(is_better, alternative == Alternative.BETTER)
    return np.select(
        [p_equivalence < LEVEL, (p < LEVEL) & is_better, p < LEVEL],
        [Verdict.EQUIVALENT, better, worse],
        Verdict.UNDECIDED,
    )
