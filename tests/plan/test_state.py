"""A run's state: which arms count as best, and rows that cannot be."""

import math
from collections import Counter
from dataclasses import replace

from cktf.plan.planner import Planner
from cktf.plan.state import RunState
from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Stage, Status
from tests.kinds import MakeResult, MakeSpec, RunToEnd
from tests.planning import ledger, next_row
from tests.test_rows import STUDY


def test_only_arms_of_which_every_seed_is_complete_and_finite_are_ranked(
    make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd, make_result: MakeResult
) -> None:
    scores = {"baseline": 70.0, "momentum=0": 90.0, "momentum=0.5": math.nan, "momentum=0.7": 60.0}
    spec = make_spec(ablate={"optimizer.momentum": [0.0, 0.5, 0.7]}, seeds=2)
    planner = Planner(spec, rows.append)
    run_to_end(planner, lambda row, _: scores[row.arm], at_once=1, most=4)
    assert planner.state.best_arms(maximise=True) == {}
    while isinstance(row := planner.next_trial(), PlannedRow):
        planner.on_epoch(row.trial_id, make_result(2, scores[row.arm]))
        planner.on_end(row.trial_id, Status.FAILED if row.arm == "momentum=0" else Status.COMPLETE)
    ranking = planner.state.ranking(Stage.DESIGN, maximise=True)
    assert [arm.arm for arm in ranking] == ["baseline", "momentum=0.7"]
    assert planner.state.best_arms(maximise=True) == {"": ranking[0]}


def test_each_context_has_its_best_arm(make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd) -> None:
    scores = {"one": {"baseline": 70.0, "momentum=0": 90.0}, "two": {"baseline": 50.0, "momentum=0": 40.0}}
    contexts = {"one": {}, "two": {"student": {"model": "resnet8"}}, "three": {"batch_size": 16}}
    spec = make_spec(contexts=contexts, ablate={"optimizer.momentum": [0.0]}, seeds=1)
    planner = Planner(spec, rows.append)
    run_to_end(planner, lambda row, _: scores[row.context][row.arm], most=4, at_once=1)
    best = planner.state.best_arms(maximise=True)
    assert [(context, arm.arm, arm.score) for context, arm in best.items()] == [
        ("one", "momentum=0", 90.0),
        ("two", "baseline", 50.0),
    ]


def test_what_is_kept_up_row_by_row_is_what_counting_all_trials_gives(
    make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd, make_result: MakeResult
) -> None:
    spec = make_spec(ablate={"optimizer.momentum": [0.0, 0.5, 0.7]}, seeds=2)
    planner = Planner(spec, rows.append)
    run_to_end(planner, lambda row, epoch: 10 * row.number + epoch, at_once=1, most=5)
    failed = next_row(planner)
    planner.on_end(failed.trial_id, Status.FAILED, "out of memory")
    pruned, running = next_row(planner), next_row(planner)
    planner.on_epoch(pruned.trial_id, make_result(1, 1.0))
    planner.on_end(pruned.trial_id, Status.PRUNED)
    planner.on_epoch(running.trial_id, make_result(1, 1.0))
    Planner(spec, rows.append, list(rows), retry_failed=True)

    seen = set()
    for length in range(1, len(rows) + 1):
        state = RunState("validation_accuracy", rows[:length])
        trials = list(state.trials.values())
        assert state.counts() == Counter(trial.status for trial in trials)
        assert state.num_ended == sum(trial.end is not None for trial in trials)
        assert (state.num_planned(Stage.DESIGN), state.num_planned(Stage.CONFIRM)) == (len(trials), 0)
        scores = {}
        for arm in dict.fromkeys(trial.planned.arm for trial in trials):
            of_arm = [trial.scores for trial in trials if trial.planned.arm == arm]
            if all(of_arm):
                scores[arm] = sum(value for (value,) in of_arm if value is not None) / len(of_arm)
        assert {arm.arm: arm.score for arm in state.ranking(Stage.DESIGN, maximise=True)} == scores
        seen |= {*state.counts()} | {bool(scores)}
    assert seen == {*Status, True, False}


def test_a_trial_is_silent_by_the_study_s_patience_and_its_silence_begins_anew_with_a_launch(
    make_spec: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    planner = ledger(make_spec({"epochs": 9}, seeds=1), rows)
    trial_id = next_row(planner).trial_id
    rows.append(EpochRow(trial_id=trial_id, time=1000.0, **vars(make_result(1, 50.0, epoch_seconds=7.0))))
    state = RunState("validation_accuracy", rows)
    trial = state.trial(trial_id)
    assert not state.is_silent(trial, 1061.0, least=61.0)
    assert state.is_silent(trial, 1071.0, least=60.0), "ten times its slowest epoch"
    assert not state.is_silent(trial, 1069.0, least=60.0)

    state.apply(replace(STUDY, time=37000.0))
    assert state.silence(trial, 37100.0) == 100.0
    assert not state.is_silent(trial, 37600.0, least=60.0), "a first epoch since the launch may take ten times as long"
    assert state.is_silent(trial, 37601.0, least=60.0)
    state.apply(EpochRow(trial_id=trial_id, time=37300.0, **vars(make_result(2, 50.0))))
    assert state.is_silent(trial, 37371.0, least=60.0)
    state.apply(EndRow(trial_id=trial_id, status=Status.COMPLETE))
    assert not state.is_silent(trial, 37371.0, least=60.0)
