"""A planner with a ledger in memory, and made-up results, for the tests of what it plans."""

import math
from typing import Any

import optuna

from cktf.plan.planner import NoTrial, Planner
from cktf.rows import EndRow, PlannedRow, Row, Stage
from cktf.study.spec import StudySpec


def ledger(spec: StudySpec, rows: list[Row], **keys: Any) -> Planner:
    """A planner that reads the rows and adds to them."""
    return Planner(spec, rows.append, list(rows), clock=lambda: 0.0, **keys)


def next_row(planner: Planner) -> PlannedRow:
    """The next trial of a planner that has one."""
    row = planner.next_trial()
    assert not isinstance(row, NoTrial)
    return row


def study_of(planner: Planner) -> optuna.Study:
    """The study of Optuna behind a planner that searches."""
    assert planner._search
    return planner._search._suggestions._study


def planned(rows: list[Row]) -> list[Any]:
    """The planned students."""
    return [row for row in rows if isinstance(row, PlannedRow) and row.stage != Stage.TEACHER]


def ends(rows: list[Row]) -> list[Any]:
    return [row for row in rows if isinstance(row, EndRow)]


def fifty(*_: object) -> float:
    return 50.0


def by_arm(row: PlannedRow, _: object) -> Any:
    return 90.0 if row.arm == "baseline" else 80.0


def by_learning_rate(row: PlannedRow, epoch: int) -> Any:
    """Best at 0.05, better with each epoch."""
    return 90 - 10 * abs(math.log10(row.params.get("optimizer.learning_rate", 0.05) / 0.05)) + epoch
