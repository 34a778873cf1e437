"""Simulated grids: the promises of main effects and interactions, within four standard errors of the simulation."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.null_factorial import Errors, Grid, errors, grids

STUDIES = 200
FOUR_ERRORS = 4 * 100 * math.sqrt(0.05 * 0.95 / STUDIES)


def keeps_its_promise(found: Errors) -> bool:
    return max(found.contrasts, found.factors, found.any_row) < 5 + FOUR_ERRORS


@pytest.mark.parametrize("alike", ["merged", "copies"])
def test_three_cells_that_train_alike_are_no_more_evidence_than_one(alike: str) -> None:
    assert keeps_its_promise(errors(Grid("", (3, 3), alike=alike), STUDIES))


@pytest.mark.parametrize("levels", [(2, 2), (2, 2, 2), (2, 2, 2, 2)])
def test_a_factor_whose_effect_differs_by_seed_is_not_told_for_having_many_cells(levels: tuple[int, ...]) -> None:
    found = errors(Grid("", levels, seeds=3, by_seed=0.7), STUDIES)
    assert keeps_its_promise(found)
    assert found.of_first < 5 + FOUR_ERRORS


@pytest.mark.parametrize(
    "grid",
    [
        Grid("", (2, 2, 2), by_seed=0.7, missing=0.1),
        Grid("", (3, 3), by_seed=0.7, missing=0.3),
        Grid("", (2, 2, 2), by_seed=0.7, is_cell_lost=True),
        Grid("", (2, 2, 2), wide=4.0, missing=0.1),
    ],
)
def test_missing_trials_do_not_break_it(grid: Grid) -> None:
    assert keeps_its_promise(errors(grid, STUDIES))


def test_cells_that_train_alike_are_one_arm_or_copies_of_one_result() -> None:
    merged, copies = (Grid("", (3, 3), alike=alike) for alike in ("merged", "copies"))
    (one,), (other,) = merged.studies([1], 1), copies.studies([1], 1)
    assert (one.shape, other.shape) == ((5, 7), (5, 9))
    np.testing.assert_allclose(other @ np.ones(9) - one @ np.ones(7), 2 * one[:, 0])
    np.testing.assert_array_equal(other[:, 0], other[:, 2])
    assert errors(merged, 20) == errors(copies, 20), "what is left out of a contrast counts for nothing"


def test_an_effect_is_found() -> None:
    grid = Grid("", (2, 2), seeds=8)

    class Better(Grid):
        def studies(self, seed: list[int], count: int) -> Iterator[np.ndarray]:
            yield from (scores + 3 * (np.arange(4) > 1) for scores in super().studies(seed, count))

    assert errors(Better("", (2, 2), seeds=8), 50).of_first > 95 > errors(grid, 50).of_first


def test_every_grid_is_simulated_at_every_number_of_seeds() -> None:
    names = {(grid.name, grid.levels) for grid in grids()}
    assert len(grids()) == 3 * len(names)
    assert {replace(grid, seeds=3) for grid in grids()} == {grid for grid in grids() if grid.seeds == 3}
