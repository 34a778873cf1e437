"""The table of trials: a row each, with what was planned, how it ended, and the scores of its last epoch."""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from analysis.ledger.columns import Null, flat, timestamps, typed_column
from analysis.ledger.epochs import CORRECT, FINAL_METRICS
from analysis.ledger.other_names import COLUMN, in_column
from analysis.ledger.pieces import Ledger
from cktf.epoch_result import MEASURE
from cktf.rows import PlannedRow, Stage, Status

TRIALS_FILE = "trials.parquet"


def trials_table(ledger: Ledger, teachers: dict[str, dict[str, Any]], final: pa.Table) -> pa.Table:
    """Return the table of trials, a row for each, in the order of planning.

    ``teachers`` is teacher id to the results of its training, for teachers stored in the run directory. ``final`` has
    a row for each trial: its last epoch, null if there is none.
    """
    trial_ids = ledger.trial_ids
    planned = [ledger.planned[trial_id] for trial_id in trial_ids]
    ends = [ledger.ends.get(trial_id) for trial_id in trial_ids]
    final_epoch = final["epoch"].to_pylist()
    study = ledger.launches[-1]
    has_trials = {(row.context, row.arm) for row in planned if row.stage != Stage.SEARCH}
    others = [[alias for alias in row.aliases if (row.context, alias["arm"]) not in has_trials] for row in planned]
    launch = pa.array([end[1] if end else len(ledger.launches) - 1 for end in ends], pa.int64())

    def texts(values: Iterable[str | None]) -> pa.Array:
        return pa.array(values, pa.string())

    def of_end(name: str, kind: pa.DataType, otherwise: Any = None) -> pa.Array:
        return pa.array([getattr(end[0], name) if end else otherwise for end in ends], kind)

    def of_plan(*names: str) -> dict[str, pa.Array]:
        return {name: texts(getattr(row, name) for row in planned) for name in names}

    begun = [Status.RUNNING if epoch else Status.PLANNED for epoch in final_epoch]
    columns: dict[str, pa.Array] = {
        "study": texts([study.study] * len(planned)),
        "run": texts([study.run] * len(planned)),
        **of_plan("trial_id", "context", "arm", "arm_id"),
        "is_baseline": pa.array([row.arm_id == study.baseline_of(row.context) for row in planned], pa.bool_()),
        **of_plan("teacher_id"),
        "seed": pa.array([row.seed for row in planned], pa.int64()),
        **of_plan("stage"),
        COLUMN: texts(map(in_column, others)),
        "number": pa.array([row.number for row in planned], pa.int64()),
        "status": texts(end[0].status if end else status for end, status in zip(ends, begun, strict=True)),
        "reason": of_end("reason", pa.string(), ""),
        "epochs": pa.array(
            [end[0].epochs if end else epoch or 0 for end, epoch in zip(ends, final_epoch, strict=True)], pa.int64()
        ),
        "last_epoch": final["epoch"],
        **{name: final[name] for name in FINAL_METRICS},
        **{name: final[name] for name in final.column_names if name.startswith(MEASURE)},
        **{
            f"teacher_{name}": pa.array([teachers.get(row.teacher_id, {}).get(name) for row in planned], pa.float64())
            for name in ("test_loss", "test_accuracy")  # missing where it was loaded from a file
        },
        "wall_seconds": of_end("wall_seconds", pa.float64()),
        "device": of_end("device", pa.string()),
        "node": of_end("node", pa.string()),
        "git_commit": texts(row.git_commit for row in ledger.launches).take(launch),
        "versions": texts(json.dumps(row.versions, sort_keys=True) for row in ledger.launches).take(launch),
        "planned_time": timestamps([row.time for row in planned]),
        "ended_time": timestamps([end[0].time if end else None for end in ends]),
    }
    if any(final[CORRECT].to_pylist()):  # ledgers of older versions have none
        columns[CORRECT] = final[CORRECT]
    # Levels and configurations are converted once for each arm: its replicates differ in the seed alone.
    firsts: dict[tuple[str, str, str], PlannedRow] = {}
    for row in planned:
        firsts.setdefault(_arm_of(row), row)
    position = {arm: index for index, arm in enumerate(firsts)}
    arm = pa.array([position[_arm_of(row)] for row in planned], pa.int64())
    configs = [flat(row.config) for row in firsts.values()]
    aliases = [alias["params"] for row in firsts.values() for alias in row.aliases]
    for factor in dict.fromkeys((*study.factors, *(name for row in firsts.values() for name in row.params))):
        levels = [_level(row, factor) for row in firsts.values()]
        # Levels of an arm's other names count for the type, so that they can be spelled like the others.
        levels += [params[factor] for params in aliases if factor in params]
        columns[f"param.{factor}"] = typed_column(levels).take(arm)
    for path in sorted({path for config in configs for path in config}):
        columns[f"config.{path}"] = typed_column([config.get(path) for config in configs]).take(arm)
    if "config.seed" in columns:
        columns["config.seed"] = typed_column([row.config.get("seed") for row in planned])
    if (path := "config.teacher.seed") in columns:  # it differs, too, where teachers are crossed with seeds
        columns[path] = typed_column([(row.config.get("teacher") or {}).get("seed") for row in planned])
    return pa.table(columns)


def _arm_of(row: PlannedRow) -> tuple[str, str, str]:
    """Return a key that trials share if they have the same levels and, but for the seed, the same configuration."""
    return row.arm_id, row.stage, row.arm


def _level(row: PlannedRow, factor: str) -> Any:
    """Return the level of a factor in a trial: the one that its arm sets or, in a design, that of its configuration.

    A searched trial lacks a factor whose condition does not hold; its configuration then holds a meaningless default,
    which is ignored. A choice that is null is a level all the same.
    """
    if row.stage == Stage.SEARCH and factor in row.params and row.params[factor] is None:
        return Null.YAML
    if factor in row.params or row.stage == Stage.SEARCH:
        return row.params.get(factor)
    level: Any = row.config
    for key in factor.split("."):
        level = level.get(key) if isinstance(level, dict) else None
    return level
