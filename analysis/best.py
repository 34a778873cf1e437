"""Which arms of a context are the best that there are: the largest mean, and those that are not told from it."""

from typing import TYPE_CHECKING

import numpy as np

from analysis.estimates import complete, reported
from analysis.paired import paired_effects
from analysis.verdicts import LEVEL, holm

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "context": "str",
    "arm_id": "str",
    "arm": "str",
    "metric": "str",
    "is_best": "bool",
    "n_pairs": "int64",
    "difference": "float64",
    "p": "float64",
    "p_holm": "float64",
    "is_among_best": "bool",
}
"""Of the table of the best, with their types, which hold for an empty one too."""

BOLD = (
    "Bold: the best mean, of several seeds where any arm has them, and those that are not significantly worse (paired "
    "t test at the seeds that both have, p adjusted by Holm's method over the context's other arms, level "
    f"{LEVEL}). An arm that shares fewer than two seeds with the best, or is as much worse at each of them, cannot be "
    "tested, and is not bold."
)
"""What bold means in the tables for a paper."""


def best(trials: "pd.DataFrame", *, metric: str, maximise: bool) -> "pd.DataFrame":
    """Return for each arm of a design, or confirmed arm of a search, whether it is among the best of its context.

    Being among the best is cautious: in simulations the arms not told from the best mean held the truly best arm in 98%
    of studies or more, and with few seeds they are nearly all. It is no verdict: that is what
    `analysis.comparisons.effects` says against a baseline that was fixed beforehand.

    Args:
        trials: As `analysis.load` gives them; those of a search's own stage are left out.
        metric: Column that is compared.
        maximise: Whether a larger metric is better.

    Returns:
        One row for each context and arm that has a result, in the order of planning: ``context``, ``arm_id``, ``arm``,
        ``metric``, ``is_best`` (has the best mean of two seeds or more, if any arm has two; of equals the first),
        ``n_pairs`` (seeds shared with the best), ``difference`` (mean over them, from the best), ``p`` and ``p_holm``
        (of the paired t test, two-sided; adjusted over the context's other arms; NaN where it cannot be made),
        ``is_among_best``.
    """
    import pandas as pd

    pool = complete(reported(trials), metric)
    parts = []
    for context, group in pool.groupby("context", sort=False):
        arms = group.drop_duplicates("arm_id")
        scores = group.pivot(index="arm_id", columns="seed", values=metric).reindex(arms["arm_id"])
        values = scores.to_numpy(np.float64)
        means = np.nanmean(values, axis=1) * (1 if maximise else -1)
        has_spread = np.isfinite(values).sum(axis=1) > 1
        # One lucky seed, whose arm failed at the others, would leave nobody to be tested with it.
        first = np.where(has_spread, means, -np.inf).argmax() if has_spread.any() else means.argmax()
        is_best = np.arange(len(arms)) == first
        found = paired_effects(values, values[first])
        p_holm = np.full(len(arms), np.nan)
        p_holm[~is_best] = holm(found.p[~is_best])
        # Differences that do not vary have no p; those that are all 0 need none.
        is_equal = (found.n_pairs > 1) & (found.effect == 0) & np.isnan(found.p)
        parts.append(
            pd.DataFrame(
                {
                    "context": context,
                    "arm_id": arms["arm_id"].to_numpy(),
                    "arm": arms["arm"].to_numpy(),
                    "metric": metric,
                    "is_best": is_best,
                    "n_pairs": found.n_pairs,
                    "difference": found.effect,
                    "p": np.where(is_best, np.nan, found.p),
                    "p_holm": p_holm,
                    "is_among_best": is_best | (p_holm >= LEVEL) | is_equal,
                }
            )
        )
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
    return pd.concat(parts, ignore_index=True).astype(COLUMNS)
