"""What each factor of a grid or a fraction does on average over the others, and what two of them do together.

Ordinary least squares with one mean for every arm and one for every seed (the block)::

    score = mean of its arm + shift of its seed + error

Every figure is a contrast of the arms' means with equal weights on the levels of the other factors: a Type III
hypothesis, which missing trials do not change. No interaction is assumed away; those of three and more factors are
averaged over. Errors are assumed to have one variance in all arms.

In a fraction of a grid of two levels some contrasts are one: what is estimated is the sum of what they stand for, and
each row names its aliases. They are read off the arms themselves, so the analysis need not know how these were chosen.

Where an arm has no result at all, the means follow main effects and interactions of two factors alone, if the other
arms suffice for these; the rows name the model. The shifts of the seeds are no random effects: with a handful of seeds
their variance is hardly known, and Student's t is exact without it.
"""

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.arguments import check_factors, check_trials
from analysis.estimates import CONFIDENCE, RELATIVE_ROUNDING, complete, reported
from analysis.levels import factor_label
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
    "aliases": "str",
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
    "model": "str",
    "reason": "str",
}
"""Of the table of main effects and interactions, with their types, which hold for an empty one too."""


SATURATED = "least squares, a mean for every arm, seed as block"
REDUCED = "least squares, no interactions of three and more factors, seed as block"
"""Models that are fitted: the second where an arm has no result."""


@dataclass(frozen=True)
class Contrast:
    """A combination of the means of the arms.

    Attributes:
        kind: ``main`` or ``interaction``.
        factors: The one or two factors that it is about.
        labels: Them as people read them.
        levels: Their levels that are looked at.
        against: Their reference levels.
        signs: (cells,) 1 at the level, -1 at the reference level, 0 elsewhere; of two factors, the product of both.
        aliases: Effects that cannot be told from it, those that are subtracted after a minus.
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
        """Of the arms' means (cells,): a difference of means; of two factors, a difference of differences."""
        return np.asarray(self.signs / np.sum(np.abs(self.signs)) * 2 ** len(self.factors))

    @property
    def name(self) -> str:
        """Its levels, each after its factor."""
        return " × ".join(_named(self.labels, self.levels))


def interactions(
    trials: "pd.DataFrame", *, factors: list[str], metric: str = "test_accuracy"
) -> "pd.DataFrame":
    """Return the main effects and two-factor interactions of a grid or a fraction, context by context.

    A main effect is the difference that a level makes to the reference level (the baseline's where the grid has it,
    or else the first), averaged over all levels of the other factors. An interaction is by how much the difference that
    one factor makes changes with the other: 0 where effects add up. Of effects that a fraction confounds there is one
    row: a main effect plus or minus half of the interactions that are its ``aliases``; an interaction plus or minus
    others.

    Args:
        trials: As `analysis.load` gives them, of a study whose design is a grid or a fraction.
        factors: Paths of its factors; none: there is nothing to find.
        metric: Column that is compared.

    Returns:
        One row for each contrast: ``kind`` (``main`` or ``interaction``), ``factor``, ``contrast`` and ``against``
        (its levels and the reference levels), ``aliases``, ``effect`` with its interval, the t ``statistic``, ``p`` (of
        it alone) and ``p_holm`` (adjusted over all rows), ``factor_f``, ``factor_df`` and ``factor_p`` (the joint F
        test of all contrasts of these factors), ``df_error``, ``n`` (trials used), the ``model``, and a ``reason``
        where a figure is missing.

    Raises:
        ValueError: If the table is none of trials, or lacks the metric or a factor.
    """
    import pandas as pd

    columns = ("context", "arm_id", "is_baseline", "seed", "stage", "status")
    check_trials(trials, metric, what="interactions", columns=columns)
    check_factors(trials, factors)
    rows = []
    designed = reported(trials) if factors else trials.head(0)
    for context, pool in designed.groupby("context", sort=False):
        cells, reference = factorial_cells(pool, factors)
        if not cells:
            continue
        scores = complete(pool[pool["arm_id"].isin(cells)], metric)
        found = contrasts(list(cells.values()), factors, reference)
        fitted = _fit(scores, list(cells), found, metric)
        for _, term in itertools.groupby(found, key=lambda contrast: contrast.factors):
            rows += [
                {"context": context, "metric": metric, **figures} for figures in fitted.figures(list(term))
            ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    frame["p_holm"] = holm(frame["p"].to_numpy(np.float64))
    return frame


def factorial_cells(pool: "pd.DataFrame", factors: list[str]) -> tuple[dict[str, Cell], Cell]:
    """Return the arms of a context's grid or fraction with their levels, and the reference levels.

    The baseline is one of them where its own levels complete the design, and stands outside otherwise. Without two
    levels of any factor, or where the arms are neither, there are no cells.
    """
    arms = pool.drop_duplicates("arm_id").set_index("arm_id")
    levels = arms[[f"param.{factor}" for factor in factors]].astype(str)
    every = {str(arm_id): tuple(row) for arm_id, row in zip(levels.index, levels.to_numpy(), strict=True)}
    is_baseline = arms["is_baseline"].to_numpy(bool)
    for cells in (every, {arm_id: every[arm_id] for arm_id in levels.index[~is_baseline]}):
        if _is_grid(list(cells.values())) or _is_fraction(list(cells.values())):
            own = [every[arm_id] for arm_id in levels.index[is_baseline]]
            first = next(iter(cells.values()))
            reference = [
                own[0][position] if own and own[0][position] in side else first[position]
                for position, side in enumerate(zip(*cells.values(), strict=True))
            ]
            return cells, tuple(reference)
    return {}, ()


def _is_grid(cells: list[Cell]) -> bool:
    """Return whether every combination of the levels is there once, and there are two or more."""
    counts = [len(set(side)) for side in zip(*cells, strict=True)]
    return len(set(cells)) == len(cells) == np.prod(counts) and max(counts, default=0) > 1


def _is_fraction(cells: list[Cell]) -> bool:
    """Return whether these are a regular fraction of resolution III or more of a grid of two levels each.

    In it, the sum of the levels (0 and 1, modulo 2) of two runs and the first one's is those of another run, and no two
    factors go together.
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
    """Return every level of every factor, then of every two factors, against the reference levels.

    Of contrasts that are the same up to their sign the first is returned, and the others are its aliases.
    """
    level = np.array(cells)
    others = [
        [value for value in dict.fromkeys(level[:, position]) if value != reference[position]]
        for position in range(len(factors))
    ]
    labels = [factor_label(factor, factors) for factor in factors]
    found: list[Contrast] = []
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
                _add(Contrast(kind, named, read, tuple(map(str, looked)), against, signs), found)
    return found


def _add(contrast: Contrast, found: list[Contrast]) -> None:
    """Put a contrast to those found before, or its name to the one that it cannot be told from."""
    for index, earlier in enumerate(found):
        for sign, prefix in ((1, ""), (-1, "−")):
            if np.array_equal(contrast.signs, sign * earlier.signs):
                aliases = (*earlier.aliases, f"{prefix}{contrast.name}")
                found[index] = replace(earlier, aliases=aliases)
                return
    found.append(contrast)


@dataclass(frozen=True)
class _Fit:
    """A fitted model; ``model`` is None, and ``reason`` says why, where there is none.

    Attributes:
        name: `SATURATED` or `REDUCED`.
        model: Of statsmodels; its first parameters are those of the arms' means.
        means: (cells, parameters) the arms' means by the parameters; all zero for an arm whose mean is not known.
        n: Trials used.
        reason: Why nothing could be fitted.
    """

    name: str
    model: Any
    means: Floats
    n: int
    reason: str

    def figures(self, term: list[Contrast]) -> list[dict[str, Any]]:
        """Return the rows of the contrasts of one factor, or of two."""
        is_known = self.means.any(axis=1)
        is_there = [not np.any(contrast.weights[~is_known]) for contrast in term]
        joint = self._test([contrast.weights for contrast in term], "f_test") if all(is_there) else None
        rows = []
        for contrast, has_all in zip(term, is_there, strict=True):
            row: dict[str, Any] = {
                "kind": contrast.kind,
                "factor": " × ".join(contrast.factors),
                "contrast": contrast.name,
                "against": ", ".join(_named(contrast.labels, contrast.against)),
                "aliases": ", ".join(contrast.aliases),
                "confidence": CONFIDENCE,
                "factor_f": np.nan if joint is None else float(joint.fvalue),
                "factor_p": np.nan if joint is None else float(joint.pvalue),
                "factor_df": len(term),
                "n": self.n,
                "df_error": np.nan if self.model is None else self.model.df_resid,
                "model": self.name,
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
        rows = np.array(weights) @ self.means
        padded = np.pad(rows, ((0, 0), (0, len(self.model.params) - rows.shape[1])))
        return getattr(self.model, name)(padded)


def _fit(scores: "pd.DataFrame", arm_ids: list[str], found: list[Contrast], metric: str) -> _Fit:
    """Fit the means of the arms, or what they are made of where one has no result, and the shifts of the seeds."""
    import statsmodels.api as sm

    has_results = np.isin(arm_ids, scores["arm_id"].unique())
    effects = np.stack([np.ones(len(arm_ids)), *(contrast.signs for contrast in found)], axis=1)
    if not has_results.all() and np.linalg.matrix_rank(effects[has_results]) == effects.shape[1]:
        name, means = REDUCED, effects
    else:
        name, means = SATURATED, np.diag(has_results * 1.0)[:, has_results]
    seeds = np.unique(scores["seed"])
    of_arm = (scores["arm_id"].to_numpy()[:, np.newaxis] == np.array(arm_ids)).astype(np.float64)
    of_seed = scores["seed"].to_numpy()[:, np.newaxis] == seeds[1:]
    design = np.hstack([of_arm @ means, of_seed])
    n, num_parameters = design.shape
    if n <= num_parameters:
        return _Fit(name, None, means, n, "too few complete trials to estimate their error")
    if np.linalg.matrix_rank(design) < num_parameters:
        return _Fit(name, None, means, n, "missing trials leave arms that share no seed with the others")
    values = scores[metric].to_numpy(np.float64)
    model = sm.OLS(values, design).fit()
    if np.sqrt(model.mse_resid) <= RELATIVE_ROUNDING * np.max(np.abs(values)):
        reason = "the scores follow the model without error: nothing to test against"
        return _Fit(name, None, means, n, reason)
    return _Fit(name, model, means, n, "")


def _named(labels: tuple[str, ...], levels: tuple[str, ...]) -> list[str]:
    """Return levels as people read them, each after its factor."""
    return [f"{label}={level}" for label, level in zip(labels, levels, strict=True)]
