"""What each factor of a grid does on average over the others, and what two of them do together.

Ordinary least squares with one mean for every arm of the grid and one for every seed (the block)::

    score = mean of its arm + shift of its seed + error

Every figure is a contrast of the arms' means with equal weights on the levels of the other factors: a Type III
hypothesis, which missing trials do not change. No interaction is assumed away; those of three and more factors are
averaged over. Errors are assumed to have one variance in all arms.
"""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.estimates import CONFIDENCE, complete, reported
from analysis.levels import factor_label
from analysis.paired import RELATIVE_ROUNDING
from analysis.verdicts import holm

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Cell = tuple[str, ...]
"""One arm of a grid: the level of each factor, as text."""

COLUMNS = {
    "context": "str",
    "kind": "str",
    "factor": "str",
    "contrast": "str",
    "against": "str",
    "metric": "str",
    "effect": "float64",
    "low": "float64",
    "high": "float64",
    "confidence": "float64",
    "statistic": "float64",
    "p": "float64",
    "p_holm": "float64",
    "factor_f": "float64",
    "factor_df": "int64",
    "factor_p": "float64",
    "df_error": "float64",
    "n": "int64",
    "reason": "str",
}
"""Of the table of main effects and interactions, with their types, which hold for an empty one too."""


@dataclass(frozen=True)
class Contrast:
    """A combination of the means of a grid's arms.

    Attributes:
        kind: ``main`` or ``interaction``.
        factors: The one or two factors that it is about.
        levels: Their levels that are looked at.
        against: Their levels of reference.
        weights: (cells,) of the arms' means.
    """

    kind: str
    factors: tuple[str, ...]
    levels: tuple[str, ...]
    against: tuple[str, ...]
    weights: Floats


def interactions(
    trials: "pd.DataFrame", *, factors: list[str], metric: str = "test_accuracy"
) -> "pd.DataFrame":
    """Return the main effects and two-factor interactions of a grid, context by context.

    A main effect is the difference that a level makes to the level of reference (the baseline's where the grid has it,
    or else the first), averaged over all levels of the other factors. An interaction is by how much the difference that
    one factor makes changes with the other: 0 where effects add up.

    Args:
        trials: As `analysis.load` gives them, of a study whose design is a grid.
        factors: Paths of its factors; none: there is nothing to find.
        metric: Column that is compared.

    Returns:
        One row for each contrast: ``kind`` (``main`` or ``interaction``), ``factor``, ``contrast`` and ``against`` (its
        levels and those of reference), ``effect`` with its interval, the t ``statistic``, ``p`` (of it alone) and
        ``p_holm`` (adjusted over all rows), ``factor_f``, ``factor_df`` and ``factor_p`` (the joint F test of all
        contrasts of these factors), ``df_error``, ``n`` (trials used), and a ``reason`` where a figure is missing.
    """
    import pandas as pd

    rows = []
    designed = reported(trials) if factors else trials.head(0)
    for context, pool in designed.groupby("context", sort=False):
        cells, reference = grid_cells(pool, factors)
        if not cells:
            continue
        scores = complete(pool[pool["arm_id"].isin(cells)], metric)
        fitted = _fit(scores, list(cells), metric)
        found = contrasts(list(cells.values()), factors, reference)
        for _, term in itertools.groupby(found, key=lambda contrast: contrast.factors):
            rows += [
                {"context": context, "metric": metric, **figures} for figures in fitted.figures(list(term))
            ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    frame["p_holm"] = holm(frame["p"].to_numpy(np.float64))
    return frame


def grid_cells(pool: "pd.DataFrame", factors: list[str]) -> tuple[dict[str, Cell], Cell]:
    """Return the arms of a context's grid with their levels, and the levels of reference.

    The baseline is one of them where its own levels complete the grid, and stands outside otherwise. Without two
    levels of any factor, or where the arms are no grid, there are no cells.
    """
    arms = pool.drop_duplicates("arm_id").set_index("arm_id")
    levels = arms[[f"param.{factor}" for factor in factors]].astype(str)
    every = {str(arm_id): tuple(row) for arm_id, row in zip(levels.index, levels.to_numpy(), strict=True)}
    is_baseline = arms["is_baseline"].to_numpy(bool)
    for cells in (every, {arm_id: every[arm_id] for arm_id in levels.index[~is_baseline]}):
        counts = [len(set(side)) for side in zip(*cells.values(), strict=True)]
        if len(set(cells.values())) == len(cells) == np.prod(counts) and max(counts, default=0) > 1:
            own = [every[arm_id] for arm_id in levels.index[is_baseline]]
            first = next(iter(cells.values()))
            reference = [
                own[0][position] if own and own[0][position] in side else first[position]
                for position, side in enumerate(zip(*cells.values(), strict=True))
            ]
            return cells, tuple(reference)
    return {}, ()


def contrasts(cells: list[Cell], factors: list[str], reference: Cell) -> list[Contrast]:
    """Return every level of every factor, then of every two factors, against the levels of reference."""
    level = np.array(cells)
    others = [
        [value for value in dict.fromkeys(level[:, position]) if value != reference[position]]
        for position in range(len(factors))
    ]
    found = []
    for size, kind in ((1, "main"), (2, "interaction")):
        for positions in itertools.combinations(range(len(factors)), size):
            against = tuple(reference[position] for position in positions)
            for looked in itertools.product(*(others[position] for position in positions)):
                # +1 at the level, -1 at the reference; of two factors, the product of both.
                signs = np.prod(
                    [
                        (level[:, position] == value) * 1.0 - (level[:, position] == reference[position])
                        for position, value in zip(positions, looked, strict=True)
                    ],
                    axis=0,
                )
                named = tuple(factors[position] for position in positions)
                weights = signs / np.sum(np.abs(signs)) * 2**size
                found.append(Contrast(kind, named, tuple(map(str, looked)), against, weights))
    return found


@dataclass(frozen=True)
class _Fit:
    """A fitted model; ``model`` is None, and ``reason`` says why, where there is none.

    Attributes:
        model: Of statsmodels; its first parameters are the means of the arms that have results.
        has_results: (cells,) whether an arm has any.
        n: Trials used.
        reason: Why nothing could be fitted.
    """

    model: Any
    has_results: NDArray[np.bool_]
    n: int
    reason: str

    def figures(self, term: list[Contrast]) -> list[dict[str, Any]]:
        """Return the rows of the contrasts of one factor, or of two."""
        is_there = [not np.any(contrast.weights[~self.has_results]) for contrast in term]
        joint = self._test([contrast.weights for contrast in term], "f_test") if all(is_there) else None
        rows = []
        for contrast, has_all in zip(term, is_there, strict=True):
            row: dict[str, Any] = {
                "kind": contrast.kind,
                "factor": " × ".join(contrast.factors),
                "contrast": " × ".join(_named(contrast.factors, contrast.levels)),
                "against": ", ".join(_named(contrast.factors, contrast.against)),
                "confidence": CONFIDENCE,
                "factor_f": np.nan if joint is None else float(joint.fvalue),
                "factor_p": np.nan if joint is None else float(joint.pvalue),
                "factor_df": len(term),
                "n": self.n,
                "df_error": np.nan if self.model is None else self.model.df_resid,
                "reason": self.reason or ("" if has_all else "an arm that it needs has no complete trial"),
            }
            if has_all and (test := self._test([contrast.weights], "t_test")) is not None:
                low, high = test.conf_int(alpha=1 - CONFIDENCE)[0]
                row |= {"effect": float(test.effect[0]), "low": low, "high": high}
                row |= {"statistic": float(np.squeeze(test.tvalue)), "p": float(np.squeeze(test.pvalue))}
            rows.append(row)
        return rows

    def _test(self, weights: list[Floats], name: str) -> Any:
        if self.model is None:
            return None
        rows = np.array(weights)[:, self.has_results]
        padded = np.pad(rows, ((0, 0), (0, len(self.model.params) - rows.shape[1])))
        return getattr(self.model, name)(padded)


def _fit(scores: "pd.DataFrame", arm_ids: list[str], metric: str) -> _Fit:
    """Fit the means of the arms and the shifts of the seeds."""
    import statsmodels.api as sm

    has_results = np.isin(arm_ids, scores["arm_id"].unique())
    seeds = np.unique(scores["seed"])
    of_arm = scores["arm_id"].to_numpy()[:, np.newaxis] == np.array(arm_ids)[has_results]
    of_seed = scores["seed"].to_numpy()[:, np.newaxis] == seeds[1:]
    design = np.hstack([of_arm, of_seed]).astype(np.float64)
    n, num_parameters = design.shape
    if n <= num_parameters:
        return _Fit(None, has_results, n, "too few complete trials to estimate their error")
    if np.linalg.matrix_rank(design) < num_parameters:
        return _Fit(None, has_results, n, "missing trials leave arms that share no seed with the others")
    values = scores[metric].to_numpy(np.float64)
    model = sm.OLS(values, design).fit()
    if np.sqrt(model.mse_resid) <= RELATIVE_ROUNDING * np.max(np.abs(values)):
        return _Fit(
            None, has_results, n, "the scores follow the model without error: nothing to test against"
        )
    return _Fit(model, has_results, n, "")


def _named(factors: tuple[str, ...], levels: tuple[str, ...]) -> list[str]:
    """Return levels as people read them, each after its factor."""
    return [f"{factor_label(factor)}={level}" for factor, level in zip(factors, levels, strict=True)]
