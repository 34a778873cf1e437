"""The trials of a run in the form that trackers take: settings, and curves by name."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.results import Results
from analysis.statistics.over_teachers import TEACHER_SEED
from cktf.names import arm_label

Point = tuple[int, float, float]
"""Epoch, value, and when it was measured, in seconds since 1970."""

ABOUT = ("status", "reason", "stage", "device", "node", "git_commit")
"""Columns of trials that trackers get as text."""


@dataclass(frozen=True)
class Tracked:
    """A trial in the form that trackers take.

    Attributes:
        trial_id: Its id, by which it is found again in a tracker.
        name: Arm and seed.
        status: See `cktf.rows.Status`.
        settings: Arm, context, seed, and the factors that it sets.
        about: Status, reason, device and the like: text; a trial that has not ended has no device and node.
        curves: Metric (``validation_loss``, ``term.kd``) to its points, by epoch.
        began: Seconds since 1970.
        ended: Likewise; None while it waits or runs.
    """

    trial_id: str
    name: str
    status: str
    settings: dict[str, Any]
    about: dict[str, str]
    curves: dict[str, list[Point]]
    began: float
    ended: float | None

    @property
    def size(self) -> str:
        """Status, number of points and beginning, as text: it changes whenever there is something to export."""
        return f"{self.status} {sum(map(len, self.curves.values()))} {self.began}"


def tracked(results: Results) -> Iterator[Tracked]:
    """Yield the trials of a run that have begun or ended, in the order of planning."""
    epochs = dict([*results.epochs.groupby("trial_id", sort=False)])
    numeric = [name for name in results.epochs.select_dtypes("number").columns if name not in ("seed", "epoch")]
    rows: list[dict[str, Any]] = results.trials.to_dict("records")  # type: ignore[assignment]
    for row in rows:
        own = epochs.get(row["trial_id"], results.epochs.iloc[:0])
        ended = _seconds(row["ended_time"])
        if own.empty and ended is None:
            continue
        steps, times = own["epoch"].tolist(), [_seconds(time) or 0.0 for time in own["time"]]
        values = {name: zip(steps, own[name].tolist(), times, strict=True) for name in numeric}
        curves = {
            name: [(step, float(value), time) for step, value, time in points if not _is_missing(value)]
            for name, points in values.items()
        }
        factors = {name.removeprefix("param."): row[name] for name in row if name.startswith("param.")}
        settings = {"arm": row["arm"], "context": row["context"] or None, "seed": row["seed"], **factors}
        first = times[0] - float(own["epoch_seconds"].iloc[0]) if times else ended or 0.0
        yield Tracked(
            trial_id=row["trial_id"].rpartition("/")[2],  # without the name of its run, where several are read together
            name=f"{arm_label(row['arm'], row['context'])}, seed {row['seed']}{_of_teacher(row)}",
            status=row["status"],
            settings={name: value for name, value in settings.items() if not _is_missing(value)},
            about={name: str(row[name]) for name in ABOUT if not _is_missing(row[name])},
            curves={name: points for name, points in curves.items() if points},
            began=first,
            ended=ended,
        )


def _of_teacher(row: dict[str, Any]) -> str:
    """Return the seed of a trial's teacher in words; empty where it is 0, as in `cktf.rows.PlannedRow.replicate`."""
    seed = row.get(TEACHER_SEED)
    return "" if _is_missing(seed) or not seed else f" at teacher seed {seed:.0f}"


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))


def _seconds(time: Any) -> float | None:
    return None if pd.isna(time) else float(time.timestamp())
