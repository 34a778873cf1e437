"""Shapley values, by seed: what each component of a full grid of two levels adds to the score, fairly shared.

With v(S) the score of the arm that has the components S on and the others off, component j of k gets

    phi_j = sum over S without j of |S|! (k - |S| - 1)! / k! (v(S + j) - v(S))

(Shapley 1953), the mean of what switching it on adds over all orders in which components can be switched on. It is a
contrast of the arms' means, judged as main effects are, from which it differs by interactions of three, five, ...
components alone. In each seed the values of all components sum to v(all) - v(none).
"""

from collections.abc import Iterable
from math import factorial
from typing import Any

import numpy as np
import pandas as pd

from analysis.statistics.any_table import reported
from analysis.statistics.columns import columns, typed
from analysis.statistics.interactions import factorial_cells, scores_of_cells, with_factors
from analysis.statistics.intervals import CONFIDENCE, Floats
from analysis.statistics.levels import factor_label
from analysis.statistics.seed_contrasts import seed_test
from cktf.verdicts import holm

COLUMNS = columns("context factor level off metric effect low high confidence p p_holm n_seeds n model reason")

ALL = "all of them"
"""Name of the row with the sum over all components."""

OFF = frozenset({"0", "0.0", "False", "None", "nan", "<NA>", ""})
"""Levels, as text, that switch a component off."""

CHANGES_NOTHING = "the arms with and without it train alike"


def shapley(
    trials: pd.DataFrame, *, factors: Iterable[str], metric: str = "test_accuracy", baseline: str | None = None
) -> pd.DataFrame:
    """Return the Shapley value of each component, in every context that is a full grid of two levels each.

    Args:
        trials: As `analysis.load` gives them; or a plain table, see `analysis.statistics.any_table.as_trials`.
        factors: The components, two or more: paths in trials, columns of a plain table.
        metric: Column of the scores.
        baseline: Name of the arm whose levels are off where none of a component's two levels is 0, false or unset;
            None: the study's, or in a plain table the arm that is called ``baseline``, or else the first arm.

    Returns:
        One row for each component, and one (`ALL`) of what all add together; the page on tables says what each column
        means. ``p_holm`` is adjusted over all components of all contexts. Empty where no context is such a grid: in a
        fraction of one the values are confounded.

    Raises:
        InputError: As `analysis.interactions` does.
    """
    pool, factors = with_factors(trials, metric=metric, factors=factors, baseline=baseline, what="shapley")
    rows = []
    designed = reported(pool) if len(factors) > 1 else pool.head(0)
    for context, of_context in designed.groupby("context", sort=False):
        cells, reference = factorial_cells(of_context, factors)
        sides = [dict.fromkeys(side) for side in zip(*cells, strict=True)]
        if len(cells) != 2 ** len(factors) or any(len(side) != 2 for side in sides):  # 4 × 1 levels are no 2 × 2
            continue
        off = [
            next((level for level in side if level in OFF), base) for side, base in zip(sides, reference, strict=True)
        ]
        level = [next(one for one in side if one != none) for side, none in zip(sides, off, strict=True)]
        is_on = np.array([[one != none for one, none in zip(cell, off, strict=True)] for cell in cells])
        scores, of_cell = scores_of_cells(of_context, cells, metric)
        of_all = is_on.all(axis=1) * 1.0 - (~is_on).all(axis=1)
        names = [*(factor_label(factor, factors) for factor in factors), ALL]
        for name, on, none, weights in zip(names, [*level, ""], [*off, ""], [*_weights(is_on), of_all], strict=True):
            row = {"context": context, "factor": name, "level": on, "off": none, "metric": metric}
            of_arms = (weights @ of_cell)[np.newaxis]
            test = seed_test(scores, of_arms).figures() if of_arms.any() else {"reason": CHANGES_NOTHING}
            rows.append({"n_seeds": 0, "n": 0, "model": "", "confidence": CONFIDENCE, **row, **test})
    frame = typed(rows, COLUMNS)
    is_component = (frame["factor"] != ALL).to_numpy()
    frame.loc[is_component, "p_holm"] = holm(frame.loc[is_component, "p"].to_numpy(np.float64))
    return frame


def _weights(is_on: "np.ndarray[Any, np.dtype[np.bool_]]") -> list[Floats]:
    """Return the weight of each cell in each component's value; ``is_on`` (cells, components): which are on."""
    count, sizes = is_on.shape[1], is_on.sum(axis=1)
    share = np.array([factorial(size) * factorial(count - size - 1) / factorial(count) for size in range(count)])
    return [np.where(side, share[sizes - 1], -share[np.minimum(sizes, count - 1)]) for side in is_on.T]
