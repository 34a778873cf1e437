"""The ablation path of a search: the changes, one at a time, from the baseline's levels to those of the best arm.

Each step sets one factor to its level in the best arm: the factor that improves the predicted score most (Fawcett, Hoos
2016). Arms on the way were not trained: as in Biedenkapp et al. (2017), their scores are predicted by fANOVA's forest
(`analysis.searches.fanova`), fitted to the arms of the search. So a path is an estimate. Its last score is the forest's
prediction for the best arm, whose measured score, the best of many noisy ones, is optimistic.

Intervals are percentiles, over bootstrap samples of the arms, of the changes along this same path.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from analysis.ledger.columns import level_text
from analysis.searches.arms import JUDGED, comparable_scores
from analysis.searches.fanova import Factor, as_numbers, fitted_forest, predicted
from analysis.searches.importance import (
    MIN_ARMS,
    NUM_RESAMPLES,
    NUM_TREES,
    NUM_TREES_OF_A_RESAMPLE,
    drawn_text,
    resampled_arms,
    some_arms,
)
from analysis.statistics.columns import columns, typed
from analysis.statistics.intervals import CONFIDENCE, Counts, Floats
from analysis.statistics.levels import is_numeric
from cktf.names import short_name
from cktf.rows import Status, StudyRow

COLUMNS = columns(
    "metric step factor default level predicted change low high confidence after_epoch n_complete n_pruned omitted"
)

START = "baseline"
"""Name of the row before the first step."""


def ablation_path(arms: pd.DataFrame, on_the_way: pd.DataFrame, study: StudyRow) -> pd.DataFrame:
    """Return the steps from the baseline's levels to those of the best arm.

    Arms and scores on the way are those of `analysis.searches.arms`.

    Returns:
        One row for the baseline and for each step; the page on tables says what each column means. Empty if too few
        arms have scores, no factor changes, or scikit-learn is not installed.
    """
    if find_spec("sklearn") is None:
        return typed([], COLUMNS)
    judged = some_arms(arms[arms["status"].isin(JUDGED)], seed=0).reset_index(drop=True)
    scores, after_epoch = comparable_scores(judged, on_the_way)
    leaders = arms[(arms["rank"] == 1) & (arms["status"] == Status.COMPLETE)]
    if len(judged) < MIN_ARMS or not np.isfinite(scores).all() or leaders.empty or not study.default_levels:
        return typed([], COLUMNS)
    best = leaders.iloc[0]
    defaults = {name: _default(judged, name, study.default_levels.get(name)) for name in study.factors}
    factors = [name for name in study.factors if defaults[name] is not None]
    ends = pd.DataFrame({name: [defaults[name], best[f"param.{name}"]] for name in factors})
    changed = [name for name in factors if ends[name].iloc[0] != ends[name].iloc[1]]
    if not changed:
        return typed([], COLUMNS)
    learnt, domains, (start, end) = _encoded(judged, ends, study)
    forest = fitted_forest(learnt, scores, domains, num_trees=NUM_TREES)
    sign = 1.0 if study.maximise else -1.0
    points, order = [start], []
    left = [factors.index(name) for name in changed]
    while left:
        tried = np.array([np.where(np.arange(len(factors)) == index, end, points[-1]) for index in left])
        chosen = int(np.argmax(sign * predicted(forest, tried, domains)))
        points.append(tried[chosen])
        order.append(factors[left.pop(chosen)])
    along = np.array(points)

    def changes(drawn: Counts) -> Floats:
        forest = fitted_forest(learnt[drawn], scores[drawn], domains, num_trees=NUM_TREES_OF_A_RESAMPLE)
        return np.diff(predicted(forest, along, domains))

    tails = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low, high = np.quantile(resampled_arms(changes, len(judged), seed=0), tails, axis=0)
    score = predicted(forest, along, domains)
    omitted = [name for name in study.factors if name not in factors]
    rows: list[dict[str, Any]] = [{"step": 0, "factor": START, "default": "", "level": "", "predicted": score[0]}]
    for index, name in enumerate(order):
        default, level = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in ends[name])
        row = {"step": index + 1, "factor": name, "default": default, "level": level, "predicted": score[index + 1]}
        rows.append(row | {"change": score[index + 1] - score[index], "low": low[index], "high": high[index]})
    counts = {f"n_{status}": int((arms["status"] == status).sum()) for status in (Status.COMPLETE, Status.PRUNED)}
    found = pd.DataFrame(rows).assign(metric=study.metric, confidence=CONFIDENCE, after_epoch=after_epoch, **counts)
    return typed(found.assign(omitted=", ".join(omitted)), COLUMNS)


def step_name(step: "pd.Series[Any]", factors: list[str]) -> str:
    """Return a step as text: its factor, the level before and the one after; ``factors`` are all of the study."""
    if step["step"] == 0:
        return START
    return f"{short_name(step['factor'], factors, fewest=2)}: {step['default']} → {step['level']}"


def path_text(found: pd.DataFrame) -> str:
    """Return sentences on what a path is and is not, for a table with steps."""
    first = found.iloc[0]
    pruned, after_epoch, omitted = first["n_pruned"], first["after_epoch"], first["omitted"]
    num_arms = first["n_complete"] + pruned
    on_the_way = "" if np.isnan(after_epoch) else f" Scores are those after {after_epoch:.0f} scored epochs."
    left_out = (
        f" Not on the path, as not every arm has them, none tried the baseline's level, or this is null: {omitted}."
    )
    return (
        "From the baseline's levels to those of the best arm, one factor at a time, next that which improves the "
        "predicted score most. An estimate: the arms on the way were not trained; a forest of regression trees "
        f"predicts their scores from n = {num_arms} arms ({pruned} of them pruned), which it evens out towards their "
        f"mean.{drawn_text(num_arms)} Intervals: percentiles of {NUM_RESAMPLES} bootstrap samples of the arms, for "
        f"this order of the steps.{on_the_way}{left_out if omitted else ''}"
    )


def _default(judged: pd.DataFrame, factor: str, default: Any) -> Any:
    """Return a factor's level in the baseline as the arms have it; None if not every arm has the factor, or none it.

    A number need not have been tried: a forest predicts from any. Choices of several kinds are texts in their column.
    """
    column = f"param.{factor}"
    if column not in judged or default is None or judged[column].isna().any():
        return None
    if is_numeric(judged[column]):
        return default if isinstance(default, int | float) and not isinstance(default, bool) else None
    written = (level_text(default), default)
    return next((level for level in written if (judged[column] == level).any()), None)


def _encoded(judged: pd.DataFrame, ends: pd.DataFrame, study: StudyRow) -> tuple[Floats, list[Factor], Floats]:
    """Return as numbers the levels of arms (arms, factors), their domains, and the levels of both ends (2, factors)."""
    columns, domains = [], []
    for name in ends:
        levels = pd.Series([*judged[f"param.{name}"], *ends[name]])
        numbers, domain = as_numbers(levels, is_log=name in study.log_factors and bool((levels > 0).all()))
        columns.append(numbers)
        domains.append(domain)
    together = np.column_stack(columns)
    return together[:-2], domains, together[-2:]
