"""Confirmed arms of a search: their scores in the search beside those at fresh seeds."""

import numpy as np
import pandas as pd

from analysis.arguments import check_columns
from analysis.searches.arms import leaderboard
from analysis.searches.plain_search import check_one_context
from analysis.statistics.any_table import as_trials, complete, is_plain, reported, trials_of
from analysis.statistics.columns import columns, typed
from analysis.statistics.compared_arms import check_against_baseline
from analysis.statistics.effects import effects as effects_of
from analysis.statistics.intervals import CONFIDENCE, Floats, grouped_estimates
from analysis.wording import larger_is_better
from cktf.errors import InputError, shown
from cktf.rows import Stage, StudyRow

COLUMNS = columns(
    """
    arm_id arm is_baseline metric rank n_search search_score n mean sd low high confidence above_fresh
    selection_luck effect_metric effect effect_low effect_high verdict
    """
)


def confirmed(
    trials: pd.DataFrame,
    effects: pd.DataFrame | None = None,
    *,
    metric: str,
    maximise: bool | None = None,
    baseline: str | None = None,
) -> pd.DataFrame:
    """Return every confirmed arm's score in the search beside its mean at fresh seeds.

    The best of many noisy scores owes part of its rank to luck, which does not come again: ``selection_luck``.
    ``above_fresh``, the search score minus the mean at fresh seeds, also holds the luck of the search's seeds, which
    all its arms share. The effect against the baseline is of the metric that is reported.

    Args:
        trials: As `analysis.load` gives them; or a plain table of one context with a column ``stage``, ``search`` or
            ``confirm``.
        effects: As `analysis.effects` gives them without contrasts; None: computed for the metric and the confirmed
            arms.
        metric: Column that was optimised.
        maximise: Whether a larger metric is better; None: it is, and a name that suggests a loss is refused.
        baseline: Name of the arm that the confirmed arms are compared with.

    Returns:
        The baseline first, then the arms by their ``rank`` in the search (from 1), which is missing where the search
        did not try the arm; the page on tables says what each column means. Empty where nothing was confirmed.

    Raises:
        InputError: If a column or the baseline is missing or does not hold what it must, ``effects`` is no such table
            or of other comparisons, or the direction is not known.
    """
    maximise = larger_is_better(metric, maximise)
    is_named = is_plain(trials, "confirmed")
    if is_named:
        trials = _confirmed_search(trials, metric, "baseline" if baseline is None else baseline)
    else:
        trials = trials_of(trials, metric=metric, what="confirmed", baseline=baseline)
    if effects is None:
        effects = effects_of(trials, metric=metric, maximise=maximise)
    needed = ["arm_id", "metric", "effect", "low", "high", "verdict"]
    check_columns(effects, needed, what="confirmed", source="effects, as analysis.effects gives them")
    check_against_baseline(effects, trials, what="confirmed")
    pool = reported(trials)
    pool = pool[pool["stage"] == Stage.CONFIRM]
    arms = pool.drop_duplicates("arm_id")[["arm_id", "arm", "is_baseline"]]
    if is_named:  # the effects may be of another plain table, in which arms have other ids
        effects = effects[["context", "arm", *needed[1:]]].merge(pool[["context", "arm", "arm_id"]].drop_duplicates())
    searched = leaderboard(trials, metric=metric, maximise=maximise)[["arm_id", "rank", "n", "score"]]
    searched = searched.rename(columns={"n": "n_search", "score": "search_score"})
    fresh = grouped_estimates(complete(pool, metric), ["arm_id"], metric)
    renamed = {"metric": "effect_metric", "low": "effect_low", "high": "effect_high"}
    found = arms
    for part in (searched, fresh, effects[needed].rename(columns=renamed)):
        found = found.merge(part, on="arm_id", how="left")
    sign = 1 if maximise else -1
    values = complete(pool, metric).pivot(index="arm_id", columns="seed", values=metric).to_numpy(np.float64)
    columns_of = (found["search_score"], searched["search_score"], found["n_search"])
    score, every, n_search = (column.to_numpy(np.float64) for column in columns_of)
    luck = selection_luck(score, every, n_search, run_variance(values))
    found = found.assign(
        metric=metric,
        confidence=CONFIDENCE,
        above_fresh=sign * (found["search_score"] - found["mean"]),
        selection_luck=sign * luck,
    ).fillna({"n_search": 0, "n": 0, "effect_metric": "", "verdict": ""})
    return typed(found, COLUMNS).sort_values(
        ["is_baseline", "rank"], ascending=[False, True], kind="stable", ignore_index=True
    )


def _confirmed_search(table: pd.DataFrame, metric: str, baseline: str) -> pd.DataFrame:
    """Return a plain table of a search and its confirmation as trials; an arm has one id in both."""
    check_columns(table, ("stage",), what="confirmed", source="a plain table with a column 'stage'")
    stages = (Stage.SEARCH, Stage.CONFIRM)
    if not set(table["stage"]) <= set(stages):
        row, cell = next((row, cell) for row, cell in enumerate(table["stage"], 1) if cell not in stages)
        raise InputError(f"the table: column 'stage' must be one of {', '.join(stages)}; row {row} has {shown(cell)}")
    parts = []
    for stage, named in zip(stages, (None, baseline), strict=True):
        rows = table[table["stage"] == stage]
        if not len(rows):
            raise InputError(f"the table: no row has the stage {stage.value!r}")
        what = f"the rows of stage {stage.value!r}"
        parts.append(as_trials(rows, metric=metric, baseline=named, what=what).assign(stage=stage.value))
    pool = pd.concat(parts, ignore_index=True)
    check_one_context(pool)
    arm_ids = pool.groupby(["context", "arm"], sort=False).ngroup().map("arm-{}".format)
    baselines = pool.loc[pool["is_baseline"] & pool["stage"].eq(Stage.CONFIRM), "arm"]
    return pool.assign(arm_id=arm_ids, is_baseline=pool["arm"].isin(baselines))


def run_variance(values: Floats) -> float:
    """Return the residual variance of values (arms, seeds) given arm and seed; NaN if there are too few values."""
    arm, seed = np.nonzero(np.isfinite(values))
    observed = values[arm, seed]
    design = np.hstack([np.eye(values.shape[0])[arm], np.eye(values.shape[1])[seed]])
    fitted, _, rank, _ = np.linalg.lstsq(design, observed)
    freedom = len(observed) - rank
    return float(np.sum((observed - design @ fitted) ** 2) / freedom) if freedom else np.nan


def selection_luck(score: Floats, searched: Floats, n_search: Floats, variance: float) -> Floats:
    r"""Return the part of search scores that is expected to be selected luck, :math:`B \, (y - \bar y)`.

    B is the share, at most 1, of the variance of the scores that is due to the noise of runs; the rest is the variance
    between arms (the best linear prediction of an arm's luck from its score, as in James and Stein 1961). An effect of
    the search's seeds on all arms alike is in the mean and drops out.

    ``score`` and ``n_search``, its seeds, are those of the confirmed arms in the search (arms,), ``searched`` are the
    scores of all arms that it completed, and ``variance`` is that of a run. Luck (arms,) is NaN where there is no
    score, for fewer than two arms, or if the variance is unknown.
    """
    if len(searched) < 2:
        return np.full_like(score, np.nan)
    spread = np.var(searched, ddof=1)
    if spread == 0:
        return np.where(np.isnan(score), np.nan, variance * 0)
    share = np.minimum(variance / n_search / spread, 1)
    return share * (score - np.mean(searched))


SAMPLERS_WITHOUT_MEMORY = ("random", "qmc", "bruteforce")
"""Optuna's samplers whose arms do not depend on the scores of earlier ones."""


def luck_text(study: StudyRow) -> str:
    """Return sentences on which part of a search score is the luck of the selection, and which is not."""
    learns = (
        ""
        if study.sampler in SAMPLERS_WITHOUT_MEMORY
        else " It takes the arms of the search for independent, which those of a sampler that learns are not."
    )
    return (
        "Luck of the selection: the part of the search score that an arm owes to being chosen for it, from the spread "
        "of all complete arms of the search and from how much a run differs beside arm and seed at the fresh seeds."
        f"{learns} The rest of the difference is the luck of the search's seeds, which all its arms share, and the "
        "noise of the fresh ones."
    )
