"""What the best arms of a search are worth: their scores in it beside those at fresh seeds."""

from typing import TYPE_CHECKING

import numpy as np

from analysis.estimates import CONFIDENCE, complete, estimate, leaderboard
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
    columns are of the same metric, on validation splits, so their difference is luck and nothing else; the effect
    against the baseline, which was confirmed at the same seeds, is of the metric that is reported.

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
    """
    import pandas as pd

    pool = trials[trials["stage"] == Stage.CONFIRM]
    scores = leaderboard(trials, metric=metric, maximise=maximise).set_index("arm_id")
    values = dict(iter(complete(pool, metric).groupby("arm_id")[metric]))
    compared = effects.set_index("arm_id")
    rows = []
    for arm_id, group in pool.groupby("arm_id", sort=False):
        found = estimate(values[arm_id].to_numpy(np.float64) if arm_id in values else np.empty(0))
        row = {
            "arm_id": arm_id,
            "arm": group["arm"].iloc[0],
            "is_baseline": bool(group["is_baseline"].iloc[0]),
            "metric": metric,
            "n_search": 0,
            **vars(found),
            "confidence": CONFIDENCE,
            "effect_metric": "",
            "verdict": "",
        }
        if arm_id in scores.index:
            score = float(scores.at[arm_id, "score"])
            shrinkage = score - found.mean if maximise else found.mean - score
            row |= {"rank": scores.at[arm_id, "rank"], "n_search": scores.at[arm_id, "n"]}
            row |= {"search_score": score, "shrinkage": shrinkage}
        if arm_id in compared.index:
            effect = compared.loc[arm_id]
            row |= {"effect_metric": effect["metric"], "verdict": effect["verdict"], "effect": effect["effect"]}
            row |= {"effect_low": effect["low"], "effect_high": effect["high"]}
        rows.append(row)
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return frame.sort_values(
        ["is_baseline", "rank"], ascending=[False, True], kind="stable", ignore_index=True
    )
