"""Pareto fronts, their spread and their hypervolume, against all pairs, hand calculation and sampled points."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cktf.pareto import front, hypervolume, spread

Floats = NDArray[np.float64]


def front_by_pairs(losses: Floats) -> list[bool]:
    """Return which points are dominated by none, every pair looked at."""
    return [not any((other <= own).all() and (other < own).any() for other in losses) for own in losses]


@pytest.mark.parametrize("metrics", [2, 3])
def test_the_front_is_that_of_all_pairs(metrics: int) -> None:
    for seed in range(20):
        losses = np.random.default_rng(seed).integers(0, 6, (25, metrics)).astype(np.float64)  # so that there are ties
        assert front(losses).tolist() == front_by_pairs(losses)


def test_a_front_by_hand() -> None:
    # The second is slower and no better than the first; the last is as the third.
    losses = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 4.0], [3.0, 4.0]])
    assert front(losses).tolist() == [True, False, True, True]


def test_the_ends_of_a_front_stay_and_the_most_crowded_point_goes_first() -> None:
    # Distances between neighbours, by hand, as parts of the ranges 10 and 10: 0.3 + 0.7, 0.5 + 0.4, 0.7 + 0.3.
    losses = np.array([[0.0, 10.0], [1.0, 5.0], [3.0, 3.0], [6.0, 1.0], [10.0, 0.0]])
    assert spread(losses, 5) == [0, 1, 2, 3, 4]
    assert spread(losses, 4) == [0, 1, 3, 4]
    assert spread(losses, 3) == [0, 1, 4]  # now 0.6 + 0.9, 0.9 + 0.5
    assert spread(losses, 1) == [0]  # the best in the first metric


@pytest.mark.parametrize("metrics", [1, 2, 3])
def test_the_hypervolume_is_the_share_of_cells_that_a_point_dominates(metrics: int) -> None:
    for seed in range(10):
        losses = np.random.default_rng(seed).integers(0, 7, (6, metrics)).astype(np.float64)
        cells = np.stack(np.meshgrid(*[np.arange(5)] * metrics), axis=-1).reshape(-1, metrics)  # of a volume of 1 each
        covered = (losses[:, None] <= cells).all(axis=-1).any(axis=0).sum()
        assert hypervolume(losses, np.full(metrics, 5.0)) == covered


def test_a_hypervolume_by_hand() -> None:
    losses = np.array([[0.2, 0.7], [0.5, 0.5], [0.9, 0.95]])
    # 0.8 x 0.3, and 0.5 x 0.2 of the second below the first; the third adds nothing.
    assert hypervolume(losses, np.ones(2)) == pytest.approx(0.34)
    assert hypervolume(losses, np.full(2, 0.1)) == 0
