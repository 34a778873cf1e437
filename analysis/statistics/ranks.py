"""Which arms are better over several contexts: mean ranks, Friedman's test, and Nemenyi's critical difference.

A context is a block. An arm's value in it is its mean effect, and the baseline's is 0; seeds are no blocks of their
own, since a method that wins at ten seeds of one data set has won there alone. The tests are those of Demšar (2006).
Ranks are descriptive: verdicts over contexts are given by `analysis.statistics.over_contexts`.
"""

import itertools

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.any_table import reported, trials_of
from analysis.statistics.columns import columns, typed
from analysis.statistics.compared_arms import check_against_baseline
from analysis.statistics.effects import effects as effects_of
from analysis.statistics.intervals import Floats
from analysis.statistics.over_contexts import rounding, shared_names
from analysis.statistics.skillings_mack import skillings_mack, standardised_differences
from analysis.wording import larger_is_better
from cktf.errors import InputError
from cktf.verdicts import LEVEL

FEWEST_CONTEXTS = 5
"""Fewest contexts for Friedman's test: with fewer, not even arms that always take the same order stand out."""

MANY_CONTEXTS = 10
"""Fewest contexts at which tests of ranks reveal a difference of middling size (see the page on statistics)."""

FEWEST_ARMS = 3
"""Fewest arms, with the baseline, that are ranked: ranks of two are only the sign of their difference."""

FRIEDMAN, SKILLINGS_MACK = "Friedman, Nemenyi", "Skillings-Mack"
"""Names of the tests in the table, if all arms stand in all contexts and otherwise; ``none`` if there is no test."""

COLUMNS = columns(
    """
    arm is_baseline metric n_contexts n_blocks mean_rank test friedman friedman_p critical_difference p_adjusted
    missing reason
    """
)


def without_rounding(values: Floats, rounding: Floats) -> Floats:
    """Return values with ties restored: those of one block that differ by rounding alone become the smallest of them.

    Values and ``rounding``, by how much each may be off, are (blocks, arms); the larger rounding of two values counts.
    """
    found = values.copy()
    for block, order in enumerate(np.argsort(values, axis=1)):
        for before, after in itertools.pairwise(order):
            if values[block, after] - values[block, before] <= max(rounding[block, [before, after]]):
                found[block, after] = found[block, before]
    return found


def ranks_in_blocks(values: Floats, *, maximise: bool) -> Floats:
    """Return the rank of every arm in its block (blocks, arms), 1 for the best; tied arms get their mean rank.

    NaN stays NaN, and the other arms of its block are ranked without it.
    """
    return np.asarray(stats.rankdata(-values if maximise else values, axis=1, nan_policy="omit"))


def friedman(values: Floats) -> tuple[float, float]:
    """Return Friedman's chi-square of values (blocks, three arms or more), corrected for ties, and its p.

    Both are NaN where all arms are equal in every block.
    """
    if np.all(values == values[:, :1]):
        return np.nan, np.nan
    found = stats.friedmanchisquare(*values.T)
    return float(found.statistic), float(found.pvalue)


def critical_difference(num_arms: int, num_blocks: int, level: float = LEVEL) -> float:
    r"""Return Nemenyi's critical difference of mean ranks, :math:`q \sqrt{k (k + 1) / 6 n}` (Demšar 2006, eq. 6).

    Two arms whose mean ranks differ by as much are significantly different; if all arms are alike, any two are so in a
    share ``level`` of cases at most.
    """
    quantile = stats.studentized_range.ppf(1 - level, num_arms, np.inf) / np.sqrt(2)
    return float(quantile * rank_error(num_arms, num_blocks))


def nemenyi_p(differences: Floats, num_arms: int, num_blocks: int) -> Floats:
    """Return p of differences of mean ranks (any shape), adjusted for all pairs of arms."""
    standardised = np.abs(differences) / rank_error(num_arms, num_blocks) * np.sqrt(2)
    return np.asarray(stats.studentized_range.sf(standardised, num_arms, np.inf))


def rank_error(num_arms: int, num_blocks: int) -> float:
    """Return the standard error of a difference of two mean ranks, where all arms are alike."""
    return float(np.sqrt(num_arms * (num_arms + 1) / (6 * num_blocks)))


def ranks(
    trials: pd.DataFrame,
    effects: pd.DataFrame | None = None,
    *,
    metric: str = "test_accuracy",
    maximise: bool | None = None,
    baseline: str | None = None,
) -> pd.DataFrame:
    """Return the mean rank of every arm over the contexts of a study, and its test against the baseline.

    Arms with an effect in any context are ranked, in each context among the arms with an effect there. The baselines of
    all contexts are one arm, whatever they are called. Tests are made from `FEWEST_CONTEXTS` contexts and `FEWEST_ARMS`
    arms on: Friedman's and Nemenyi's where all arms stand in all of these contexts, else that of Skillings and Mack,
    with its standard errors in place of one critical difference.

    Args:
        trials: As `analysis.load` gives them; or a plain table with a column ``context``.
        effects: As `analysis.effects` gives them without contrasts; None: they are computed.
        metric: Column that is compared.
        maximise: Whether a larger metric is better; None: it is, and a name that suggests a loss is refused.
        baseline: Name of the arm that the others of each context are compared with.

    Returns:
        One row for each arm, the best mean rank first and those without one last; no rows for a single context. The
        page on tables says what each column means. ``p_adjusted`` is by the studentized range of so many arms.

    Raises:
        InputError: If a column or the baseline is missing, the metric does not hold numbers, ``effects`` is no such
            table, of another metric or of other comparisons, or the direction is not known.
    """
    maximise = larger_is_better(metric, maximise)
    trials = trials_of(trials, metric=metric, what="ranks", baseline=baseline)
    if effects is None:
        effects = effects_of(trials, metric=metric, maximise=maximise)
    check_against_baseline(effects, trials, what="ranks")
    for other in set(effects.get("metric", ())) - {metric}:
        raise InputError(f"metric {metric!r}: the effects are of {other!r}")
    contexts = list(dict.fromkeys(effects["context"]))
    if len(contexts) < 2:
        return typed([], COLUMNS)
    pool = reported(trials)
    pool = pool.assign(arm=pool["arm_id"].map(shared_names(pool)))
    baseline = str(pool.loc[pool["is_baseline"], "arm"].iloc[0])
    order = [baseline, *dict.fromkeys(effects["arm"])]
    values = effects.pivot(index="context", columns="arm", values="effect").reindex(contexts, columns=order)
    values[baseline] = np.where(values.notna().any(axis="columns"), 0.0, np.nan)
    errors = effects.assign(error=rounding).pivot(index="context", columns="arm", values="error")
    errors = errors.reindex(contexts, columns=order).fillna({baseline: 0.0})
    planned = pool.drop_duplicates("arm_id").pivot(index="context", columns="arm", values="arm_id").notna()
    planned = planned.reindex(contexts, columns=order, fill_value=False)

    is_ranked = values.notna().any()
    ranked = values.loc[values.notna().sum(axis="columns") > 1, is_ranked]
    ties = errors.loc[ranked.index, ranked.columns].to_numpy(np.float64)
    ranked[:] = without_rounding(ranked.to_numpy(np.float64), ties)
    blocks = ranked.notna().sum().reindex(order, fill_value=0)
    frame = pd.DataFrame(
        {
            "arm": order,
            "is_baseline": [arm == baseline for arm in order],
            "metric": metric,
            "n_contexts": values.notna().sum().to_numpy(),
            "n_blocks": blocks.to_numpy(),
            "missing": [_missing(values[arm], planned[arm]) for arm in order],
            "reason": "",
        },
        index=order,
    ).reindex(columns=list(COLUMNS))
    frame["test"] = "none"
    if len(ranked):
        in_blocks = ranks_in_blocks(ranked.to_numpy(np.float64), maximise=maximise)
        frame.loc[ranked.columns, "mean_rank"] = np.nanmean(in_blocks, axis=0)
    frame.loc[~is_ranked, "reason"] = "not ranked, for it has no effect in any context"
    if len(ranked) >= FEWEST_CONTEXTS and ranked.shape[1] >= FEWEST_ARMS:
        _test_ranks(frame, ranked.to_numpy(np.float64), in_blocks)
    return typed(frame, COLUMNS).sort_values("mean_rank", kind="stable", ignore_index=True)


def _test_ranks(frame: pd.DataFrame, values: Floats, in_blocks: Floats) -> None:
    """Fill in the tests of all ranked arms and of each against the baseline; values and ranks are (blocks, arms)."""
    num_blocks, num_arms = values.shape
    has_all = bool(np.isfinite(values).all())
    statistic, p = friedman(values) if has_all else skillings_mack(in_blocks)
    if np.isnan(p):
        frame["reason"] = "all arms are equal in every context"
        return
    is_ranked, is_baseline = frame["mean_rank"].notna(), frame["is_baseline"].to_numpy(bool)
    frame.loc[is_ranked, "test"] = FRIEDMAN if has_all else SKILLINGS_MACK
    frame["friedman"], frame["friedman_p"] = statistic, p
    ranks_of = frame["mean_rank"].to_numpy(np.float64)
    if has_all:
        frame["critical_difference"] = critical_difference(num_arms, num_blocks)
        ahead = ranks_of - ranks_of[is_baseline]
    else:
        of_ranked = standardised_differences(in_blocks, int(is_baseline[is_ranked].argmax()))
        ahead = np.full(len(frame), np.nan)
        ahead[is_ranked] = of_ranked * rank_error(num_arms, num_blocks)
    pairwise = np.maximum(nemenyi_p(ahead, num_arms, num_blocks), p)
    frame["p_adjusted"] = np.where(is_baseline, np.nan, pairwise)


def _missing(values: "pd.Series[float]", planned: "pd.Series[bool]") -> str:
    """Return in which contexts an arm has no effect, and why."""
    both = (("not planned in", planned.index[~planned]), ("no effect in", planned.index[planned & values.isna()]))
    parts = [f"{words} {', '.join(contexts)}" for words, contexts in both if len(contexts)]
    return "; ".join(parts)
