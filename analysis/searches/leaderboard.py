"""The arms of a search by the score that selected them."""

import numpy as np
import pandas as pd

from analysis.arguments import check_maximise, check_trials
from analysis.statistics.any_table import complete
from analysis.statistics.intervals import grouped_estimates
from cktf.rows import Stage


def leaderboard(trials: pd.DataFrame, *, metric: str, maximise: bool) -> pd.DataFrame:
    """Return the complete arms of a search, best first, by the score that selected them.

    The best of many noisy scores is too good on average, so these are no estimates of what an arm yields;
    ``note`` says so in every row.

    Args:
        trials: As `analysis.load` gives them; only those of a search's own stage are read.
        metric: Column that was optimised.
        maximise: True where larger is better.

    Returns:
        ``rank`` from 1, ``arm_id``, ``arm``, ``metric``, ``n`` (seeds), ``score`` (mean over seeds),
        ``note``.

    Raises:
        ValueError: If the table is none of trials, or lacks the metric, or the direction is neither true nor false.
    """
    check_trials(trials, metric, what="leaderboard")
    check_maximise(maximise)
    searched = trials[trials["stage"] == Stage.SEARCH]
    # The search, too, scores an arm only when all of its seeds are complete: fewer make a luckier draw.
    incomplete = searched.loc[~searched.index.isin(complete(searched, metric).index), "arm_id"]
    scores = grouped_estimates(searched[~searched["arm_id"].isin(incomplete)], ["arm_id", "arm"], metric)
    scores = scores.rename(columns={"mean": "score"})
    scores = scores.sort_values("score", ascending=not maximise, kind="stable", ignore_index=True)
    scores.insert(0, "rank", np.arange(1, len(scores) + 1))
    scores.insert(3, "metric", metric)
    scores["note"] = "search score, selected on it: optimistic"
    return scores[["rank", "arm_id", "arm", "metric", "n", "score", "note"]]
