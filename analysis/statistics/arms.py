"""What one arm yields: mean, standard deviation and interval over its seeds."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.arguments import check_trials
from analysis.statistics.intervals import CONFIDENCE, Estimate, estimate
from cktf.errors import InputError
from cktf.rows import Stage, Status

ARM_COLUMNS = {
    "context": "str",
    "arm_id": "str",
    "arm": "str",
    "is_baseline": "bool",
    "metric": "str",
    "n_planned": "int64",
    "n": "int64",
    "mean": "float64",
    "sd": "float64",
    "low": "float64",
    "high": "float64",
    "confidence": "float64",
    "n_failed": "int64",
    "reason": "str",
    "reference": "float64",
}
"""Columns of the table of arms with their types, also of an empty one."""


def reported(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials whose arm was fixed before their results were seen: of designs and confirmation."""
    return trials[trials["stage"].isin(REPORTED_STAGES)]


def complete(trials: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the trials that are complete and have a finite value of ``metric``."""
    is_finite = trials[metric].abs().lt(np.inf)  # of NaN, no comparison is true
    return trials[is_finite & trials["status"].eq(Status.COMPLETE)]


def arms(
    trials: pd.DataFrame,
    *,
    metric: str = "test_accuracy",
    reference: Mapping[str, Mapping[str, float]] | None = None,
) -> pd.DataFrame:
    """Return what each arm of a design, or each confirmed arm of a search, yields.

    Args:
        trials: As `analysis.load` gives them; those of a search's own stage are left out, since they were
            selected.
        metric: Column that is reported.
        reference: Context to arm to a published value of the metric; the trials have each of these.

    Returns:
        One row for each context and arm, in the order of planning: ``context``, ``arm_id``, ``arm``,
        ``is_baseline``, ``metric``, ``n_planned``, the fields of `Estimate`, ``n_failed``, a ``reason`` why a figure
        is missing, and the ``reference``, which nothing is computed of; NaN where there is none.

    Raises:
        ValueError: If a table is none of trials, or lacks the metric or an arm that has a reference.
    """
    check_trials(trials, metric, what="arms")
    pool = reported(trials)
    known = set(zip(pool["context"], pool["arm"], strict=True))
    for context, of_arms in (reference or {}).items():
        for arm in of_arms:
            if (context, arm) not in known:
                within = f" in context {context!r}" if context else ""
                raise InputError(f"reference: no arm is called {arm!r}{within}")
    values = {arm: group[metric].to_numpy(np.float64) for arm, group in complete(pool, metric).groupby("arm_id")}
    rows = []
    for arm_id, group in pool.groupby("arm_id", sort=False):
        found = estimate(values.get(arm_id, np.empty(0)))
        context, arm = group["context"].iloc[0], group["arm"].iloc[0]
        rows.append(
            {
                "context": context,
                "arm_id": arm_id,
                "arm": arm,
                "is_baseline": bool(group["is_baseline"].iloc[0]),
                "metric": metric,
                "n_planned": len(group),
                "n": found.n,
                "mean": found.mean,
                "sd": found.sd,
                "low": found.low,
                "high": found.high,
                "confidence": CONFIDENCE,
                "n_failed": int((group["status"] == Status.FAILED).sum()),
                "reason": _reason(found, group["status"]),
                "reference": (reference or {}).get(context, {}).get(arm, np.nan),
            }
        )
    return pd.DataFrame(rows, columns=list(ARM_COLUMNS)).astype(ARM_COLUMNS)


def _reason(found: Estimate, statuses: "pd.Series[str]") -> str:
    """Return why an arm has no interval; nothing where it has one."""
    if not found.n:
        return failed_text(len(statuses)) if has_failed(statuses) else "no complete trial"
    if found.n == 1:
        return "one complete trial: no spread"
    return f"all {found.n} scores are equal: no interval" if np.isnan(found.low) else ""


def has_failed(statuses: "pd.Series[str]") -> bool:
    """Return whether an arm without any result has failed: each of its trials has ended, and none was pruned."""
    return bool(statuses.isin([Status.FAILED, Status.COMPLETE]).all())


def failed_text(count: int) -> str:
    """Return what is said of an arm that failed at each of its seeds."""
    return f"failed at all {count} seeds" if count > 1 else "failed at its one seed"


REPORTED_STAGES = (Stage.DESIGN, Stage.CONFIRM)
"""Stages whose arms were fixed before any of their results was seen; the others' scores are selected."""
