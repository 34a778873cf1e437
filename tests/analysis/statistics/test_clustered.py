"""Clustered errors where trials are missing: by dense formulas, by the seeds' own contrasts, and by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.statistics.clustered import clustered

Floats = NDArray[np.float64]

WEIGHTS = np.array([[-0.5, -0.5, 0.5, 0.5], [-0.5, 0.5, -0.5, 0.5], [1.0, -1, -1, 1]])


def scores_with_gaps(seeds: int, gaps: list[tuple[int, int]]) -> Floats:
    scores = np.random.default_rng(3).standard_normal((seeds, 4)) + 5 * np.arange(seeds)[:, np.newaxis]
    for gap in gaps:
        scores[gap] = np.nan
    return scores


def dense(scores: Floats, weights: Floats) -> tuple[Floats, Floats, float]:
    """Return the same as Pustejovsky and Tipton (2018) write it, with dummies of all seeds and full matrices."""
    seeds, arms = scores.shape
    rows = [(seed, arm) for seed in range(seeds) for arm in range(arms) if np.isfinite(scores[seed, arm])]
    y = np.array([scores[row] for row in rows])
    x = np.array([[*np.eye(arms)[arm][1:], *np.eye(seeds)[seed]] for seed, arm in rows])
    contrasts = np.hstack([weights[:, 1:], np.zeros((len(weights), seeds))])
    bread = np.linalg.inv(x.T @ x)
    leaves = np.eye(len(y)) - x @ bread @ x.T
    maps = []
    for seed in range(seeds):
        here = [number for number, row in enumerate(rows) if row[0] == seed]
        values, vectors = np.linalg.eigh(leaves[np.ix_(here, here)])
        root = vectors @ np.diag([value**-0.5 if value > 1e-9 else 0.0 for value in values]) @ vectors.T
        maps.append(contrasts @ bread @ x[here].T @ root @ leaves[here])
    covariance = np.sum([np.outer(one @ y, one @ y) for one in maps], axis=0)
    units = np.linalg.inv(np.linalg.cholesky(contrasts @ bread @ contrasts.T))
    total = 0.0
    for s in range(len(weights)):
        for t in range(len(weights)):
            for one in maps:
                for other in maps:
                    a, b, c, d = (units @ one)[s], (units @ one)[t], (units @ other)[s], (units @ other)[t]
                    total += (a @ c) * (b @ d) + (a @ d) * (b @ c)
    return contrasts @ bread @ x.T @ y, covariance, len(weights) * (len(weights) + 1) / total


@pytest.mark.parametrize("gaps", [[], [(0, 1)], [(0, 1), (1, 3), (2, 0), (4, 2), (4, 3)]])
@pytest.mark.parametrize("rows", [[0], [2], [0, 1], [0, 1, 2]])
def test_it_is_what_the_dense_formulas_give(gaps: list[tuple[int, int]], rows: list[int]) -> None:
    scores = scores_with_gaps(6, gaps)
    found, expected = clustered(scores, WEIGHTS[rows]), dense(scores, WEIGHTS[rows])
    assert not isinstance(found, str)
    for at in range(3):
        np.testing.assert_allclose(found[at], expected[at], rtol=1e-6)


def test_with_every_trial_it_is_mean_and_covariance_of_the_contrasts_within_seeds() -> None:
    scores = scores_with_gaps(6, [])
    found = clustered(scores, WEIGHTS)
    assert not isinstance(found, str)
    within = scores @ WEIGHTS.T
    np.testing.assert_allclose(found[0], within.mean(axis=0))
    np.testing.assert_allclose(found[1], np.cov(within, rowvar=False) / 6)
    assert found[2] == pytest.approx(5)


def test_of_two_arms_a_seed_without_one_of_them_counts_for_nothing_by_hand() -> None:
    # Differences 1 and 3 at two seeds: mean 2, variance of the mean (1 + 1) / 1 / 2 = 1, one degree of freedom.
    scores = np.array([[1.0, 2.0], [1.0, 4.0], [np.nan, 9.0]])
    found = clustered(scores, np.array([[-1.0, 1.0]]))
    assert not isinstance(found, str)
    assert (found[0][0], found[1][0, 0], found[2]) == pytest.approx((2.0, 1.0, 1.0))


def test_what_cannot_be_judged_has_a_reason() -> None:
    weights = np.array([[-1.0, 1.0, 0.0]])
    nothing_shared = np.array([[1.0, np.nan, 2.0], [np.nan, 3.0, np.nan], [1.0, np.nan, 4.0]])
    assert "share no seed" in clustered(nothing_shared, weights)
    once = np.array([[1.0, 2.0, 2.5], [1.5, np.nan, 2.0], [1.0, np.nan, 4.0]])
    assert clustered(once, weights) == "an arm that it needs shares one seed alone with the others"
    assert "fewer than two seeds" in clustered(np.array([[1.0, 2.0, np.nan], [1.0, np.nan, np.nan]]), weights)
