"""What main effects and interactions are worth: simulated grids through the functions that judge real ones.

Simulated is the score of a cell at a seed::

    shift of the seed + what the seed does at this level of the first factor + noise

with a noise of standard deviation 1. No factor does anything on average. `benchmarks/simulations.py` runs
this.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.interactions import VANISHES, contrast_figures, contrasts
from analysis.statistics.seed_contrasts import WITHIN
from cktf.verdicts import LEVEL, holm

Floats = NDArray[np.float64]

SEEDS = (3, 5, 8)

BY_SEED = 0.7
"""Standard deviation of what a seed does at a level of the first factor, where factors differ by seed."""


@dataclass(frozen=True)
class Grid:
    """How the scores of a grid come about.

    Attributes:
        name: In words.
        levels: Of each factor.
        seeds: Of every arm.
        by_seed: Standard deviation of what a seed does at each level of the first factor.
        wide: Standard deviation of the noise of the last cell.
        missing: Chance that a trial has no result.
        is_cell_lost: Whether the last cell has no result at all.
        alike: What becomes of the cells at the first level of the first factor, which train alike: ``merged`` into one
            arm, ``copies`` of one result, or empty where they train differently.
    """

    name: str
    levels: tuple[int, ...]
    seeds: int = 5
    by_seed: float = 0.0
    wide: float = 1.0
    missing: float = 0.0
    is_cell_lost: bool = False
    alike: str = ""

    @property
    def has_gaps(self) -> bool:
        """Whether trials have no result."""
        return self.missing > 0 or self.is_cell_lost

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """The combinations of the levels."""
        return [tuple(map(str, cell)) for cell in itertools.product(*map(range, self.levels))]

    @property
    def of_cell(self) -> Floats:
        """Which arm stands in each cell (cells, arms): 1, and 0 elsewhere."""
        arms = np.eye(len(self.cells))
        if self.alike != "merged":
            return arms
        is_first = [cell[0] == "0" for cell in self.cells]
        arms[is_first] = arms[0]
        return arms[:, arms.any(axis=0)]

    def studies(self, seed: list[int], count: int) -> Iterator[Floats]:
        """Yield the scores of studies, each (seeds, arms), NaN where a trial has no result."""
        draws = np.random.default_rng(seed)
        level = np.array([int(cell[0]) for cell in self.cells])
        sd = np.ones(len(level))
        sd[-1] = self.wide
        for _ in range(count):
            shift = draws.standard_normal((self.seeds, 1))
            of_level = self.by_seed * draws.standard_normal((self.seeds, self.levels[0]))
            scores = shift + of_level[:, level] + sd * draws.standard_normal((self.seeds, len(level)))
            if self.alike:
                scores[:, level == 0] = scores[:, [0]]
            if self.missing:
                scores = np.where(draws.random(scores.shape) < self.missing, np.nan, scores)
            if self.is_cell_lost:
                scores[:, -1] = np.nan
            yield scores[:, self.of_cell.argmax(axis=0)]


@dataclass(frozen=True)
class Errors:
    """How often tests of what is nothing say that it is something.

    Attributes:
        contrasts: Of the contrast for which that is most often, in per cent of the studies that tested it.
        factors: The same of the joint test of a factor, or of two.
        any_row: Of any row of a study, by Holm's method.
        within: Share of the contrasts that were tested within each seed, in per cent of those that were tested.
        tested: Contrasts that were tested, in per cent.
        of_first: Of the main effect of the first factor.
    """

    contrasts: float
    factors: float
    any_row: float
    within: float
    tested: float
    of_first: float


def errors(grid: Grid, studies: int, seed: int = 0) -> Errors:
    """Return how often studies of a grid err."""
    found = contrasts(grid.cells, [f"factor {number}" for number in range(len(grid.levels))], grid.cells[0])
    of_cell = grid.of_cell
    p, joint, within, wrong = [], [], [], []
    for scores in grid.studies([seed, *grid.levels, grid.seeds], studies):
        rows = [row for row in contrast_figures(scores, of_cell, found) if row["reason"] != VANISHES]
        p.append([row["p"] for row in rows])
        joint.append([row["factor_p"] for row in rows])
        within.append([row["model"] == WITHIN for row in rows])
        wrong.append(bool((holm(np.array(p[-1])) < LEVEL).any()))
    is_tested = np.isfinite(p)
    single, together = (_rates(np.array(values)) for values in (p, joint))
    return Errors(
        contrasts=_largest(single),
        factors=_largest(together),
        any_row=100 * float(np.mean(wrong)),
        within=100 * float(np.mean(np.array(within)[is_tested])),
        tested=100 * float(is_tested.mean()),
        of_first=float(single[0]),
    )


def _rates(p: Floats) -> Floats:
    """Return in how many of the studies (studies, tests) that made a test it rejects (tests,), in per cent."""
    made = np.isfinite(p).sum(axis=0)
    return np.asarray(100 * (p < LEVEL).sum(axis=0) / np.where(made > 0, made, np.nan))


def _largest(rates: Floats) -> float:
    """Return the largest rate; NaN where no study made any of the tests."""
    return float(np.nan if np.isnan(rates).all() else np.nanmax(rates))


def grids() -> list[Grid]:
    """Return the grids that are simulated, at every number of seeds."""
    two = [(2,) * factors for factors in (2, 3, 4)]
    kinds = [
        Grid("nothing differs", (3, 3)),
        Grid("three cells train alike, merged", (3, 3), alike="merged"),
        Grid("three cells train alike, trained apart", (3, 3), alike="copies"),
        Grid("three cells train alike, merged, 10% are missing", (3, 3), alike="merged", missing=0.1),
        *(Grid("a factor differs by seed", levels, by_seed=BY_SEED) for levels in two),
        *(Grid("one cell varies 4 times as much", levels, wide=4.0) for levels in two),
        *(
            Grid(f"a factor differs by seed, {share:.0%} are missing", levels, by_seed=BY_SEED, missing=share)
            for share in (0.1, 0.3)
            for levels in ((2, 2), (2, 2, 2), (3, 3))
        ),
        Grid("one cell varies 4 times as much, 10% are missing", (2, 2, 2), wide=4.0, missing=0.1),
        Grid("a factor differs by seed, a cell is lost", (2, 2, 2), by_seed=BY_SEED, is_cell_lost=True),
        Grid(
            "a factor differs by seed, a cell is lost, 10% are missing",
            (2, 2, 2),
            by_seed=BY_SEED,
            is_cell_lost=True,
            missing=0.1,
        ),
    ]  # fmt: skip
    return [replace(kind, seeds=seeds) for kind in kinds for seeds in SEEDS]


def print_grids(chosen: list[Grid], studies: int, seed: int) -> None:
    """Print how often main effects and interactions are told that are not there."""
    print(
        "| scores | levels | seeds | the contrast that errs most, % | the first factor's main effect, % | the joint "
        "test that errs most, % | any row by Holm, % | tested, % | of these within seeds, % |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for grid in chosen:
        found = errors(grid, studies, seed)
        shown = (found.contrasts, found.of_first, found.factors, found.any_row, found.tested, found.within)
        print(
            f"| {grid.name} | {' x '.join(map(str, grid.levels))} | {grid.seeds} | "
            + " | ".join("–" if np.isnan(value) else f"{value:.1f}" for value in shown)
            + " |",
            flush=True,
        )


TABLES: dict[str, Callable[[int, int], None]] = {
    "Main effects and interactions, every trial has a result": lambda *how: print_grids(
        [grid for grid in grids() if not grid.has_gaps], *how
    ),
    "Main effects and interactions, trials are missing": lambda *how: print_grids(
        [grid for grid in grids() if grid.has_gaps], *how
    ),
}
"""Title to what prints the table, of a number of studies and the seed of the simulation."""
