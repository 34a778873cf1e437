"""The results of each arm: mean, standard deviation and interval over its seeds."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.statistics.any_table import complete, reported, trials_of
from analysis.statistics.columns import columns, typed
from analysis.statistics.intervals import CONFIDENCE, grouped_estimates
from cktf.errors import InputError
from cktf.rows import Status

COLUMNS = columns(
    """
    context arm_id arm is_baseline metric n_planned n mean sd low high confidence n_failed reason reference
    """
)


def arms(
    trials: pd.DataFrame,
    *,
    metric: str = "test_accuracy",
    baseline: str | None = None,
    reference: Mapping[str, Mapping[str, float]] | None = None,
) -> pd.DataFrame:
    """Return the results of each arm of a design, or of each confirmed arm of a search.

    Args:
        trials: As `analysis.load` gives them, of which those of a search's own stage are ignored, since they were
            selected; or a plain table (see `analysis.statistics.any_table.as_trials`).
        metric: Column that is reported.
        baseline: Name of the arm that is marked as the baseline of every context; None: the study's.
        reference: Context -> arm -> published value of the metric; each such arm must be in the trials.

    Returns:
        One row for each context and arm, in the order of planning, with its estimate (see
        `analysis.statistics.intervals`), the ``reason`` why a number is missing, and the ``reference`` (NaN if there is
        none), from which nothing is computed.

    Raises:
        InputError: If the table lacks a column, the baseline or an arm that has a reference, or the metric does not
            hold numbers.
    """
    pool = reported(trials_of(trials, metric=metric, what="arms", baseline=baseline, needs_baseline=False))
    known = set(zip(pool["context"], pool["arm"], strict=True))
    for context, of_arms in (reference or {}).items():
        for arm in of_arms:
            if (context, arm) not in known:
                within = f" in context {context!r}" if context else ""
                raise InputError(f"reference: no arm is called {arm!r}{within}")
    found = pool.drop_duplicates("arm_id")[["context", "arm_id", "arm", "is_baseline"]]
    found = found.merge(grouped_estimates(complete(pool, metric), ["arm_id"], metric), on="arm_id", how="left")
    statuses = dict(iter(pool.groupby("arm_id", sort=False)["status"]))
    states = [statuses[arm_id] for arm_id in found["arm_id"]]
    named = zip(found["context"], found["arm"], strict=True)
    found = found.fillna({"n": 0}).assign(
        metric=metric,
        confidence=CONFIDENCE,
        n_planned=[len(own) for own in states],
        n_failed=[int((own == Status.FAILED).sum()) for own in states],
        reference=[(reference or {}).get(context, {}).get(arm, np.nan) for context, arm in named],
    )
    found["reason"] = [_reason(int(n), *of_arm) for n, *of_arm in zip(found["n"], found["low"], states, strict=True)]
    return typed(found, COLUMNS)


def _reason(n: int, low: float, statuses: "pd.Series[str]") -> str:
    """Return why an arm has no interval; nothing where it has one."""
    if not n:
        return failed_text(len(statuses)) if has_failed(statuses) else "no complete trial"
    if n == 1:
        return "one complete trial: no spread"
    return f"all {n} scores are equal: no interval" if np.isnan(low) else ""


def has_failed(statuses: "pd.Series[str]") -> bool:
    """Return whether an arm without any result has failed: each of its trials has ended, and none was pruned."""
    return bool(statuses.isin([Status.FAILED, Status.COMPLETE]).all())


def failed_text(count: int) -> str:
    """Return the remark on an arm that failed at each of its seeds."""
    return f"failed at all {count} seeds" if count > 1 else "failed at its one seed"
