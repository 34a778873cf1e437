"""Main effects of the factors of a grid or a fraction, averaged over the other factors, and two-factor interactions.

Every effect is a contrast of the arms' means with equal weights on the levels of the other factors: a Type III
hypothesis. No interaction is assumed to be zero unless an arm has no result at all: then the means are modelled by main
effects and two-factor interactions alone, if the other arms suffice to estimate these; the rows name the model. A
contrast is tested by how it varies from seed to seed (see `analysis.statistics.seed_contrasts`).

In a fraction of a grid of two levels some contrasts coincide, and each row names its aliases, derived from the arms
themselves. Arms that train alike are one arm, which stands in several cells: the weights of its cells add up, and a
contrast whose weights all cancel is not tested.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.arguments import check_factors
from analysis.ledger.other_names import under_every_name
from analysis.statistics.any_table import complete, is_plain, reported, trials_of, with_levels
from analysis.statistics.columns import columns, typed
from analysis.statistics.intervals import CONFIDENCE, Floats
from analysis.statistics.levels import factor_label
from analysis.statistics.seed_contrasts import SeedTest, seed_test
from cktf.errors import InputError
from cktf.verdicts import holm

Cell = tuple[str, ...]
"""One combination of the levels of a grid: the level of each factor, as text."""

COLUMNS = columns(
    """
    context kind factor contrast against aliases metric effect low high confidence statistic p p_holm factor_f
    factor_df factor_p factor_reason df_error n_seeds n model reason
    """
)


REDUCED = ", no interactions of three and more factors"
"""Suffix of the model's name if an arm has no result and its mean is predicted from the others'."""

VANISHES = "all arms that it compares train alike, so there is nothing to test"

SMALL = 1e-9
"""Weights below this are rounding errors."""


@dataclass(frozen=True)
class Contrast:
    """A combination of the means of the cells: levels of one or two factors against their reference levels.

    Attributes:
        kind: ``main`` or ``interaction``.
        labels: Short names of the factors.
        signs: (cells,) 1 at the level, -1 at the reference level, 0 elsewhere; for two factors, the product of both.
        aliases: Effects confounded with the contrast; a minus precedes those that are subtracted.
    """

    kind: str
    factors: tuple[str, ...]
    labels: tuple[str, ...]
    levels: tuple[str, ...]
    against: tuple[str, ...]
    signs: Floats
    aliases: tuple[str, ...] = ()

    @property
    def weights(self) -> Floats:
        """Weights of the cells' means (cells,)."""
        return np.asarray(self.signs / np.sum(np.abs(self.signs)) * 2 ** len(self.factors))

    @property
    def name(self) -> str:
        """Its levels, each after its factor."""
        return " × ".join(_named(self.labels, self.levels))


def interactions(
    trials: pd.DataFrame, *, factors: Iterable[str], metric: str = "test_accuracy", baseline: str | None = None
) -> pd.DataFrame:
    """Return the main effects and two-factor interactions of a grid or a fraction, context by context.

    A main effect is the difference that a level makes to the reference level (the baseline's where the grid has it,
    or else the first). An interaction is by how much the difference that one factor makes changes with the other: 0
    where effects add up. Effects that a fraction confounds share one row: a main effect plus or minus half of the
    interactions that are its ``aliases``; an interaction plus or minus other interactions.

    Args:
        trials: As `analysis.load` gives them, of a study whose design is a grid or a fraction; or a plain table.
        factors: Paths of the design's factors, in a plain table names of columns; without any, the result is empty.
        metric: Column that is compared.
        baseline: Name of the arm whose levels are the reference levels; None: the study's, or in a plain table the arm
            that is called ``baseline``, or else the first arm.

    Returns:
        One row for each contrast; the page on tables says what each column means. ``p_holm`` is adjusted over all rows
        but those that compare nothing, and ``factor_p`` is of all contrasts of these factors together.

    Raises:
        InputError: If a column, a factor or the baseline is missing, an arm has several levels of a factor or none, or
            the metric does not hold numbers.
    """
    trials, factors = with_factors(trials, metric=metric, factors=factors, baseline=baseline, what="interactions")
    rows = []
    designed = reported(trials) if factors else trials.head(0)
    for context, pool in designed.groupby("context", sort=False):
        cells, reference = factorial_cells(pool, factors)
        if not cells:
            continue
        found = contrasts(list(cells), factors, reference)
        for figures in contrast_figures(*scores_of_cells(pool, cells, metric), found):
            rows.append({"context": context, "metric": metric, **figures})
    frame = typed(rows, COLUMNS)
    is_asked = (frame["reason"] != VANISHES).to_numpy()
    frame.loc[is_asked, "p_holm"] = holm(frame.loc[is_asked, "p"].to_numpy(np.float64))
    return frame


def with_factors(
    trials: pd.DataFrame, *, metric: str, factors: str | Iterable[str], baseline: str | None, what: str
) -> tuple[pd.DataFrame, list[str]]:
    """Return trials (or a plain table converted to them) with a column of levels for each factor, and the factors."""
    pool = trials_of(trials, metric=metric, what=what, baseline=baseline, needs_baseline=False)
    factors = factors if isinstance(factors, str) else list(factors)
    if not isinstance(factors, str) and is_plain(trials, what):
        pool = with_levels(pool, factors, metric)
        for factor in factors:
            if (is_empty := pool[f"param.{factor}"].isna()).any():
                raise InputError(f"factors: column {factor!r} is empty in row {int(is_empty.argmax()) + 1}")
    return pool, check_factors(pool, factors)


def models_and_family(table: pd.DataFrame) -> tuple[str, int]:
    """Return the models by which rows of `interactions` were tested, as text, and how many rows p is adjusted over."""
    asked = table[table["reason"] != VANISHES]
    return "; or by ".join(asked["model"].unique()), len(asked)


def factorial_cells(pool: pd.DataFrame, factors: list[str]) -> tuple[dict[Cell, str], Cell]:
    """Return the cells of a context's grid or fraction with the arm in each of them, and the reference levels.

    An arm stands in its own cell and in those of its other names. The baseline's own cell is included only if it
    completes the design. There are no cells if no factor has two levels, or the arms are neither a grid nor a fraction.
    """
    arms = under_every_name(pool.drop_duplicates("arm_id"))
    levels = arms[[f"param.{factor}" for factor in factors]].astype(str).to_numpy()
    every = [(tuple(map(str, cell)), str(arm_id)) for cell, arm_id in zip(levels, arms["arm_id"], strict=True)]
    is_baseline = arms["is_baseline"].to_numpy(bool) & ~arms["is_other_name"].to_numpy(bool)
    for pairs in (every, [pair for pair, is_it in zip(every, is_baseline, strict=True) if not is_it]):
        cells = [cell for cell, _ in pairs]
        if _is_grid(cells) or _is_fraction(cells):
            of_baseline = every[int(is_baseline.argmax())][0] if is_baseline.any() else cells[0]
            reference = [
                of_baseline[position] if of_baseline[position] in side else cells[0][position]
                for position, side in enumerate(zip(*cells, strict=True))
            ]
            return dict(pairs), tuple(reference)
    return {}, ()


def scores_of_cells(pool: pd.DataFrame, cells: dict[Cell, str], metric: str) -> tuple[Floats, Floats]:
    """Return scores (seeds, arms), NaN where there is none, and the arm of each cell (cells, arms): 1, elsewhere 0."""
    arms = list(dict.fromkeys(cells.values()))
    scores = complete(pool[pool["arm_id"].isin(arms)], metric).pivot(index="seed", columns="arm_id", values=metric)
    of_cell = np.array([[arm == arm_id for arm in arms] for arm_id in cells.values()], np.float64)
    return scores.reindex(columns=arms).to_numpy(np.float64), of_cell


def _is_grid(cells: list[Cell]) -> bool:
    """Return whether every combination of the levels is there once, and there are two or more."""
    counts = [len(set(side)) for side in zip(*cells, strict=True)]
    return len(set(cells)) == len(cells) == np.prod(counts) and max(counts, default=0) > 1


def _is_fraction(cells: list[Cell]) -> bool:
    """Return whether these are a regular fraction of resolution III or more of a grid of two levels each.

    With levels coded as 0 and 1, the sum (modulo 2) of any two runs and the first one must be a run, and no two
    factors may have equal or opposite levels throughout.
    """
    level = np.array(cells)
    if not level.size or any(len(set(side)) != 2 for side in level.T):
        return False
    runs = [tuple(row) for row in (level != level[0]).tolist()]
    sums = {tuple(np.logical_xor(one, other).tolist()) for one in runs for other in runs}
    is_closed = len(set(runs)) == len(runs) and sums == set(runs)
    sides = {side for row in np.array(runs).T for side in (tuple(row), tuple(~row))}
    return is_closed and len(sides) == 2 * level.shape[1]


def contrasts(cells: list[Cell], factors: list[str], reference: Cell) -> list[Contrast]:
    """Return the contrasts of every level of every factor, then of every two factors, with the reference levels.

    If contrasts are the same up to their sign, the first is returned, and the others are its aliases.
    """
    level = np.array(cells)
    others = [
        [value for value in dict.fromkeys(level[:, position]) if value != reference[position]]
        for position in range(len(factors))
    ]
    labels = [factor_label(factor, factors) for factor in factors]
    found: dict[tuple[float, ...], Contrast] = {}  # by their signs, the first of which is positive
    for size, kind in ((1, "main"), (2, "interaction")):
        for positions in itertools.combinations(range(len(factors)), size):
            against = tuple(reference[position] for position in positions)
            for looked in itertools.product(*(others[position] for position in positions)):
                signs = np.prod(
                    [
                        (level[:, position] == value) * 1.0 - (level[:, position] == reference[position])
                        for position, value in zip(positions, looked, strict=True)
                    ],
                    axis=0,
                )
                named, read = (tuple(names[place] for place in positions) for names in (factors, labels))
                contrast = Contrast(kind, named, read, tuple(map(str, looked)), against, signs)
                key = tuple(signs * signs[signs != 0][0])
                if earlier := found.get(key):
                    prefix = "" if np.array_equal(earlier.signs, signs) else "−"
                    contrast = replace(earlier, aliases=(*earlier.aliases, prefix + contrast.name))
                found[key] = contrast
    return [*found.values()]


def contrast_figures(scores: Floats, of_cell: Floats, found: list[Contrast]) -> list[dict[str, Any]]:
    """Return the rows of `interactions` for contrasts of the cells: estimates, tests, and joint tests by factors.

    Scores are (seeds, arms), NaN where a trial has no result; ``of_cell`` (cells, arms) is 1 for the arm of a cell.
    """
    weights = np.array([contrast.weights for contrast in found]) @ of_cell
    weights[np.abs(weights) < SMALL] = 0.0
    vanishes = np.abs(weights).max(axis=1) == 0
    has_results = np.isfinite(scores).any(axis=0)
    suffix = ""
    if not has_results.all():
        # Model of the arms' means: a general mean, main effects and two-factor interactions.
        signs = np.stack([np.ones(len(of_cell)), *(contrast.signs for contrast in found)], axis=1)
        effects = of_cell.T @ signs / of_cell.sum(axis=0)[:, np.newaxis]
        if has_results.any() and np.linalg.matrix_rank(effects[has_results]) == effects.shape[1]:
            suffix = REDUCED
            weights[:, has_results] = weights @ effects @ np.linalg.pinv(effects[has_results])
            weights[:, ~has_results] = 0.0
            weights[np.abs(weights) < SMALL] = 0.0
    rows = []
    for _, positions in itertools.groupby(range(len(found)), key=lambda position: found[position].factors):
        term = list(positions)
        asked = [position for position in term if not vanishes[position]]
        tests = {position: seed_test(scores, weights[[position]]) for position in asked}
        joint = seed_test(scores, weights[asked]) if len(asked) > 1 else next(iter(tests.values()), None)
        rows += [_row(found[position], tests.get(position), joint, suffix) for position in term]
    return rows


def _row(contrast: Contrast, test: SeedTest | None, joint: SeedTest | None, suffix: str) -> dict[str, Any]:
    """Return the row of a contrast; one without a test compares nothing."""
    row: dict[str, Any] = {
        **{"kind": contrast.kind, "factor": " × ".join(contrast.factors), "contrast": contrast.name},
        **{"against": ", ".join(_named(contrast.labels, contrast.against)), "aliases": ", ".join(contrast.aliases)},
        **{"confidence": CONFIDENCE, "factor_df": 0, "n_seeds": 0, "n": 0},
        **{"model": "", "factor_reason": VANISHES, "reason": VANISHES},
    }
    if joint is not None:
        row |= {"factor_f": joint.statistic, "factor_p": joint.p, "factor_df": joint.freedom[0]}
        row["factor_reason"] = joint.reason
    if test is not None:
        row |= test.figures() | {"model": test.model + suffix, "df_error": test.freedom[1]}
        row["statistic"] = test.effect[0] / test.standard_error[0]
    return row


def _named(labels: tuple[str, ...], levels: tuple[str, ...]) -> list[str]:
    """Return levels as people read them, each after its factor."""
    return [f"{label}={level}" for label, level in zip(labels, levels, strict=True)]
