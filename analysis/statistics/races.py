"""Simulated races, whose comparisons stop by the same rules as those of real ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cktf.looks import Counts, Floats, Race
from cktf.rows import Alternative
from cktf.verdicts import Verdict, adjusted, decide


def raced(race: Race, futility: float, differences: Floats, level: float) -> tuple[Counts, NDArray[Any]]:
    """Return the number of seeds and the verdict of each comparison of simulated races; comparisons stop one by one.

    Differences are (studies, comparisons, seeds). A comparison stops if it is decided, or if its chance of being
    decided, at this level, is below ``futility``.
    """
    num_looks, is_in = np.zeros(differences.shape[:-1], np.int64), np.ones(differences.shape[:-1], bool)
    for look in range(len(race.looks)):
        num_looks += is_in
        found = race.judged(differences, np.zeros(1), num_looks)
        words = decide(
            found.effect,
            *adjusted(found.p, found.p_equivalence),
            maximise=True,
            alternative=Alternative.BETTER if race.sign else Alternative.TWO_SIDED,
        )
        is_in &= words == Verdict.UNDECIDED
        if look + 1 < len(race.looks):
            is_in &= ~(race.chance(found, look, level) < futility)
    return np.array([0, *race.looks])[num_looks], words
