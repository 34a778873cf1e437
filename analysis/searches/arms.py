"""The arms of a search, one row each: their levels, statuses, scores and ranks; and the leaderboard."""

import math
from typing import Any

import numpy as np
import pandas as pd

from analysis.statistics.any_table import averaged, complete
from analysis.statistics.intervals import Floats, grouped_estimates
from cktf.rows import Stage, Status, StudyRow

BEST = 0.1
"""Share of the arms that count as the best; PED-ANOVA's default in Optuna."""

JUDGED = (Status.COMPLETE, Status.PRUNED)
"""End statuses that are informative about an arm's score; a failure says nothing about its levels."""

NOT_ON_THE_WAY = pd.DataFrame({"arm_id": [], "step": [], "score": []}).astype({"arm_id": "str"})
"""An empty table of `scores_on_the_way`."""


def searched_arms(trials: pd.DataFrame, on_the_way: pd.DataFrame, study: StudyRow) -> pd.DataFrame:
    """Return the arms of a search that have ended, in the order of planning.

    As in the search itself, an arm is pruned if one of its seeds is, else failed if one is or has no finite score.
    Pruned arms, whose scores are of fewer epochs, rank behind all complete ones: those first that came further, then
    those that were better where they ended, as Optuna's TPE sampler has it.

    Returns:
        ``number`` (in order of planning, from 1), ``status``, ``n`` (seeds), ``score`` (mean over seeds after the last
        epoch; NaN but for a complete arm), ``reached`` (epochs with a score that all its seeds have done), ``last``
        (mean score after these), ``wall_seconds`` (mean over seeds), ``rank`` (from 1; NaN of failed arms), and
        ``param.<factor>`` for every factor that was ever set, missing where its condition did not hold.
    """
    searched = trials[trials["stage"] == Stage.SEARCH]
    factors = [f"param.{name}" for name in study.factors if searched[f"param.{name}"].notna().any()]
    by_arm = searched.groupby("arm_id", sort=False)
    found = by_arm[["arm", "number", *factors]].first(skipna=False)
    for name in factors:
        found[name] = _numbers_again(found[name], trials[name])
    found["number"] = found["number"] + 1
    found["n"] = by_arm["seed"].nunique()
    found["wall_seconds"] = by_arm["wall_seconds"].mean()
    found["score"] = by_arm[study.metric].agg(lambda values: values.mean(skipna=False)).astype(np.float64)
    has = {status: searched["status"].eq(status).groupby(searched["arm_id"]).any() for status in Status}
    is_pruned = has[Status.PRUNED].reindex(found.index)
    is_failed = has[Status.FAILED].reindex(found.index) | ~found["score"].abs().lt(np.inf)
    found["status"] = np.select([is_pruned, is_failed], [Status.PRUNED, Status.FAILED], Status.COMPLETE)
    found["score"] = found["score"].where(found["status"] == Status.COMPLETE)
    found["reached"] = on_the_way.groupby("arm_id")["step"].max().reindex(found.index).fillna(0).astype(np.int64)
    ends = on_the_way.drop_duplicates("arm_id", keep="last").set_index("arm_id")["score"]
    found["last"] = ends.reindex(found.index)
    is_running = (has[Status.PLANNED] | has[Status.RUNNING]).reindex(found.index)
    found = found[~is_running].reset_index()
    found["rank"] = _ranks(found, maximise=study.maximise)
    columns = ["arm_id", "arm", "number", "status", "n", "score", "reached", "last", "wall_seconds", "rank"]
    return found[[*columns, *factors]]


def _numbers_again(levels: "pd.Series[Any]", column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return levels as numbers where only a section in their column, a schedule of the baseline, made them texts."""
    if not column.astype(str).str.startswith("{").any():
        return levels
    numbers = pd.to_numeric(levels, errors="coerce")
    return numbers if numbers.notna().equals(levels.notna()) else levels


def scores_on_the_way(trials: pd.DataFrame, epochs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return each searched arm's mean score over its seeds, after every scored epoch that all of them have done.

    Epochs of a method's initial phase have no score and are not counted, as in the search itself.

    Returns:
        ``arm_id``, ``step`` (scored epochs done, from 1), ``score``; the steps of an arm ascend.
    """
    searched = trials[trials["stage"] == Stage.SEARCH]
    rows = epochs[epochs["trial_id"].isin(searched["trial_id"]) & epochs[metric].abs().lt(np.inf)]
    rows = rows[["trial_id", "epoch", metric]].astype({"trial_id": "str"})
    rows = rows.merge(searched[["trial_id", "arm_id"]], on="trial_id")
    rows = rows.sort_values("epoch", kind="stable")
    rows["step"] = rows.groupby("trial_id").cumcount() + 1
    grouped = rows.groupby(["arm_id", "step"])[metric]
    means: pd.DataFrame = grouped.agg(score="mean", n="count").reset_index()
    num_seeds = searched.groupby("arm_id").size()
    return means.loc[means["n"] == means["arm_id"].map(num_seeds), ["arm_id", "step", "score"]]


def comparable_scores(judged: pd.DataFrame, on_the_way: pd.DataFrame) -> tuple[Floats, float]:
    """Return the scores (arms,) of complete and pruned arms after the same number of epochs, and this number.

    The number is NaN if all arms are complete: each score is then that after the last epoch. Scores are NaN where arms
    have no such epoch.
    """
    if (judged["status"] == Status.COMPLETE).all():
        return judged["score"].to_numpy(np.float64), np.nan
    step = judged["reached"].min()
    at_step = on_the_way[on_the_way["step"] == step].set_index("arm_id")["score"]
    return at_step.reindex(judged["arm_id"]).to_numpy(np.float64), float(step)


def _ranks(arms: pd.DataFrame, *, maximise: bool) -> "pd.Series[float]":
    """Return the rank of each arm from 1, the same for equal arms; NaN for failed ones."""
    sign = -1.0 if maximise else 1.0
    keys: dict[Any, tuple[float, float, float]] = {}
    for index, status, score, reached, last in arms[["status", "score", "reached", "last"]].itertuples():
        if status == Status.COMPLETE:
            keys[index] = (0.0, 0.0, sign * score)
        elif status == Status.PRUNED:
            keys[index] = (1.0, -float(reached), sign * last if reached else 0.0)  # else NaN, unequal to itself
    places: dict[tuple[float, float, float], int] = {}
    for place, key in enumerate(sorted(keys.values()), 1):
        places.setdefault(key, place)
    return pd.Series({index: places[key] for index, key in keys.items()}, index=arms.index, dtype=np.float64)


def is_best(arms: pd.DataFrame) -> "pd.Series[bool]":
    """Return which arms are the best tenth of those with a rank, without pruned ones; at least one."""
    num_best = math.ceil(BEST * arms["rank"].notna().sum())
    return (arms["rank"] <= num_best) & (arms["status"] == Status.COMPLETE)


def leaderboard(trials: pd.DataFrame, *, metric: str, maximise: bool) -> pd.DataFrame:
    """Return the complete arms of a search, best first, by the score that selected them.

    The best of many noisy scores is too good on average, so these are no estimates of what an arm yields; ``note`` says
    so in every row. A score is a mean over ``n`` seeds, at each of them over its teachers.
    """
    searched = averaged(trials[trials["stage"] == Stage.SEARCH])
    # The search, too, scores an arm only when all of its seeds are complete: fewer make a luckier draw.
    incomplete = searched.loc[~searched.index.isin(complete(searched, metric).index), "arm_id"]
    scores = grouped_estimates(searched[~searched["arm_id"].isin(incomplete)], ["arm_id", "arm"], metric)
    scores = scores.rename(columns={"mean": "score"})
    scores = scores.sort_values("score", ascending=not maximise, kind="stable", ignore_index=True)
    scores.insert(0, "rank", np.arange(1, len(scores) + 1))
    scores.insert(3, "metric", metric)
    scores["note"] = "search score, selected on it: optimistic"
    return scores[["rank", "arm_id", "arm", "metric", "n", "score", "note"]]
