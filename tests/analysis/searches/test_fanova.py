"""fANOVA against Optuna's evaluator, against a count over all levels, and by hand."""

import itertools

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator
from sklearn.ensemble import RandomForestRegressor

from analysis.searches.fanova import MAX_DEPTH, Factor, fanova


def test_numbers_are_those_of_optunas_evaluator() -> None:
    draws = np.random.default_rng(0)
    levels = draws.uniform([-1.0, 0.0, 2.0], [1.0, 1.0, 50.0], (60, 3))
    scores = 3 * levels[:, 0] * levels[:, 1] + 0.1 * levels[:, 2] + 0.2 * draws.standard_normal(60)
    factors = [Factor(-1.0, 1.0), Factor(0.0, 1.0), Factor(2.0, 50.0)]
    domains: dict[str, BaseDistribution] = {
        f"x{i}": FloatDistribution(factor.low, factor.high) for i, factor in enumerate(factors)
    }
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.create_trial(params=dict(zip(domains, row, strict=True)), distributions=domains, value=score)
            for row, score in zip(levels.tolist(), scores.tolist(), strict=True)
        ]
    )
    theirs = FanovaImportanceEvaluator(n_trees=8, seed=5).evaluate(study)
    found = fanova(levels, scores, factors, num_trees=8, seed=5)
    assert found == pytest.approx([theirs[name] for name in domains], rel=1e-9)
    assert found.sum() < 0.95  # the interaction has a share, too


def shares_by_counting(
    encoded: NDArray[np.float64], scores: NDArray[np.float64], corners: NDArray[np.float64], num_trees: int
) -> NDArray[np.float64]:
    """Return the shares of the factors along all axes of ``corners`` but the last, which holds a forest's input."""
    forest = RandomForestRegressor(num_trees, max_depth=MAX_DEPTH, random_state=0).fit(encoded, scores)
    shares = []
    for tree in forest.estimators_:
        predicted = tree.predict(corners.reshape(-1, corners.shape[-1])).reshape(corners.shape[:-1])
        along_each = [
            predicted.mean(axis=tuple(other for other in range(predicted.ndim) if other != axis)).var()
            for axis in range(predicted.ndim)
        ]
        shares.append(np.array(along_each) / predicted.var())
    mean: NDArray[np.float64] = np.mean(shares, axis=0)
    return mean


def test_choices_are_weighed_as_choices() -> None:
    draws = np.random.default_rng(1)
    one_hot = [np.eye(3), np.eye(2)]
    # A third factor has the numbers 0, 1, 2; trees cut it at 0.5, 1 or 1.5, so cells of a quarter hold one score each.
    levels = np.column_stack([draws.integers(3, size=80), draws.integers(2, size=80), draws.integers(3, size=80)])
    scores = levels @ [1.0, 2.0, -1.0] + 2.0 * (levels[:, 0] == 1) * levels[:, 1] + draws.standard_normal(80)
    encoded = np.hstack([one_hot[0][levels[:, 0]], one_hot[1][levels[:, 1]], levels[:, 2:]])
    quarters = np.arange(8) / 4 + 0.125
    corners = np.array(
        [[[[*one_hot[0][a], *one_hot[1][b], number] for number in quarters] for b in range(2)] for a in range(3)]
    )
    found = fanova(
        levels.astype(np.float64), scores, [Factor(num_choices=3), Factor(num_choices=2), Factor(0.0, 2.0)], num_trees=5
    )
    assert found == pytest.approx(shares_by_counting(encoded, scores, corners, 5))


def test_an_additive_score_is_shared_as_by_hand() -> None:
    # 3 a + b of two choices each: variances 9/4 and 1/4 of 10/4. Every resample of a tree has all four corners.
    levels = np.array([*itertools.product([0.0, 1.0], repeat=2)] * 25)
    scores = levels @ [3.0, 1.0]
    found = fanova(levels, scores, [Factor(num_choices=2)] * 2, num_trees=4)
    assert found == pytest.approx([0.9, 0.1])


def test_equal_scores_have_no_variance_to_share() -> None:
    levels = np.linspace(0, 1, 20)[:, None]
    assert np.isnan(fanova(levels, np.ones(20), [Factor()], num_trees=2)).tolist() == [True]


def test_a_factor_of_one_level_explains_nothing() -> None:
    draws = np.random.default_rng(2)
    levels = np.column_stack([draws.uniform(size=30), np.full(30, 0.5)])
    found = fanova(levels, levels[:, 0], [Factor(), Factor(0.5, 1.5)], num_trees=4)
    assert found == pytest.approx([1.0, 0.0])
