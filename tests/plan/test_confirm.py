"""The stage after a search: its best arms and the baseline on fresh seeds."""

import pytest

from cktf.plan.planner import NoTrial
from cktf.rows import Row, Stage, Status
from cktf.study.problems import StudyError
from tests.kinds import MakeSpec, RunToEnd
from tests.planning import by_learning_rate, ledger, next_row, planned


def test_confirm_runs_the_best_arms_and_the_baseline_on_fresh_seeds_after_the_search(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec = make_search(trials=5, seeds=2, confirm={"top": 2, "seeds": 3})
    planner = ledger(spec, rows)
    run_to_end(planner, by_learning_rate)
    searched = [row for row in planned(rows) if row.stage == Stage.SEARCH]
    confirmed = [row for row in planned(rows) if row.stage == Stage.CONFIRM]

    ranked = sorted({row.arm_id: by_learning_rate(row, 2) for row in searched}.items(), key=lambda pair: -pair[1])
    assert {row.arm_id for row in confirmed} == {spec.baseline_config.arm_id, ranked[0][0], ranked[1][0]}
    assert {row.seed for row in searched} == {0, 1}
    assert [row.seed for row in confirmed] == [2] * 3 + [3] * 3 + [4] * 3
    assert planned(rows)[-9:] == confirmed
    assert planner.total() == len(planned(rows)) == 19


def test_confirm_waits_for_the_last_trial_of_the_search(make_search: MakeSpec, rows: list[Row]) -> None:
    planner = ledger(make_search(trials=2, confirm={"top": 1, "seeds": 1}), rows)
    first, second = next_row(planner), next_row(planner)
    planner.on_end(first.trial_id, Status.COMPLETE)
    assert planner.next_trial() is NoTrial.WAIT
    planner.on_end(second.trial_id, Status.COMPLETE)
    assert next_row(planner).stage == Stage.CONFIRM


def test_more_trials_search_on_and_confirm_what_is_best_then(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    few = make_search(trials=3, confirm={"top": 1, "seeds": 2})
    run_to_end(ledger(few, rows), by_learning_rate)
    before = [row.trial_id for row in planned(rows)]
    more = make_search(trials=12, confirm={"top": 1, "seeds": 2})
    run_to_end(ledger(more, rows), by_learning_rate)
    searched = [row for row in planned(rows) if row.stage == Stage.SEARCH]
    best = max(searched, key=lambda row: by_learning_rate(row, 2))
    assert len(searched) == 12
    assert len({row.trial_id for row in planned(rows)}) == len(planned(rows)) > len(before)
    assert best.arm_id in {row.arm_id for row in planned(rows) if row.stage == Stage.CONFIRM}


def test_fresh_seeds_beyond_the_largest_are_refused(make_search: MakeSpec) -> None:
    with pytest.raises(StudyError, match="leave no room for the fresh seeds of 'confirm:'"):
        make_search(seeds=[2**31 - 1], confirm={"top": 1, "seeds": 2})
