"""The planner of searches: which arms end early, and that they end so after a restart, too."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from cktf.plan.planner import Planner
from cktf.plan.suggestions import PRUNERS
from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Status
from tests.kinds import MakeResult, MakeSpec, RunToEnd
from tests.planning import by_learning_rate, ends, ledger, next_row, study_of

PRUNED = {
    "search": {"optimizer.learning_rate": {"float": [0.001, 0.5]}},
    "trials": 9,
    "sampler": "random",
    "prune": "median",
}
"""A search that prunes after the first half of a trial's epochs."""


@pytest.mark.parametrize("pruner", sorted(PRUNERS.keys() - {"none"}))
def test_bad_arms_are_pruned_and_told_so(
    pruner: Any, make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    domains = {"optimizer.learning_rate": {"float": [0.001, 0.5]}}
    spec = make_spec({"epochs": 20}, search=domains, trials=30, sampler="random", prune=pruner)
    planner = ledger(spec, rows)
    run_to_end(planner, lambda row, epoch: epoch * (1 - row.params["optimizer.learning_rate"]))
    told = Counter(trial.state.name for trial in study_of(planner).trials)
    pruned = [row for row in ends(rows) if row.status == Status.PRUNED]
    assert told["PRUNED"] == len(pruned) >= 3
    assert told["COMPLETE"] == 30 - len(pruned) >= 2
    assert all(row.epochs < 20 for row in pruned)
    assert pruned[0].reason == f"pruned ({pruner}) after epoch {pruned[0].epochs}"


def test_epochs_out_of_order_give_no_step_of_optuna_two_values(
    make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    domains = {"optimizer.learning_rate": {"float": [0.001, 0.5]}}
    spec = make_spec({"epochs": 4}, search=domains, trials=3, sampler="random", prune="median")
    run_to_end(ledger(spec, rows), lambda _, epoch: epoch)
    changed = [replace(row, epoch=2**40) if isinstance(row, EpochRow) and row.epoch == 2 else row for row in rows]
    assert Planner(spec, lambda _: None, changed).is_done


def test_a_trial_that_was_found_bad_just_before_a_kill_is_pruned_when_it_tells_its_history(
    make_spec: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    spec = make_spec({"epochs": 9}, **PRUNED)
    planner = ledger(spec, rows)
    for _ in range(6):
        good = next_row(planner).trial_id
        for epoch in range(1, 10):
            planner.on_epoch(good, make_result(epoch, 90.0))
        planner.on_end(good, Status.COMPLETE)
    bad = next_row(planner).trial_id
    told = [planner.on_epoch(bad, make_result(epoch, 10.0)) for epoch in range(1, 5)]
    assert told == [False, False, False, True]  # nothing is pruned in the first half of nine epochs

    assert isinstance(rows.pop(), EndRow)
    restarted = ledger(spec, rows)
    assert next_row(restarted).trial_id == bad
    assert restarted.on_epoch(bad, make_result(1, 10.0))
    (*_, end) = ends(rows)
    assert rows.index(end) == len(rows) - 1
    assert end.status == Status.PRUNED
    assert (end.epochs, end.reason) == (4, "pruned (median) after epoch 4")


def test_a_trial_that_only_a_kill_kept_from_its_end_is_not_pruned_when_it_tells_its_history(
    make_spec: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    spec = make_spec({"epochs": 9}, **PRUNED)
    planner = ledger(spec, rows)
    for _ in range(6):
        late = next_row(planner).trial_id
        for epoch in range(1, 10):
            planner.on_epoch(late, make_result(epoch, 90.0 if epoch == 9 else 10.0))
        planner.on_end(late, Status.COMPLETE)
    early = next_row(planner).trial_id  # ahead until the last epoch, in which nothing is pruned
    assert not any(planner.on_epoch(early, make_result(epoch, 50.0)) for epoch in range(1, 10))

    restarted = ledger(spec, rows)
    assert next_row(restarted).trial_id == early
    assert not any(restarted.on_epoch(early, make_result(epoch, 50.0)) for epoch in range(1, 10))


@pytest.mark.parametrize("pruner", ["median", "percentile", "hyperband", "successive_halving"])
def test_an_initial_phase_puts_no_arm_behind_the_others(
    pruner: str, make_search: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    # Arms with a phase of four epochs of its own are the better ones in every epoch that is scored.
    spec = make_search(
        baseline={
            "data": {"name": "digits"},
            "teacher": {"model": "resnet8"},
            "student": {"model": "resnet8"},
            "objective": {"cross_entropy": {}, "ft": {"weight": 0, "initial_epochs": 4}},
            "epochs": 8,
        },
        search={"objective.ft.weight": {"choice": [0, 200]}, "optimizer.learning_rate": {"float": [0.01, 0.1]}},
        sampler="random",
        prune=pruner,
        trials=24,
    )
    planner = ledger(spec, rows)
    with_phase = set()
    while isinstance(trial := planner.next_trial(), PlannedRow):
        initial = trial.epochs - 8
        if initial:
            with_phase.add(trial.trial_id)
        for epoch in range(1, trial.epochs + 1):
            accuracy = None if epoch <= initial else 50.0 + epoch - initial + (5 if initial else 0)
            if planner.on_epoch(trial.trial_id, make_result(epoch, accuracy)):
                break
        else:
            planner.on_end(trial.trial_id, Status.COMPLETE)
    pruned = {end.trial_id for end in ends(rows) if end.status == Status.PRUNED}
    assert len(with_phase) > 5
    assert pruned, "some arm was bad"
    assert not pruned & with_phase


def test_the_last_epoch_is_never_pruned(make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd) -> None:
    planner = ledger(make_search(prune="median", trials=20), rows)
    run_to_end(planner, by_learning_rate)
    assert {row.status for row in ends(rows)} == {Status.COMPLETE}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_ledger_that_is_replayed_judges_running_arms_as_before(
    sampler: str, make_search: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    # Of so few cells many suggestions are of known arms; brackets follow from the numbers of Optuna's trials.
    domains = {"optimizer.momentum": {"choice": [0.0, 0.3, 0.6]}, "batch_size": {"choice": [8, 16, 32, 64]}}
    spec = make_search(baseline={"epochs": 20}, search=domains, sampler=sampler, trials=12, prune="hyperband")
    planner = ledger(spec, rows)
    verdicts = 0
    for number in range(12):
        trial_id = next_row(planner).trial_id
        for epoch in range(1, 21):
            is_over = planner.on_epoch(trial_id, make_result(epoch, 50.0 + (number * 7) % 12 + epoch))
            searched = ledger(spec, list(rows))._search
            assert searched
            assert planner._search
            assert searched.is_pruned(trial_id) == planner._search.is_pruned(trial_id), (number, epoch)
            verdicts += is_over
            if is_over:
                break
        else:
            planner.on_end(trial_id, Status.COMPLETE)
    assert verdicts > 0
