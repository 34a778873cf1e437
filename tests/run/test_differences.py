"""Differences between the arms of runs."""

from pathlib import Path
from typing import Any

from cktf.rows import PlannedRow
from cktf.run.differences import differing
from tests.kinds import MakeSpec, RunToEnd
from tests.planning import fifty, planned
from tests.runs import go_on, rows_of


def test_the_seeds_of_crossed_teachers_are_no_difference_between_the_arms_of_a_search(
    tmp_path: Path, make_search: MakeSpec, run_to_end: RunToEnd
) -> None:
    taught: Any = {"teacher": {"model": "resnet5", "epochs": 1}, "objective": {"kd": {}}}
    go_on(make_search(baseline=taught, trials=2, teacher_seeds=[5, 7]), tmp_path / "run", run_to_end, fifty)
    arm = next(row.arm for row in planned(rows_of(tmp_path / "run", PlannedRow)) if row.arm != "baseline")
    _, found = differing(str(tmp_path / "run"), None, [arm])
    assert [path for path, *_ in found] == ["optimizer.learning_rate"]
