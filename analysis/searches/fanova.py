"""fANOVA: the share of a score's variance that each factor explains by itself (Hutter, Hoos, Leyton-Brown 2014).

A forest of regression trees learns the score from the levels. Each tree splits the space of all levels into boxes, its
leaves, and predicts one score in each; so the mean of its predictions over all other factors, and the variance of that
mean along one factor (their section 3.2), are sums over its leaves.

Optuna's evaluator gives the same numbers, except for choices (it integrates over the corners of their one-hot cube,
most of which are no choice), in a time quadratic in the number of arms, too slow for a bootstrap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.statistics.intervals import Counts, Floats
from analysis.statistics.levels import is_numeric

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

MAX_DEPTH = 64
"""Largest depth of a tree; as in Optuna's evaluator."""


@dataclass(frozen=True)
class Factor:
    """Domain of a factor: numbers from low to high on its scale, or indices of choices, from 0."""

    low: float = 0.0
    high: float = 1.0
    num_choices: int = 0


def as_numbers(levels: "pd.Series[Any]", *, is_log: bool) -> tuple[Floats, Factor]:
    """Return the levels of a factor as numbers (arms,), and their domain: the range or the choices that occur."""
    if not is_numeric(levels):
        codes, choices = levels.astype(str).factorize(sort=True)
        return codes.astype(np.float64), Factor(num_choices=len(choices))
    numbers = levels.to_numpy(np.float64)
    numbers = np.log(numbers) if is_log else numbers
    low, high = float(numbers.min()), float(numbers.max())
    return numbers, Factor(low, high if high > low else low + 1.0)


def fanova(levels: Floats, scores: Floats, factors: Sequence[Factor], *, num_trees: int, seed: int = 0) -> Floats:
    """Return the share of the variance of the score that each factor explains by itself.

    Levels are (arms, factors), scores (arms,) and shares (factors,), means over the trees, which do not sum to one:
    interactions have the rest. They are NaN where no tree finds any variance.

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    _, bounds, columns = _encoded(levels, factors)
    forest = fitted_forest(levels, scores, factors, num_trees=num_trees, seed=seed)
    tree, value, lows, highs = _leaves([estimator.tree_ for estimator in forest.estimators_], bounds)

    allowed = [
        _choices(lows[:, where], highs[:, where]) if factor.num_choices else None
        for factor, where in zip(factors, columns, strict=True)
    ]
    # (leaves, factors): the part of a factor's levels that a leaf holds.
    part = np.column_stack(
        [
            (highs[:, where.start] - lows[:, where.start]) / (factor.high - factor.low)
            if choices is None
            else choices.mean(axis=1)
            for factor, where, choices in zip(factors, columns, allowed, strict=True)
        ]
    )
    volume = part.prod(axis=1)
    mean = np.bincount(tree, volume * value, num_trees)
    deviation = value - mean[tree]
    total = np.bincount(tree, volume * deviation**2, num_trees)
    explained = np.empty((len(factors), num_trees))
    for index, (factor, where, choices) in enumerate(zip(factors, columns, allowed, strict=True)):
        # A leaf's contribution to the mean over all other factors, constant over its extent along this factor.
        height = volume * deviation / part[:, index]
        if choices is None:
            low, high = lows[:, where.start], highs[:, where.start]
            along = _variance_along(tree, height, low, high, num_trees)
            explained[index] = along / (factor.high - factor.low)
        else:
            sums = [np.bincount(tree, height * choice, num_trees) for choice in choices.T]
            explained[index] = np.square(sums).mean(axis=0)
    if not (total > 0).any():
        return np.full(len(factors), np.nan)
    return np.asarray((explained[:, total > 0] / total[total > 0]).mean(axis=1))


def fitted_forest(
    levels: Floats, scores: Floats, factors: Sequence[Factor], *, num_trees: int, seed: int = 0
) -> "RandomForestRegressor":
    """Return a forest of regression trees fitted to predict the score from the levels; arguments as for `fanova`."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(num_trees, max_depth=MAX_DEPTH, random_state=seed)
    return forest.fit(_encoded(levels, factors)[0], scores)


def predicted(forest: "RandomForestRegressor", levels: Floats, factors: Sequence[Factor]) -> Floats:
    """Return the scores (points,) that a forest predicts at levels (points, factors)."""
    return np.asarray(forest.predict(_encoded(levels, factors)[0]))


def _encoded(levels: Floats, factors: Sequence[Factor]) -> tuple[Floats, Floats, list[slice]]:
    """Return the forest's input (arms, columns), its bounds (columns, 2), and each factor's columns."""
    parts: list[Floats] = []
    bounds: list[tuple[float, float]] = []
    columns: list[slice] = []
    for factor, column in zip(factors, levels.T, strict=True):
        part = column[:, None]
        if factor.num_choices:
            part = (part == np.arange(factor.num_choices)).astype(np.float64)
        first = len(bounds)
        parts.append(part)
        bounds += [(factor.low, factor.high)] * part.shape[1]
        columns.append(slice(first, len(bounds)))
    return np.hstack(parts), np.array(bounds), columns


def _leaves(trees: Sequence[object], bounds: Floats) -> tuple[NDArray[Any], ...]:
    """Return the leaves of scikit-learn's trees, found breadth-first in all trees at once.

    Returns:
        The tree and the predicted score of each (leaves,), and its bounds in each column of the input (leaves,
        columns), low and high.
    """
    sizes = np.array([tree.node_count for tree in trees])  # type: ignore[attr-defined]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    left, right, feature, threshold, value = (
        np.concatenate([getattr(tree, name).reshape(size, -1)[:, 0] for tree, size in zip(trees, sizes, strict=True)])
        for name in ("children_left", "children_right", "feature", "threshold", "value")
    )
    tree = np.repeat(np.arange(len(trees)), sizes)
    is_leaf = left < 0
    low, high = np.empty((2, len(tree), len(bounds)))
    low[roots], high[roots] = bounds.T
    level = roots
    while (level := level[~is_leaf[level]]).size:
        below, above = left[level] + roots[tree[level]], right[level] + roots[tree[level]]
        for children in (below, above):
            low[children], high[children] = low[level], high[level]
        high[below, feature[level]] = low[above, feature[level]] = threshold[level]
        level = np.concatenate([below, above])
    return tree[is_leaf], value[is_leaf], low[is_leaf], high[is_leaf]


def _choices(low: Floats, high: Floats) -> NDArray[np.bool_]:
    """Return which choices lie in each leaf (leaves, choices), from its bounds in their one-hot columns, cut at 1/2."""
    may_be_others = low < 0.5
    others = may_be_others.sum(axis=1, keepdims=True) - may_be_others
    return np.asarray((high > 0.5) & (others == low.shape[1] - 1))


def _variance_along(tree: Counts, height: Floats, low: Floats, high: Floats, num_trees: int) -> Floats:
    """Return for each tree the integral of its leaves' squared sum, each leaf a step from ``low`` to ``high``."""
    owner, position = np.concatenate([tree, tree]), np.concatenate([low, high])
    order = np.lexsort((position, owner))
    owner, position = owner[order], position[order]
    sums = np.cumsum(np.concatenate([height, -height])[order])
    length = np.where(owner[1:] == owner[:-1], np.diff(position), 0.0)
    return np.bincount(owner[:-1], length * sums[:-1] ** 2, num_trees).astype(np.float64)
