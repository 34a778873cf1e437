"""What the best arms of a search are worth: their scores in it beside those at fresh seeds."""

from typing import TYPE_CHECKING

from analysis.arguments import check_columns, check_maximise, check_trials
from analysis.estimates import CONFIDENCE, complete, grouped_estimates, leaderboard
from cktf.rows import Stage

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "arm_id": "str",
    "arm": "str",
    "is_baseline": "bool",
    "metric": "str",
    "rank": "float64",
    "n_search": "int64",
    "search_score": "float64",
    "n": "int64",
    "mean": "float64",
    "sd": "float64",
    "low": "float64",
    "high": "float64",
    "confidence": "float64",
    "shrinkage": "float64",
    "effect_metric": "str",
    "effect": "float64",
    "effect_low": "float64",
    "effect_high": "float64",
    "verdict": "str",
}
"""Of the table of confirmed arms, with their types, which hold for an empty one too."""


def confirmed(
    trials: "pd.DataFrame", effects: "pd.DataFrame", *, metric: str, maximise: bool
) -> "pd.DataFrame":
    """Return every confirmed arm's score in the search beside its mean at fresh seeds.

    The best of many noisy scores owes part of its rank to luck, which does not come again: the winner's curse. Both
    columns are of the same metric, on validation splits, so that their difference is the luck of the selection and what
    the fresh seeds still leave open, which the interval says. The effect against the baseline, which was confirmed at
    the same seeds, is of the metric that is reported.

    Args:
        trials: As `analysis.load` gives them.
        effects: As `analysis.comparisons.effects` gives them.
        metric: Column that was optimised.
        maximise: True where larger is better.

    Returns:
        The baseline first, then the arms by their rank in the search: ``arm_id``, ``arm``, ``is_baseline``, ``metric``,
        ``rank`` (from 1), ``n_search`` (seeds) and ``search_score``, which are missing where the search did not try the
        arm; the fields of `analysis.estimates.Estimate` at fresh seeds; ``shrinkage``, by how much the search score was
        too good (negative where it was too bad); and of the arm's row of effects ``effect_metric``, ``effect``,
        ``effect_low``, ``effect_high``, ``verdict``. Empty where nothing was confirmed.

    Raises:
        ValueError: If a table is none of trials or effects, or lacks the metric, or the direction is neither true nor
            false.
    """
    check_trials(trials, metric, what="confirmed")
    check_maximise(maximise)
    columns = ("arm_id", "metric", "effect", "low", "high", "verdict")
    check_columns(effects, columns, what="confirmed", source="effects, as analysis.effects gives them")
    pool = trials[trials["stage"] == Stage.CONFIRM]
    arms = pool.drop_duplicates("arm_id")[["arm_id", "arm", "is_baseline"]]
    searched = leaderboard(trials, metric=metric, maximise=maximise)[["arm_id", "rank", "n", "score"]]
    searched = searched.rename(columns={"n": "n_search", "score": "search_score"})
    fresh = grouped_estimates(complete(pool, metric), ["arm_id"], metric)
    compared = effects[list(columns)]
    compared = compared.rename(
        columns={"metric": "effect_metric", "low": "effect_low", "high": "effect_high"}
    )
    found = arms
    for part in (searched, fresh, compared):
        found = found.merge(part, on="arm_id", how="left")
    too_good = found["search_score"] - found["mean"]
    found = found.assign(
        metric=metric, confidence=CONFIDENCE, shrinkage=too_good if maximise else -too_good
    ).fillna({"n_search": 0, "n": 0, "effect_metric": "", "verdict": ""})
    found = found[list(COLUMNS)].astype(COLUMNS)
    return found.sort_values(
        ["is_baseline", "rank"], ascending=[False, True], kind="stable", ignore_index=True
    )
