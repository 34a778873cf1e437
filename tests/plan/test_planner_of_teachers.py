"""The planner's trials of teachers, with a ledger in memory and made-up results."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from cktf.errors import UserError
from cktf.plan.planner import NoTrial, Planner
from cktf.plan.state import RunState
from cktf.rows import TRAINED_HERE, EndRow, EpochRow, PlannedRow, Row, Stage, Status, TeacherRow
from cktf.study.designs import plan_arms
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig
from cktf.trial.teachers import teacher_trial
from tests.kinds import MakeResult, MakeSpec, RunToEnd
from tests.planning import by_learning_rate, fifty, ledger, next_row, planned

TAUGHT = {"teacher": {"model": "resnet8", "epochs": 2}, "objective": {"cross_entropy": {}, "kd": {}}}
ROW = TeacherRow(
    teacher_id="", model="resnet8", data="digits", origin=TRAINED_HERE, validation_accuracy=90.0, validation_loss=0.1
)


def teachers(rows: list[Row]) -> list[Any]:
    return [row for row in rows if isinstance(row, PlannedRow) and row.stage == Stage.TEACHER]


@pytest.fixture
def two_teachers(make_spec: MakeSpec) -> StudySpec:
    """Three arms, of which the last reads no teacher."""
    return make_spec(TAUGHT, ablate={"teacher.model": ["resnet5"], "objective.kd.weight": [0.0]}, seeds=2)


def test_a_teacher_is_a_trial_that_is_planned_before_its_students_and_is_no_arm(
    two_teachers: StudySpec, rows: list[Row]
) -> None:
    planner = ledger(two_teachers, rows)
    first, second = teachers(rows)
    assert rows[:2] == [first, second]
    assert [first.arm, second.arm] == ["resnet8 on digits", "resnet5 on digits"]
    baseline, other, off = planned(rows)[:3]
    assert [first.trial_id, second.trial_id, first.trial_id] == [row.teacher_id for row in (baseline, other, off)]
    config = TrialConfig.model_validate(baseline.config)
    assert config.teacher
    assert TrialConfig.model_validate(first.config) == teacher_trial(config.teacher, config.data)
    assert (first.seed, first.epochs, [row.number for row in planned(rows)]) == (0, 2, list(range(6)))
    assert planner.total() == 6
    assert planner.state.counts() == {Status.PLANNED: 6}
    assert set(planner.state.teacher_trials) == {first.trial_id, second.trial_id}


def test_teachers_are_handed_out_first_and_students_when_theirs_is_complete(
    two_teachers: StudySpec, rows: list[Row], make_result: MakeResult
) -> None:
    planner = ledger(two_teachers, rows, find_teacher=lambda identity: replace(ROW, teacher_id=identity))
    first, second = next_row(planner), next_row(planner)
    assert [first, second] == teachers(rows)
    baseline, other, off = planned(rows)[:3]
    assert planner.next_trial() == off, "it reads no teacher"
    planner.on_epoch(second.trial_id, make_result(1, 50.0))
    planner.on_end(second.trial_id, Status.COMPLETE)
    epoch, taught, end = rows[-3:]
    assert isinstance(epoch, EpochRow)
    assert isinstance(taught, TeacherRow)
    assert isinstance(end, EndRow)
    assert (epoch.terms, taught.teacher_seed, taught.wall_seconds) == ({}, 0, 2.0)
    assert planner.next_trial() == other
    assert planner.state.best_arms(maximise=True) == {}
    planner.on_end(first.trial_id, Status.COMPLETE)
    assert planner.next_trial() == baseline
    assert not planner.state.is_untouched


@pytest.mark.parametrize("measured", [{"health": {"every": 1}}, {"measures": ["agreement"]}])
def test_a_student_that_is_only_measured_against_its_teacher_waits_for_it_and_has_each_of_several(
    measured: dict[str, Any], make_spec: MakeSpec, rows: list[Row]
) -> None:
    spec = make_spec(TAUGHT, ablate={"objective.kd.weight": [0.0]}, seeds=1, teacher_seeds=[5, 7], **measured)
    planner = ledger(spec, rows)
    assert [next_row(planner), next_row(planner)] == teachers(rows)
    assert planner.next_trial() is NoTrial.WAIT
    assert [(row.arm, row.config["teacher"]["seed"]) for row in planned(rows)] == [
        *(("baseline", 5), ("baseline", 7)),
        *(("kd.weight=0", 5), ("kd.weight=0", 7)),
    ]


def test_where_nothing_else_can_run_a_slot_is_told_to_wait(make_spec: MakeSpec, rows: list[Row]) -> None:
    planner = ledger(make_spec(TAUGHT), rows)
    (teacher,) = teachers(rows)
    assert planner.next_trial() == teacher
    assert planner.next_trial() is NoTrial.WAIT
    assert planner.state.is_untouched
    planner.on_storage_trouble(teacher.trial_id, "no bucket")
    assert planner.next_trial() == teacher
    planner.on_end(teacher.trial_id, Status.COMPLETE)
    assert [next_row(planner) for _ in range(4)] == planned(rows)


def test_the_students_of_a_teacher_that_fails_fail_for_its_reason_and_are_tried_again_with_it(
    two_teachers: StudySpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    planner = ledger(two_teachers, rows)
    failing = next_row(planner)
    planner.on_end(failing.trial_id, Status.FAILED, "the loss is nan in epoch 1")
    run_to_end(planner, fifty)
    assert planner.state.counts() == {Status.FAILED: 2, Status.COMPLETE: 4}
    reason = "its teacher resnet8 on digits, seed 0, failed: the loss is nan in epoch 1"
    assert {trial.end.reason for trial in planner.state.failures() if trial.end} == {reason}
    assert ledger(two_teachers, rows).is_done
    more = two_teachers.model_copy(update={"seeds": (0, 1, 2)})
    extended = ledger(more, rows)
    run_to_end(extended, fifty)
    assert extended.state.counts() == {Status.FAILED: 3, Status.COMPLETE: 6}
    again = ledger(more, rows, retry_failed=True)
    assert again.next_trial() == failing
    assert again.next_trial() is NoTrial.WAIT
    again.on_end(failing.trial_id, Status.COMPLETE)
    run_to_end(again, fifty)
    assert again.state.counts() == {Status.COMPLETE: 9}


def test_a_killed_driver_s_teacher_goes_on_first(two_teachers: StudySpec, rows: list[Row]) -> None:
    planner = ledger(two_teachers, rows)
    first, second = next_row(planner), next_row(planner)
    planner.on_end(second.trial_id, Status.COMPLETE)
    before = len(rows)
    assert ledger(two_teachers, rows).next_trial() == first
    assert len(rows) == before


def test_the_teachers_of_an_older_ledger_are_planned_for_its_unfinished_students_alone(
    two_teachers: StudySpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    run_to_end(ledger(two_teachers, rows), fifty)
    old = [row for row in rows if getattr(row, "trial_id", "") not in {row.trial_id for row in teachers(rows)}]
    assert len(planned(old)) == 6
    done = list(old)
    assert ledger(two_teachers, done).is_done
    assert done == old
    unfinished = [row for row in old if not (isinstance(row, EndRow) and row.trial_id == planned(old)[1].trial_id)]
    planner = ledger(two_teachers, unfinished)
    assert [row.trial_id for row in teachers(unfinished)] == [planned(old)[1].teacher_id]
    assert run_to_end(planner, fifty) == [planned(old)[1].trial_id]
    assert RunState(two_teachers.columns[0], unfinished).counts() == {Status.COMPLETE: 6}


def test_a_search_plans_the_teacher_of_an_arm_before_its_trials_and_counts_arms_alone(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec = make_search(
        baseline=TAUGHT,
        search={"teacher.model": {"choice": ["resnet5", "resnet8"]}, "optimizer.learning_rate": {"float": [0.01, 0.1]}},
        sampler="random",
        trials=4,
        prune="median",
        confirm={"top": 1, "seeds": 1},
    )
    planner = ledger(spec, rows)
    assert planner.next_trial() == teachers(rows)[0]
    planner.on_storage_trouble(teachers(rows)[0].trial_id, "no bucket")
    assert planner.total() == 4 + 2
    run_to_end(planner, by_learning_rate)
    assert planner.total() == planner.state.num_ended == 6
    assert {row.trial_id for row in teachers(rows)} == {row.teacher_id for row in planned(rows)}
    for row in planned(rows):
        (own,) = [teacher for teacher in teachers(rows) if teacher.trial_id == row.teacher_id]
        ended = next(i for i, r in enumerate(rows) if isinstance(r, EndRow) and r.trial_id == own.trial_id)
        begun = next(i for i, r in enumerate(rows) if isinstance(r, EpochRow) and r.trial_id == row.trial_id)
        assert rows.index(own) < rows.index(row)
        assert ended < begun
    assert isinstance(Planner(spec, rows.append, list(rows)).next_trial(), NoTrial)


def test_a_search_whose_teacher_has_failed_stops_before_it_has_used_up_its_arms(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec = make_search(baseline=TAUGHT, trials=30, max_failures_in_a_row=2)
    planner = ledger(spec, rows)
    planner.on_error(next_row(planner).trial_id, "its worker died")
    with pytest.raises(UserError, match="stopped, because 2 trials in a row ended with: its teacher resnet8 on digits"):
        planner.plan()
    assert len(planned(rows)) == 1 + 2, "one waited for the teacher"
    mended = Planner(spec, rows.append, list(rows), retry_failed=True)
    run_to_end(mended, by_learning_rate)
    assert mended.state.counts() == {Status.COMPLETE: 30}


def test_a_search_that_varies_the_teacher_goes_on_where_one_has_failed(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    search = {"teacher.epochs": {"choice": [1, 2]}, "optimizer.learning_rate": {"float": [0.01, 0.1]}}
    enqueue = [{"teacher.epochs": 1, "optimizer.learning_rate": 0.01 + 0.01 * number} for number in range(4)]
    spec = make_search(baseline=TAUGHT, search=search, enqueue=enqueue, trials=8, max_failures_in_a_row=2)
    planner = ledger(spec, rows)
    planner.on_end(next_row(planner).trial_id, Status.FAILED, "the loss is not finite")
    planner.plan()
    run_to_end(planner, fifty)
    assert len([row for row in planned(rows) if row.stage == Stage.SEARCH]) == 8
    assert planner.state.counts()[Status.FAILED] >= 4


def test_the_total_of_a_search_with_crossed_teachers_counts_an_arm_that_reads_none_once_a_seed(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec = make_search(
        baseline=TAUGHT,
        search={"objective.kd.weight": {"choice": [0, 1]}},
        sampler="bruteforce",
        trials=2,
        seeds=2,
        teacher_seeds=3,
        confirm={"top": 1, "seeds": 1},
    )
    planner = ledger(spec, rows)
    run_to_end(planner, fifty)
    assert len([row for row in planned(rows) if row.stage == Stage.SEARCH]) == 2 * (1 + 3)
    assert planner.total() == planner.state.num_ended


def test_teachers_are_crossed_with_seeds_and_an_arm_is_one_arm_with_all_of_them(
    make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec = make_spec(TAUGHT, ablate={"objective.kd.weight": [0.0, 2.0]}, seeds=2, teacher_seeds=[5, 7])
    planner = ledger(spec, rows)
    assert [row.seed for row in teachers(rows)] == [5, 7]
    found = [(row.seed, row.arm, row.config["teacher"]["seed"]) for row in planned(rows)]
    of_seed = [("baseline", 5), ("baseline", 7), ("kd.weight=0", 0), ("kd.weight=2", 5), ("kd.weight=2", 7)]
    assert found == [(seed, *each) for seed in (0, 1) for each in of_seed]
    arms = {arm.name: arm.arm_id for arm in plan_arms(spec)}
    assert {row.arm: row.arm_id for row in planned(rows)} == arms
    assert len({row.trial_id for row in planned(rows)}) == planner.total() == 10
    assert {row.teacher_id for row in planned(rows) if row.arm == "baseline"} == {
        row.trial_id for row in teachers(rows)
    }
    run_to_end(planner, lambda row, _: 90.0 + row.config["teacher"]["seed"] if row.arm == "baseline" else 50.0)
    assert [best.score for best in planner.state.best_arms(maximise=True).values()] == [96.0]
    before = list(rows)
    assert ledger(spec, rows).is_done
    assert rows == before


def test_a_search_tells_optuna_the_mean_over_seeds_and_teachers_also_after_a_restart(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    search = {"optimizer.learning_rate": {"float": [0.01, 0.1]}}
    spec = make_search(baseline=TAUGHT, search=search, trials=3, seeds=2, teacher_seeds=[5, 7])
    planner = ledger(spec, rows)
    assert planner.total() == 12
    run_to_end(planner, by_learning_rate, most=6, at_once=1)
    restarted = ledger(spec, rows)
    run_to_end(restarted, by_learning_rate)
    assert restarted.state.counts() == {Status.COMPLETE: 12}
    assert Counter(row.arm for row in planned(rows)).most_common(1)[0][1] == 4
    ranking = restarted.state.ranking(Stage.SEARCH, maximise=True)
    assert len(ranking) == 3
    assert restarted._search is not None
    told = {trial.value for trial in restarted._search._suggestions._study.trials}
    assert told == {arm.score for arm in ranking}


SEVERAL = {
    **TAUGHT,
    **{"teacher": None, "teachers": {"a": {"model": "resnet8", "epochs": 2}, "b": {"model": "resnet5", "epochs": 1}}},
}


def test_all_teachers_of_a_mean_come_first_and_one_that_fails_fails_its_students(
    make_spec: MakeSpec, rows: list[Row]
) -> None:
    spec = make_spec(SEVERAL, ablate={"teachers.a.epoch": [1], "objective.kd.weight": [0.0]}, seeds=2)
    planner = ledger(spec, rows)
    first, second, third = teachers(rows)
    assert [row.arm for row in (first, second, third)] == [
        "resnet8 on digits",
        "resnet5 on digits",
        "resnet8 on digits",
    ]
    baseline, other, off = planned(rows)[:3]
    assert baseline.teacher_id == off.teacher_id == f"{first.trial_id},{second.trial_id}"
    assert other.teacher_id == f"{third.trial_id},{second.trial_id}"
    assert [next_row(planner) for _ in range(4)] == [first, second, third, off]
    planner.on_end(first.trial_id, Status.COMPLETE)
    planner.on_error(third.trial_id, "no longer finite")
    failed = [row for row in rows if isinstance(row, EndRow) and row.status == Status.FAILED]
    assert {row.trial_id for row in failed} == {third.trial_id, other.trial_id, planned(rows)[4].trial_id}
    planner.on_end(second.trial_id, Status.COMPLETE)
    assert planner.next_trial() == baseline
    again = ledger(spec, rows, retry_failed=True)
    assert again.next_trial() == third


def test_each_trial_waits_for_the_teacher_that_is_drawn_for_it(make_spec: MakeSpec, rows: list[Row]) -> None:
    planner = ledger(make_spec(SEVERAL | {"teachers_as": "drawn"}, seeds=6), rows)
    by_id = {row.trial_id: row for row in teachers(rows)}
    found = [by_id[row.teacher_id].arm for row in planned(rows)]
    assert found[::2] == found[1::2], "both arms have the same one at each seed"
    assert {*found} == {"resnet8 on digits", "resnet5 on digits"}
    first, second = next_row(planner), next_row(planner)
    assert [first, second] == teachers(rows)
    planner.on_end(second.trial_id, Status.COMPLETE)
    assert planner.next_trial() == next(row for row in planned(rows) if row.teacher_id == second.trial_id)
