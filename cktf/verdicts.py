"""What is said of an arm against another, such as helps, hurts or undecided, by p values of a family of tests."""

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cktf.rows import Alternative

Floats = NDArray[np.float64]

LEVEL = 0.05
"""Family-wise: the chance that a study in which no arm does anything says of any that it helps or hurts."""


class Verdict(StrEnum):
    """What is said of an arm against another. Not worse, and not better: by the margin of a one-sided alternative."""

    HELPS = "helps"
    HURTS = "hurts"
    EQUIVALENT = "equivalent"
    NOT_WORSE = "not worse"
    NOT_BETTER = "not better"
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


def decide(
    effect: Floats,
    p_holm: Floats,
    p_equivalence_holm: Floats,
    *,
    maximise: bool,
    alternative: str = Alternative.TWO_SIDED,
    margin: float = 0.0,
) -> NDArray[Any]:
    """Return the `Verdict` of each contrast (...), as a word; p are adjusted, and NaN where nothing was tested.

    An effect that is shown to be smaller than the smallest that matters is called equivalent even where it is told
    apart from zero.

    Args:
        effect: In the unit of the metric.
        p_holm: That the effect is zero; of a one-sided alternative, that it is not beyond the margin.
        p_equivalence_holm: That it is as large as matters.
        maximise: Whether a larger metric is better.
        alternative: `cktf.rows.Alternative`.
        margin: Of a one-sided alternative; below 0, the effect is shown to be no worse (no better) than so much.
    """
    is_better = (effect > 0) == maximise
    better, worse = (Verdict.NOT_WORSE, Verdict.NOT_BETTER) if margin < 0 else (Verdict.HELPS, Verdict.HURTS)
    if alternative != Alternative.TWO_SIDED:
        is_better = np.full_like(is_better, alternative == Alternative.BETTER)
    return np.select(
        [p_equivalence_holm < LEVEL, (p_holm < LEVEL) & is_better, p_holm < LEVEL],
        [Verdict.EQUIVALENT, better, worse],
        Verdict.UNDECIDED,
    )
