"""The Pareto front of a search: which arms are on it, and what is drawn."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis import load
from analysis.figures.pareto import FRONT, front, record


def front_by_pairs(costs: NDArray[np.float64], losses: NDArray[np.float64]) -> list[bool]:
    """Return which points are dominated by none, every pair looked at."""
    points = [*zip(costs, losses, strict=True)]
    return [
        not any(cost <= own_cost and loss <= own_loss and (cost < own_cost or loss < own_loss) for cost, loss in points)
        for own_cost, own_loss in points
    ]


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_that_of_all_pairs(seed: int) -> None:
    draws = np.random.default_rng(seed)
    costs, losses = draws.integers(0, 6, (2, 25)).astype(np.float64)  # coarse, so that there are ties
    assert front(costs, losses).tolist() == front_by_pairs(costs, losses)


def test_a_front_by_hand() -> None:
    # The second is slower and no better than the first; the last is as the third.
    costs, losses = np.array([1.0, 2.0, 3.0, 3.0]), np.array([5.0, 5.0, 4.0, 4.0])
    assert front(costs, losses).tolist() == [True, False, True, True]


def test_the_best_and_the_quickest_are_on_the_front(search: Path) -> None:
    results = load(search)
    found = record(results)
    assert found is not None
    assert len(found.rows) == 51
    # All arms took as long, so the best alone is on the front.
    (best,) = [row for row in found.rows if row["side"] == FRONT]
    assert best["score"] == results.leaderboard["score"][0]
    assert "n = 51 complete arms" in found.caption
    assert "on cpu" in found.caption


def test_a_design_has_no_front(ablation: Path) -> None:
    assert record(load(ablation)) is None
