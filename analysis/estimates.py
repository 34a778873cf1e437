"""What one arm yields: mean, standard deviation and interval over its seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.arguments import check_confidence, check_maximise, check_trials
from analysis.results import REPORTED_STAGES
from cktf.errors import InputError
from cktf.rows import Stage, Status

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
"""Of every interval, unless another is asked for."""

RELATIVE_ROUNDING = 1e-12
"""Numbers that differ by less than this share of the values that they were computed from differ by rounding alone."""

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
"""Of the table of arms, with their types, which hold for an empty one too."""


@dataclass(frozen=True)
class Estimate:
    """The mean of a population of runs, estimated from ``n`` of them. What cannot be estimated is NaN.

    Values that are all equal hold no information on the error of their mean, and have no interval. An interval is
    Student's own, even where it reaches beyond what the quantity can be, as an accuracy above 100%: it says that so few
    values tell little. Tables and figures show it cut at the quantity's bounds.

    Attributes:
        n: Values used.
        mean: Their mean.
        sd: Their standard deviation, with ``n - 1`` in the denominator.
        low: Lower end of the interval of the mean.
        high: Upper end.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float


def half_width(
    sd: NDArray[np.float64], n: NDArray[np.int64], confidence: float = CONFIDENCE
) -> NDArray[np.float64]:
    r"""Return half the width of Student's interval of a mean, :math:`t_{n-1} \, s / \sqrt n`.

    Args:
        sd: Standard deviations (any shape).
        n: Numbers of values they come from (same shape).
        confidence: Share of such intervals that hold the true mean.

    Returns:
        (same shape); NaN where ``n`` is below two.
    """
    from scipy import stats

    check_confidence(confidence)
    counts = np.where(n > 1, n, np.nan)
    return np.asarray(stats.t.ppf((1 + confidence) / 2, counts - 1) * sd / np.sqrt(counts))


def estimate(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> Estimate:
    """Return mean, standard deviation and t interval of ``values`` (n,).

    Raises:
        ValueError: If the confidence is not between 0 and 1.
    """
    n = len(values)
    mean = float(np.mean(values)) if n else np.nan
    sd = float(np.std(values, ddof=1)) if n > 1 else np.nan
    varies = n > 1 and bool(differ(np.array(np.min(values)), np.array(np.max(values))))
    half = float(half_width(np.array(sd if varies else np.nan), np.array(n), confidence))
    return Estimate(n, mean, sd, mean - half, mean + half)


def differ(least: NDArray[np.float64], most: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether the least and the largest of some values differ by more than rounding (any shape)."""
    return np.asarray(most - least > RELATIVE_ROUNDING * np.maximum(np.abs(least), np.abs(most)))


def grouped_estimates(
    frame: "pd.DataFrame", keys: list[str], column: str, confidence: float = CONFIDENCE
) -> "pd.DataFrame":
    """Return the `Estimate` of ``column`` for each combination of ``keys``, in order of appearance."""
    grouped = frame.groupby(keys, sort=False, observed=True)[column]
    groups: pd.DataFrame = grouped.agg(
        n="count", mean="mean", sd="std", least="min", most="max"
    ).reset_index()
    least, most = (groups.pop(name).to_numpy(np.float64) for name in ("least", "most"))
    sd = np.where(differ(least, most), groups["sd"], np.nan)
    half = half_width(sd, groups["n"].to_numpy(), confidence)
    groups["low"], groups["high"] = groups["mean"] - half, groups["mean"] + half
    return groups


def reported(trials: "pd.DataFrame") -> "pd.DataFrame":
    """Return the trials whose arm was fixed before their results were seen: of designs and confirmation."""
    return trials[trials["stage"].isin(REPORTED_STAGES)]


def complete(trials: "pd.DataFrame", metric: str) -> "pd.DataFrame":
    """Return the trials that are complete and have a finite value of ``metric``."""
    is_finite = trials[metric].abs().lt(np.inf)  # of NaN, no comparison is true
    return trials[is_finite & trials["status"].eq(Status.COMPLETE)]


def arms(
    trials: "pd.DataFrame",
    *,
    metric: str = "test_accuracy",
    reference: Mapping[str, Mapping[str, float]] | None = None,
) -> "pd.DataFrame":
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
    import pandas as pd

    check_trials(trials, metric, what="arms")
    pool = reported(trials)
    known = set(zip(pool["context"], pool["arm"], strict=True))
    for context, of_arms in (reference or {}).items():
        for arm in of_arms:
            if (context, arm) not in known:
                within = f" in context {context!r}" if context else ""
                raise InputError(f"reference: no arm is called {arm!r}{within}")
    values = {
        arm: group[metric].to_numpy(np.float64) for arm, group in complete(pool, metric).groupby("arm_id")
    }
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


def leaderboard(trials: "pd.DataFrame", *, metric: str, maximise: bool) -> "pd.DataFrame":
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
