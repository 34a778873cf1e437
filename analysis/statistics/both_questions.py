"""One family of two questions of each arm: whether it has an effect, and whether that is too small to matter."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def both_adjusted(p: Floats, p_equivalence: Floats) -> tuple[Floats, Floats]:
    """Return p of m arms, adjusted over both questions of all of them (Shaffer 1986).

    No arm's effect is 0 and as large as delta at once, so of its two hypotheses one at most is true: at each step from
    the smallest p on, p is multiplied by m, minus the arms of which both hypotheses are rejected by then. What could
    not be tested, NaN, stays so and counts.

    Args:
        p: (arms,) that the effect is 0.
        p_equivalence: (arms,) that it is as large as delta.

    Returns:
        Both (arms,): the chance of any error, of either kind, in a family is at most the level they are held against.
    """
    raw = np.stack([p, p_equivalence])
    adjusted = np.full(raw.shape, np.nan)
    num_rejected = np.zeros(len(p), np.int64)
    largest = 0.0
    for place in np.argsort(raw, axis=None, kind="stable")[: np.isfinite(raw).sum()]:
        question, arm = np.unravel_index(place, raw.shape)
        largest = max(largest, min(float(raw[question, arm] * np.sum(num_rejected < len(raw))), 1.0))
        adjusted[question, arm] = largest
        num_rejected[arm] += 1
    return adjusted[0], adjusted[1]
