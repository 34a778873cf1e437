"""Foreign trials -> tables like those of a ledger, in which unknown values are missing."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.facts import Facts, Foreign
from analysis.ledger.columns import Null, data_frame, levels_apart, typed_column
from analysis.results import Results
from analysis.statistics.cells import has_address, tidy_level
from analysis.wording import FOREIGN
from cktf.errors import InputError
from cktf.names import similar_in_words, tidy_name
from cktf.rows import Stage, Status, StudyRow

OF_A_TRIAL = ("context", "arm", "arm_id", "is_baseline", "seed", "status", "reason", "score", "wall_seconds", "node")
"""Fields of a `ForeignTrial` that are columns."""

UNKNOWN = ("device", "git_commit", "versions", "planned_time", "ended_time")
"""Columns that are missing for every foreign trial."""

TYPES = {
    "is_baseline": pa.bool_(),
    **dict.fromkeys(("seed", "number", "epochs", "epoch"), pa.int64()),
    "wall_seconds": pa.float64(),
    **dict.fromkeys(("planned_time", "ended_time"), pa.timestamp("us", tz="UTC")),
}
"""Types of columns that hold no texts."""

ADDRESSES_CUT = (
    "Addresses of functions and objects, which differ between processes, were cut off: those of one name are taken "
    "as one."
)


@dataclass(frozen=True, kw_only=True)
class ForeignTrial:
    """One foreign trial; what is unknown is None or empty.

    Attributes:
        score: Value of the metric at the trial's end.
        arm_id: Identity of the arm in its context.
        is_baseline: Whether the other arms of its context are compared with its arm.
        reason: Why it was pruned or failed.
        params: Factor to level.
        on_the_way: Pairs of epoch and score, ascending by epoch.
        node: Name of the machine that ran it.
    """

    status: Status
    score: float | None
    arm: str = ""
    arm_id: str = ""
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
    **asked_of: Any,
) -> Results:
    """Return trials as `Results`. Those whose score is not finite are failed, and the caveats count them.

    Args:
        trials: In the order in which they were planned.
        name: Name of the study that they form.
        metric: Name of the metric in the other program; its column has the prefix `analysis.wording.FOREIGN`.
        maximise: Whether a larger metric is better.
        stage: ``DESIGN`` where the arms were fixed before any result, ``SEARCH`` where results chose them.
        foreign: Where they come from.
        asked_of: Further fields of the `StudyRow`: factors, contrasts and the like.
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
        **asked_of,
        baseline_arm_id=next(iter(baselines.values()), ""),
        baselines=baselines,
    )
    count = len(trials)
    trial_ids = [f"trial-{number}" for number in range(count)]
    steps = [(number, epoch, score) for number, trial in enumerate(trials) for epoch, score in trial.on_the_way]
    own = {name: [getattr(trial, name) for trial in trials] for name in OF_A_TRIAL}
    columns: dict[str, Sequence[Any]] = {
        **{"study": [name] * count, "run": [name] * count, "trial_id": trial_ids},
        **{name: own[name] for name in ("context", "arm", "arm_id", "is_baseline", "seed")},
        **{"stage": [stage] * count, "number": range(count), "status": own["status"], "reason": own["reason"]},
        "epochs": [trial.on_the_way[-1][0] if trial.on_the_way else None for trial in trials],
        column: own["score"],
        f"teacher_{column}": [None] * count,
        **{name: own[name] for name in ("wall_seconds", "node")},
        **dict.fromkeys(UNKNOWN, [None] * count),
    }
    levels = {
        f"param.{factor}": typed_column([trial.params.get(factor) for trial in trials]) for factor in asked.factors
    }
    epochs: dict[str, Sequence[Any]] = {
        "trial_id": [trial_ids[number] for number, *_ in steps],
        **{name: [own[name][number] for number, *_ in steps] for name in ("context", "arm", "arm_id", "seed")},
        "stage": [stage] * len(steps),
        "epoch": [epoch for _, epoch, _ in steps],
        "phase": ["train"] * len(steps),
        column: [score for *_, score in steps],
    }
    types = TYPES | dict.fromkeys((column, f"teacher_{column}"), pa.float64())

    def frame(columns: dict[str, Sequence[Any]], more: dict[str, pa.Array]) -> pd.DataFrame:
        arrays = {name: pa.array(values, types.get(name, pa.string())) for name, values in columns.items()}
        return data_frame(pa.table(arrays | more))

    facts = Facts(launches=[], study_file="", torn_lines=0, ledger="", asked=asked, foreign=foreign)
    return Results(trials=frame(columns, levels), epochs=frame(epochs, {}), facts=facts)


def levels_of(params: Sequence[Mapping[str, Any]], what: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the levels of each trial, equal ones written alike and different ones differently; and caveats on them.

    Raises:
        InputError: If two params of one trial have one name once blanks are cut; the message begins with ``what``.
    """
    caveats = []
    # A level that is None in the other program; here, None would say that the trial lacks the factor.
    tidied = [
        {tidy_name(name): Null.PYTHON if level is None else tidy_level(level) for name, level in trial.items()}
        for trial in params
    ]
    for trial, found in zip(tidied, params, strict=True):
        if len(trial) < len(found):
            name, _ = Counter(map(tidy_name, found)).most_common(1)[0]
            raise InputError(f"{what}: a trial has several params called {name!r}, but for blanks; rename all but one")
    if any(has_address(level) for trial in params for level in trial.values()):
        caveats.append(ADDRESSES_CUT)
    columns = {
        name: levels_apart([trial.get(name) for trial in tidied])
        for name in dict.fromkeys(name for trial in tidied for name in trial)
    }
    for name, levels in columns.items():
        texts = (level for level in levels if isinstance(level, str))
        caveats += similar_in_words(f"levels of {name}", texts)
    return [{name: columns[name][place] for name in trial} for place, trial in enumerate(tidied)], caveats


def _failed_where_not_finite(trial: ForeignTrial, metric: str) -> ForeignTrial:
    if trial.status == Status.COMPLETE and trial.score is None:
        return replace(trial, status=Status.FAILED, reason=f"no {metric} is there")
    if trial.score is None or math.isfinite(trial.score) or trial.status not in (Status.COMPLETE, Status.PRUNED):
        return trial
    return replace(trial, status=Status.FAILED, reason=f"{metric} is {trial.score}, which is not finite")


def _caveats(trials: Sequence[ForeignTrial], metric: str) -> list[str]:
    """Return caveats on failed trials that have a score, and on names that look alike."""
    scores = [trial.score for trial in trials if trial.status == Status.FAILED and trial.score is not None]
    num_finite = sum(map(math.isfinite, scores))
    caveats = []
    if num_finite:
        caveats.append(
            f"Failed trials that have a value of {metric} all the same, which does not count: {num_finite} of "
            f"{len(trials)}."
        )
    if len(scores) > num_finite:
        caveats.append(
            f"Trials whose {metric} is infinite or not a number, which count as failed: {len(scores) - num_finite} of "
            f"{len(trials)}."
        )
    caveats += similar_in_words("arms", (trial.arm for trial in trials))
    return caveats + similar_in_words("contexts", (trial.context for trial in trials))


def in_words(params: Mapping[str, Any]) -> str:
    """Return the params of an arm as its name: ``lr=0.1, width=2``."""
    return ", ".join(
        f"{name}={level:.4g}" if isinstance(level, float) else f"{name}={level}" for name, level in params.items()
    )


@contextmanager
def of_extra(extra: str, what: str) -> Iterator[None]:
    """Turn the failed import of a package that these results need into an error that names the extra to install.

    Raises:
        InputError: In place of a ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(f"{what}: these results need {error.name}: pip install 'cktf[{extra}]'") from None
