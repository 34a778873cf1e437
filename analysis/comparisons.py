"""What an arm changes: its effect against its context's baseline, paired by seed, p adjusted over the study."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.estimates import CONFIDENCE, complete, estimate, reported
from cktf.rows import Status

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "context": "str",
    "arm_id": "str",
    "arm": "str",
    "factor": "str",
    "metric": "str",
    "n_pairs": "int64",
    "n_missing": "int64",
    "missing": "str",
    "mean": "float64",
    "baseline_mean": "float64",
    "effect": "float64",
    "sd": "float64",
    "low": "float64",
    "high": "float64",
    "confidence": "float64",
    "correlation": "float64",
    "statistic": "float64",
    "p": "float64",
    "p_holm": "float64",
    "test": "str",
    "reason": "str",
}
"""Of the table of effects, with their types, which hold for an empty one too."""

RELATIVE_ROUNDING = 1e-9
"""Differences that vary by less than this share of the values themselves vary by rounding alone."""


@dataclass(frozen=True)
class PairedEffect:
    """The mean difference of pairs, and the test that it is zero. What cannot be computed is NaN.

    Attributes:
        n_pairs: Pairs used.
        effect: Mean difference, in the unit of the values.
        sd: Standard deviation of the differences.
        low: Lower end of the interval of the effect.
        high: Upper end.
        correlation: Pearson's, of the two sides: what pairing gains.
        statistic: Student's t, with ``n_pairs - 1`` degrees of freedom.
        p: Two-sided.
        test: Name of the test.
        reason: Why a figure is missing; empty where none is.
    """

    n_pairs: int
    effect: float
    sd: float
    low: float
    high: float
    correlation: float
    statistic: float
    p: float
    test: str
    reason: str


def paired_t(
    values: NDArray[np.float64], baseline: NDArray[np.float64], confidence: float = CONFIDENCE
) -> PairedEffect:
    """Compare two arms that share their seeds by Student's paired t test.

    Differences that do not vary at all (two quantised accuracies, say) hold no information on their own
    error: the test would call any of them infinitely sure. They get an effect, but neither interval nor p.

    Args:
        values: (pairs,) of the arm.
        baseline: (pairs,) of the baseline, at the same seeds.
        confidence: Of the interval.
    """
    from scipy import stats

    differences = values - baseline
    found = estimate(differences, confidence)
    n = found.n
    if n < 2:
        reason = "one pair: no interval" if n else "no seed is complete in both arms"
        return PairedEffect(n, found.mean, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, "none", reason)
    rounding = RELATIVE_ROUNDING * float(np.max(np.abs([values, baseline])))
    varies = [float(np.ptp(side)) > rounding for side in (values, baseline)]
    correlation = float(np.corrcoef(values, baseline)[0, 1]) if all(varies) else np.nan
    if float(np.ptp(differences)) <= rounding:
        reason = f"all {n} differences are equal: no error to test against"
        return PairedEffect(
            n, found.mean, found.sd, np.nan, np.nan, correlation, np.nan, np.nan, "none", reason
        )
    statistic = found.mean / (found.sd / np.sqrt(n))
    p = float(2 * stats.t.sf(abs(statistic), n - 1))
    return PairedEffect(
        n, found.mean, found.sd, found.low, found.high, correlation, float(statistic), p, "paired t", ""
    )


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Holm's adjusted p values (Holm 1979) of a family of tests (tests,); NaN, no test, stays NaN."""
    from statsmodels.stats.multitest import multipletests

    adjusted = np.full_like(p, np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        adjusted[tested] = multipletests(p[tested], method="holm")[1]
    return adjusted


def effects(trials: "pd.DataFrame", *, metric: str = "test_accuracy") -> "pd.DataFrame":
    """Return the effect of every arm of a design, or every confirmed arm of a search, against its baseline.

    An arm is compared with the baseline of its own context; an arm's identity is that of one context alone.

    Args:
        trials: As `analysis.load` gives them; those of a search's own stage are left out, since they were
            selected.
        metric: Column that is compared.

    Returns:
        One row for each context and arm, contexts in the order of planning, in them arms of one factor together:
        ``context``, ``arm_id``, ``arm``, ``factor`` (paths in which it differs from the baseline), ``metric``,
        ``n_missing`` (planned seeds that form no pair) and ``missing`` (which, and why), ``mean`` and
        ``baseline_mean`` (of the pairs), the fields of `PairedEffect`, and ``p_holm``, adjusted over all rows that
        have a p.
    """
    import pandas as pd

    pool = reported(trials)
    arms = pool.drop_duplicates("arm_id").set_index("arm_id")
    baselines = {arms.at[arm_id, "context"]: arm_id for arm_id in arms.index[arms["is_baseline"]]}
    scores = (
        complete(pool, metric)
        .pivot(index="seed", columns="arm_id", values=metric)
        .reindex(columns=arms.index)
    )
    statuses = pool.pivot(index="seed", columns="arm_id", values="status")
    rows = []
    for arm_id in arms.index[~arms["is_baseline"] & arms["context"].isin(baselines)]:
        context = arms.at[arm_id, "context"]
        both = [arm_id, baselines[context]]
        sides = scores[both].reindex(statuses.index)
        pairs = sides.dropna().to_numpy(np.float64)
        found = paired_t(pairs[:, 0], pairs[:, 1])
        states = statuses.loc[sides.isna().any(axis="columns"), both].dropna(how="all")
        rows.append(
            {
                "context": context,
                "arm_id": arm_id,
                "arm": arms.at[arm_id, "arm"],
                "factor": ", ".join(_differing_factors(arms.loc[arm_id], arms.loc[baselines[context]])),
                "metric": metric,
                "n_pairs": found.n_pairs,
                "n_missing": len(states),
                "missing": _missing_text(states),
                "mean": estimate(pairs[:, 0]).mean,
                "baseline_mean": estimate(pairs[:, 1]).mean,
                "effect": found.effect,
                "sd": found.sd,
                "low": found.low,
                "high": found.high,
                "confidence": CONFIDENCE,
                "correlation": found.correlation,
                "statistic": found.statistic,
                "p": found.p,
                "p_holm": np.nan,
                "test": found.test,
                "reason": found.reason,
            }
        )
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    frame["p_holm"] = holm(frame["p"].to_numpy(np.float64))
    return frame.sort_values(["context", "factor"], key=_first_seen, kind="stable", ignore_index=True)


def _first_seen(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return for each value the position of its first occurrence among the different ones."""
    positions = {value: position for position, value in enumerate(dict.fromkeys(column))}
    return column.map(positions)


def _missing_text(states: "pd.DataFrame") -> str:
    """Return which seeds form no pair and why, from an arm's and the baseline's statuses at these seeds."""
    seeds: dict[str, list[str]] = {}
    for seed, *statuses in states.fillna("not planned").itertuples():
        named = zip(("", "baseline "), statuses, strict=True)
        wrong = [f"{side}{status}" for side, status in named if status != Status.COMPLETE]
        seeds.setdefault(", ".join(wrong) or "not a finite number", []).append(str(seed))
    return "; ".join(
        f"seed{'s' * (len(which) > 1)} {', '.join(which)}: {why}" for why, which in seeds.items()
    )


def _differing_factors(arm: "pd.Series[Any]", baseline: "pd.Series[Any]") -> list[str]:
    """Return the paths in which an arm's levels differ from the baseline's."""
    names = [str(name) for name in arm.index if str(name).startswith("param.")]
    levels = [
        [None if missing else level for level, missing in zip(side, side.isna(), strict=True)]
        for side in (arm[names], baseline[names])
    ]
    return [
        name.removeprefix("param.") for name, here, there in zip(names, *levels, strict=True) if here != there
    ]
