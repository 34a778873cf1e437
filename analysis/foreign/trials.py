"""Trials that others ran, as the tables that a ledger gives; what is unknown of them is missing there."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from analysis.facts import Facts, Foreign
from analysis.ledger.columns import Null, data_frame, levels_apart, typed_column
from analysis.results import Results
from analysis.statistics.cells import has_address, tidy_level
from analysis.wording import FOREIGN
from cktf.errors import InputError
from cktf.names import similar_in_words, tidy_name
from cktf.rows import Stage, Status, StudyRow

UNKNOWN = {
    "device": pa.string(),
    "git_commit": pa.string(),
    "versions": pa.string(),
    "planned_time": pa.timestamp("us", tz="UTC"),
    "ended_time": pa.timestamp("us", tz="UTC"),
}
"""Columns of which no foreign trial says anything."""

ADDRESSES_CUT = (
    "Addresses of functions and objects, which differ between processes, were cut off: those of one name are taken "
    "as one."
)
"""Caveat if addresses of objects were cut from names or levels."""


@dataclass(frozen=True, kw_only=True)
class ForeignTrial:
    """One trial.

    Attributes:
        arm: Name of the arm.
        arm_id: Identity of the arm in its context.
        status: `Status`.
        score: Of the metric, after the trial's end; None where it has none.
        seed: The replicate; None where it is unknown.
        context: Where it ran; empty where there are no contexts.
        is_baseline: Whether the others of its context are compared with its arm.
        reason: Why it was pruned or failed.
        params: Factor to level.
        on_the_way: Epoch and score at each, ascending.
        wall_seconds: What it took; None where it is unknown.
        node: Name of the machine that ran it; None where it is unknown.
    """

    arm: str
    arm_id: str
    status: Status
    score: float | None
    seed: int | None = None
    context: str = ""
    is_baseline: bool = False
    reason: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    on_the_way: Sequence[tuple[int, float]] = ()
    wall_seconds: float | None = None
    node: str | None = None


def foreign_results(
    trials: Sequence[ForeignTrial],
    *,
    name: str,
    metric: str,
    maximise: bool,
    stage: Stage,
    foreign: Foreign,
    factors: Sequence[str] = (),
    log_factors: Sequence[str] = (),
    delta: float | None = None,
) -> Results:
    """Return trials as results. Those whose score is not finite are failed, and the caveats count them.

    Args:
        trials: In the order in which they were planned.
        name: What they are called together.
        metric: As it is called where it comes from; its column stands under `analysis.wording.FOREIGN`.
        maximise: Whether a larger metric is better.
        stage: ``DESIGN`` where the arms were fixed before any result, ``SEARCH`` where results chose them.
        foreign: Where they come from.
        factors: Names of the params.
        log_factors: Those of them that were searched on a logarithmic scale.
        delta: The smallest effect that matters.
    """
    column = f"{FOREIGN}{metric}"
    trials = [_failed_where_not_finite(trial, metric) for trial in trials]
    caveats = [*foreign.cannot_be_vouched_for, *_caveats(trials, metric)]
    foreign = replace(foreign, cannot_be_vouched_for=caveats)
    baselines = {trial.context: trial.arm_id for trial in trials if trial.is_baseline}
    asked = StudyRow(
        study=name,
        run=name,
        question="",
        design="compare" if stage == Stage.DESIGN else "search",
        metric=column,
        report_metric=column,
        maximise=maximise,
        delta=delta,
        baseline_arm_id=next(iter(baselines.values()), ""),
        baselines=baselines,
        factors=list(factors),
        log_factors=list(log_factors),
    )
    count = len(trials)
    trial_ids = [f"trial-{number}" for number in range(count)]
    columns = {
        "study": pa.array([name] * count, pa.string()),
        "run": pa.array([name] * count, pa.string()),
        "trial_id": pa.array(trial_ids, pa.string()),
        "context": pa.array([trial.context for trial in trials], pa.string()),
        "arm": pa.array([trial.arm for trial in trials], pa.string()),
        "arm_id": pa.array([trial.arm_id for trial in trials], pa.string()),
        "is_baseline": pa.array([trial.is_baseline for trial in trials], pa.bool_()),
        "seed": pa.array([trial.seed for trial in trials], pa.int64()),
        "stage": pa.array([stage] * count, pa.string()),
        "number": pa.array(range(count), pa.int64()),
        "status": pa.array([trial.status for trial in trials], pa.string()),
        "reason": pa.array([trial.reason for trial in trials], pa.string()),
        "epochs": pa.array([trial.on_the_way[-1][0] if trial.on_the_way else None for trial in trials], pa.int64()),
        column: pa.array([trial.score for trial in trials], pa.float64()),
        f"teacher_{column}": pa.nulls(count, pa.float64()),
        "wall_seconds": pa.array([trial.wall_seconds for trial in trials], pa.float64()),
        "node": pa.array([trial.node for trial in trials], pa.string()),
        **{unknown: pa.nulls(count, kind) for unknown, kind in UNKNOWN.items()},
        **{f"param.{factor}": typed_column([trial.params.get(factor) for trial in trials]) for factor in factors},
    }
    steps = [
        (trial_id, trial, epoch, score)
        for trial_id, trial in zip(trial_ids, trials, strict=True)
        for epoch, score in trial.on_the_way
    ]
    epochs = {
        "trial_id": pa.array([trial_id for trial_id, *_ in steps], pa.string()),
        "context": pa.array([trial.context for _, trial, *_ in steps], pa.string()),
        "arm": pa.array([trial.arm for _, trial, *_ in steps], pa.string()),
        "arm_id": pa.array([trial.arm_id for _, trial, *_ in steps], pa.string()),
        "seed": pa.array([trial.seed for _, trial, *_ in steps], pa.int64()),
        "stage": pa.array([stage] * len(steps), pa.string()),
        "epoch": pa.array([epoch for *_, epoch, _ in steps], pa.int64()),
        "phase": pa.array(["train"] * len(steps), pa.string()),
        column: pa.array([score for *_, score in steps], pa.float64()),
    }
    facts = Facts(launches=[], study_file="", torn_lines=0, ledger="", asked=asked, foreign=foreign)
    return Results(trials=data_frame(pa.table(columns)), epochs=data_frame(pa.table(epochs)), facts=facts)


def levels_of(params: Sequence[Mapping[str, Any]], what: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the levels of each trial, equal ones written alike and different ones differently; and caveats on them.

    Args:
        params: Of each trial, as they were found.
        what: Where, as messages call it.

    Raises:
        ValueError: If two params of one trial have one name once blanks are cut.
    """
    told = []
    # None is a choice like others there; here it would mean that the trial has not this factor.
    tidied = [
        {tidy_name(name): Null.PYTHON if level is None else tidy_level(level) for name, level in trial.items()}
        for trial in params
    ]
    for trial, found in zip(tidied, params, strict=True):
        if len(trial) < len(found):
            name, _ = Counter(map(tidy_name, found)).most_common(1)[0]
            raise InputError(f"{what}: a trial has several params called {name!r}, but for blanks; rename all but one")
    if any(has_address(level) for trial in params for level in trial.values()):
        told.append(ADDRESSES_CUT)
    columns = {
        name: levels_apart([trial.get(name) for trial in tidied])
        for name in dict.fromkeys(name for trial in tidied for name in trial)
    }
    for name, levels in columns.items():
        texts = (level for level in levels if isinstance(level, str))
        told += similar_in_words(f"levels of {name}", texts)
    return [{name: columns[name][place] for name in trial} for place, trial in enumerate(tidied)], told


def _failed_where_not_finite(trial: ForeignTrial, metric: str) -> ForeignTrial:
    if trial.status == Status.COMPLETE and trial.score is None:
        return replace(trial, status=Status.FAILED, reason=f"no {metric} is there")
    if trial.score is None or math.isfinite(trial.score) or trial.status not in (Status.COMPLETE, Status.PRUNED):
        return trial
    return replace(trial, status=Status.FAILED, reason=f"{metric} is {trial.score}, which is not finite")


def _caveats(trials: Sequence[ForeignTrial], metric: str) -> list[str]:
    """Return what has to be known of failed trials that have a score, and of names."""
    scores = [trial.score for trial in trials if trial.status == Status.FAILED and trial.score is not None]
    num_finite = sum(map(math.isfinite, scores))
    told = []
    if num_finite:
        told.append(
            f"Failed trials that have a value of {metric} all the same, which does not count: {num_finite} of "
            f"{len(trials)}."
        )
    if len(scores) > num_finite:
        told.append(
            f"Trials whose {metric} is infinite or not a number, which count as failed: {len(scores) - num_finite} of "
            f"{len(trials)}."
        )
    told += similar_in_words("arms", (trial.arm for trial in trials))
    return told + similar_in_words("contexts", (trial.context for trial in trials))


def in_words(params: Mapping[str, Any]) -> str:
    """Return what an arm sets, as its name."""
    return ", ".join(
        f"{name}={level:.4g}" if isinstance(level, float) else f"{name}={level}" for name, level in params.items()
    )
