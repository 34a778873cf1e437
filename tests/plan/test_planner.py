"""The planner, with a ledger in memory and made-up results: what runs, in which order, after what."""

from collections import Counter
from typing import Any

from cktf.errors import UserError
from cktf.plan.planner import NoTrial
from cktf.rows import EndRow, EpochRow, Row, Stage, Status
from cktf.study.designs import plan_arms
from cktf.trainer.config import TrialConfig
from cktf.trial.teachers import teacher_trial
from tests.kinds import MakeResult, MakeSpec, RunToEnd
from tests.planning import ends, fifty, ledger, next_row, planned


def test_a_design_is_planned_whole_and_seed_by_seed(make_spec: MakeSpec, rows: list[Row]) -> None:
    spec = make_spec(seeds=3)
    ledger(spec, rows)
    baseline, other = (arm.name for arm in plan_arms(spec))
    assert [(row.seed, row.arm) for row in planned(rows)] == [
        (seed, arm) for seed in range(3) for arm in (baseline, other)
    ]
    assert planned(rows) == rows
    assert {row.stage for row in planned(rows)} == {Stage.DESIGN}
    assert [row.number for row in planned(rows)] == list(range(6))


def test_a_planned_row_holds_the_configuration_that_its_id_is_the_hash_of(make_spec: MakeSpec, rows: list[Row]) -> None:
    ledger(make_spec(), rows)
    assert rows
    for row in planned(rows):
        config = TrialConfig.model_validate(row.config)
        assert (config.trial_id, config.arm_id, config.seed) == (row.trial_id, row.arm_id, row.seed)


def test_every_trial_of_a_design_is_handed_out_once(make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd) -> None:
    planner = ledger(make_spec(), rows)
    order = run_to_end(planner, fifty)
    assert order == [row.trial_id for row in planned(rows)]
    assert planner.next_trial() is NoTrial.DONE
    assert Counter(row.status for row in ends(rows)) == {Status.COMPLETE: 4}


def test_the_last_trials_of_a_design_are_waited_for(make_spec: MakeSpec, rows: list[Row]) -> None:
    planner = ledger(make_spec(seeds=1), rows)
    running = [next_row(planner), next_row(planner)]
    assert planner.next_trial() is NoTrial.WAIT
    for row in running:
        planner.on_end(row.trial_id, Status.COMPLETE)
    assert planner.next_trial() is NoTrial.DONE


def test_an_end_says_how_many_epochs_and_seconds_it_took(
    make_spec: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    planner = ledger(make_spec(), rows)
    trial_id = next_row(planner).trial_id
    for epoch in (1, 2):
        planner.on_epoch(trial_id, make_result(epoch, 50.0))
    planner.on_end(trial_id, Status.COMPLETE, device="cpu", node="here")
    assert rows[-1] == EndRow(
        trial_id=trial_id, status="complete", epochs=2, wall_seconds=4.0, device="cpu", node="here"
    )


def test_an_epoch_that_is_told_again_is_not_written_again(
    make_spec: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    planner = ledger(make_spec(), rows)
    trial_id = next_row(planner).trial_id
    planner.on_epoch(trial_id, make_result(1, 50.0))
    restarted = ledger(make_spec(), rows)
    restarted.on_epoch(trial_id, make_result(1, 50.0))
    restarted.on_epoch(trial_id, make_result(2, 60.0))
    assert [row.epoch for row in rows if isinstance(row, EpochRow)] == [1, 2]


def test_a_trial_ends_once_whatever_is_said_of_it_later(make_spec: MakeSpec, rows: list[Row]) -> None:
    planner = ledger(make_spec(), rows)
    trial_id = next_row(planner).trial_id
    planner.on_end(trial_id, Status.COMPLETE)
    planner.on_end(trial_id, Status.FAILED, "late news")
    assert [row.status for row in ends(rows)] == [Status.COMPLETE]


def test_trials_without_an_end_are_the_first_after_a_restart(make_spec: MakeSpec, rows: list[Row]) -> None:
    planner = ledger(make_spec(), rows)
    first, second, third, fourth = (next_row(planner).trial_id for _ in range(4))
    planner.on_end(second, Status.COMPLETE)
    before = len(rows)
    restarted = ledger(make_spec(), rows)
    assert [next_row(restarted).trial_id for _ in range(3)] == [first, third, fourth]
    assert len(rows) == before


def test_patience_with_a_running_trial_is_ten_slowest_epochs_and_more_as_long_as_none_is_known(
    make_spec: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    planner = ledger(make_spec(stall_seconds=30), rows)
    first, second = (next_row(planner).trial_id for _ in range(2))
    assert planner.patience(first) == 300
    planner.on_epoch(first, make_result(1, 50.0, epoch_seconds=2.0))
    assert planner.patience(first) == planner.patience(second) == 30
    planner.on_epoch(second, make_result(1, 50.0, epoch_seconds=9.0))
    planner.on_epoch(second, make_result(2, 50.0, epoch_seconds=1.0))
    assert planner.patience(first) == planner.patience(second) == 90


def test_a_failed_trial_stays_failed_unless_it_is_to_be_tried_again(
    make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    planner = ledger(make_spec(seeds=1), rows)
    failing = next_row(planner).trial_id
    planner.on_end(failing, Status.FAILED, "no memory")
    run_to_end(planner, fifty)

    assert run_to_end(ledger(make_spec(seeds=1), rows), fifty) == []
    again = ledger(make_spec(seeds=1), rows, retry_failed=True)
    assert again.state.trials[failing].status is Status.PLANNED
    assert run_to_end(again, fifty) == [failing]
    assert run_to_end(ledger(make_spec(seeds=1), rows, retry_failed=True), fifty) == []
    assert ledger(make_spec(seeds=1), rows).state.counts() == {Status.COMPLETE: 2}


def test_a_retry_that_was_killed_is_taken_up_without_being_asked_for_again(
    make_spec: MakeSpec, rows: list[Row]
) -> None:
    planner = ledger(make_spec(seeds=1), rows)
    failing = next_row(planner).trial_id
    planner.on_end(failing, Status.FAILED, "no memory")
    ledger(make_spec(seeds=1), rows, retry_failed=True)
    assert next_row(ledger(make_spec(seeds=1), rows)).trial_id == failing


def test_more_seeds_add_trials_and_repeat_none(make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd) -> None:
    done = run_to_end(ledger(make_spec(seeds=2), rows), fifty)
    new = run_to_end(ledger(make_spec(seeds=3), rows), fifty)
    assert len(new) == 2
    assert not set(new) & set(done)
    assert {row.seed for row in planned(rows) if row.trial_id in new} == {2}


CONTEXTS = {"small": {"student": {"model": "resnet5"}}, "large": {"student": {"model": "resnet8"}}}


def test_contexts_are_planned_one_after_the_other_within_a_seed(
    make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec = make_spec(contexts=CONTEXTS, ablate={"optimizer.momentum": [0.0]}, seeds=2)
    order = run_to_end(ledger(spec, rows), fifty)
    assert [(row.seed, row.context, row.arm) for row in planned(rows)] == [
        (seed, context, arm)
        for seed in range(2)
        for context in ("small", "large")
        for arm in ("baseline", "momentum=0")
    ]
    assert order == [row.trial_id for row in planned(rows)]
    assert run_to_end(ledger(spec, rows), fifty) == []
    models = {row.context: row.config["student"]["model"] for row in planned(rows)}
    assert models == {"small": "resnet5", "large": "resnet8"}


def test_a_planned_row_names_the_teacher_that_the_run_will_keep(make_spec: MakeSpec, rows: list[Row]) -> None:
    teacher = {"model": "resnet8", "epochs": 1}
    design = {"ablate": {"teacher.model": ["resnet5"], "teacher": [None]}, "health": {"every": 1}}
    ledger(make_spec({"teacher": teacher}, **design), rows)
    for row in planned(rows):
        config = TrialConfig.model_validate(row.config)
        expected = teacher_trial(config.teacher, config.data).trial_id if config.teacher else ""
        assert row.teacher_id == expected
    assert len({row.teacher_id for row in planned(rows)}) == 3


def test_the_teacher_of_a_transfer_is_that_of_its_source(make_spec: MakeSpec, rows: list[Row]) -> None:
    transfer = {
        "task": "transfer",
        "source": {"name": "digits"},
        "probe": {"epochs": 3},
        "teacher": {"model": "resnet5"},
    }
    objective = {"cross_entropy": None, "kd": {"weight": 1.0}}
    spec = make_spec(
        {**transfer, "objective": objective, "data": {"name": "fashion_mnist", "side": 8}},
        ablate={"probe.mode": ["full"], "source.side": [9]},
        seeds=1,
    )
    ledger(spec, rows)
    configs = [TrialConfig.model_validate(row.config) for row in planned(rows)]
    assert [row.epochs for row in planned(rows)] == [5, 5, 5]
    assert [row.teacher_id for row in planned(rows)] == [
        teacher_trial(config.teacher, config.source).trial_id for config in configs if config.teacher and config.source
    ]
    assert len({row.teacher_id for row in planned(rows)}) == 2


ALIKE: dict[str, Any] = {
    "baseline": {
        "teacher": {"model": "resnet8", "epochs": 1},
        "objective": {"cross_entropy": {"weight": 1.0}, "kd": {"weight": 1.0, "temperature": 4.0}},
    },
    "grid": {"objective.kd.weight": [0.0, 1.0], "objective.kd.temperature": [1.0, 4.0]},
}


def test_arms_that_train_alike_are_planned_once_and_the_row_names_the_others(
    make_spec: MakeSpec, rows: list[Row]
) -> None:
    ledger(make_spec(**ALIKE, seeds=2), rows)
    assert [row.arm for row in planned(rows)[:3]] == [
        "baseline",
        "kd.weight=0, temperature=1",
        "kd.weight=1, temperature=1",
    ]
    assert len(planned(rows)) == 6
    other = {"objective.kd.weight": 0.0, "objective.kd.temperature": 4.0}
    assert [row.aliases for row in planned(rows)[:3]] == [
        [],
        [{"arm": "kd.weight=0, temperature=4", "params": other}],
        [],
    ]


def test_a_run_goes_on_as_it_was_planned_whether_its_arms_that_train_alike_were_merged_or_not(
    make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    run_to_end(ledger(make_spec(**ALIKE, seeds=1), rows), fifty)
    run_to_end(ledger(make_spec(**ALIKE, seeds=2), rows), fifty)
    assert Counter(row.arm for row in planned(rows)) == dict.fromkeys([row.arm for row in planned(rows)[:3]], 2)
    # With the distillation's health a teacher that nobody reads is measured all the same, so each has its own.
    spec = make_spec(
        baseline={"teacher": {"model": "resnet8", "epochs": 1}},
        ablate={"teacher.model": ["resnet14"], "epochs": [1]},
        health={"every": 1},
        seeds=1,
    )
    rows.clear()
    run_to_end(ledger(spec, rows), fifty)
    assert len(planned(rows)) == 3
    run_to_end(ledger(spec.model_copy(update={"health": None, "seeds": (0, 1)}), rows), fifty)
    assert Counter(row.arm for row in planned(rows)) == {"baseline": 2, "teacher.model=resnet14": 2, "epochs=1": 2}


def test_confirmed_arms_that_train_alike_are_trained_once(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    objective = {"cross_entropy": {"weight": 1.0}, "kd": {"weight": 0.0, "temperature": 4.0}}
    spec = make_search(
        baseline={**ALIKE["baseline"], "objective": objective},
        search={"objective.kd.temperature": {"choice": [1.0, 2.0, 4.0]}},
        trials=3,
        confirm={"top": 3, "seeds": 2},
    )
    run_to_end(ledger(spec, rows), fifty)
    confirmed = [row for row in planned(rows) if row.stage == Stage.CONFIRM]
    assert [row.arm for row in confirmed] == ["baseline", "baseline"]
    for row in confirmed:
        assert sorted(alias["arm"] for alias in row.aliases) == ["temperature=1", "temperature=2"]


def test_the_same_error_in_a_row_stops_the_study_and_results_between_do_not_count(
    make_spec: MakeSpec, rows: list[Row]
) -> None:
    planner = ledger(make_spec(seeds=6, max_failures_in_a_row=3), rows)
    for number, outcome in enumerate(("boom", "boom", "", "boom", "boom", "bang", "boom", "boom", "boom")):
        assert planner.failure is None, number
        trial_id = next_row(planner).trial_id
        if outcome:
            planner.on_error(trial_id, f"{trial_id}: {outcome}")
        else:
            planner.on_end(trial_id, Status.FAILED, "the loss is nan in epoch 1")
    assert isinstance(planner.failure, UserError)
    assert str(planner.failure).startswith(
        f"tiny: stopped, because 3 trials in a row ended with: {trial_id}: boom; 'ck"
    )
    assert sum(isinstance(row, EndRow) for row in rows) == 9


def test_trouble_of_the_storage_is_no_end_and_the_trial_is_tried_again_after_the_others(
    make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    planner = ledger(make_spec(seeds=2), rows)
    first = next_row(planner).trial_id
    planner.on_storage_trouble(first, "no room")
    assert not any(isinstance(row, EndRow) for row in rows)
    order = run_to_end(planner, lambda *_: 50.0)
    assert order[-1] == first
    assert len(order) == 4
    again = ledger(make_spec(seeds=1, max_failures_in_a_row=2), [])
    for _ in range(2):
        again.on_storage_trouble(next_row(again).trial_id, "no room")
    assert "2 trials in a row ended with: no room; 'cktf resume RUN' goes on" in str(again.failure)
