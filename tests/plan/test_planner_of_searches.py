"""The planner of searches: suggestions, confirmation, and all of it again after a restart."""

from typing import Any

import optuna
import pytest

from cktf.plan.planner import NoTrial, Planner
from cktf.plan.suggestions import SAMPLERS
from cktf.rows import WITHDRAWN, EndRow, PlannedRow, Row, Stage, Status
from tests.kinds import MakeResult, MakeSpec, RunToEnd
from tests.planning import by_learning_rate, ends, fifty, ledger, next_row, planned, study_of


def test_a_search_is_planned_arm_by_arm_up_to_its_number_of_trials(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    planner = ledger(make_search(trials=6), rows)
    assert rows == []
    first = next_row(planner)
    assert [row.trial_id for row in planned(rows)] == [first.trial_id]
    assert first.stage == Stage.SEARCH
    assert list(first.params) == ["optimizer.learning_rate"]
    planner.on_end(first.trial_id, Status.FAILED, "no memory")
    run_to_end(planner, by_learning_rate)
    assert len({row.arm_id for row in planned(rows)}) == 6


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_goes_on_after_a_restart_as_if_there_was_none(
    sampler: Any, make_search: MakeSpec, run_to_end: RunToEnd
) -> None:
    step = {"step": 0.001} if sampler == "bruteforce" else {}
    domains = {
        "optimizer.learning_rate": {"float": [0.01, 0.11], **step},
        "optimizer.momentum": {"float": [0.0, 0.9], **step},
    }
    known = [{"optimizer.learning_rate": 0.05, "optimizer.momentum": 0.5}, {"optimizer.momentum": 0}]
    spec = make_search(search=domains, sampler=sampler, trials=14, enqueue=known)
    whole, cut, one_by_one = list[Row](), list[Row](), list[Row]()
    run_to_end(ledger(spec, whole), by_learning_rate)
    for most in (1, 5, 5, 5):
        run_to_end(ledger(spec, cut), by_learning_rate, most=most, at_once=1)
    run_to_end(ledger(spec, one_by_one), by_learning_rate, at_once=1)

    first, second = [row.params for row in planned(cut)][:2]
    assert (first, second["optimizer.momentum"]) == (known[0], 0.0)
    assert len({row.arm_id for row in planned(whole)}) == 14
    assert [row.params for row in planned(cut)] == [row.params for row in planned(one_by_one)]
    assert cut == one_by_one


def test_what_was_running_at_a_kill_comes_first_and_optuna_counts_it_once(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd, make_result: MakeResult
) -> None:
    spec = make_search(sampler="tpe", trials=8)
    planner = ledger(spec, rows)
    run_to_end(planner, by_learning_rate, most=3, at_once=1)
    running = [next_row(planner).trial_id, next_row(planner).trial_id]
    planner.on_epoch(running[0], make_result(1, 80.0))

    restarted = ledger(spec, rows)
    assert [next_row(restarted).trial_id for _ in running] == running
    for trial_id in running:
        restarted.on_end(trial_id, Status.COMPLETE)
    run_to_end(restarted, by_learning_rate)
    assert len(planned(rows)) == 8
    assert len({row.trial_id for row in ends(rows)}) == 8


def test_the_state_that_is_replayed_is_the_state_that_was_lived(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec = make_search(sampler="tpe", prune="median", trials=12, seeds=2, confirm={"top": 2, "seeds": 2})
    planner = ledger(spec, rows)
    for most in (3, 9, 30, 1000):
        run_to_end(planner, by_learning_rate, most=most)
        replayed = ledger(spec, rows)
        assert replayed.state.trials == planner.state.trials
        assert replayed.total() == planner.total()
        assert optuna_view(replayed) == optuna_view(planner)


def optuna_view(planner: Planner) -> list[Any]:
    return [(trial.params, trial.state, trial.value, trial.intermediate_values) for trial in study_of(planner).trials]


def test_optuna_gets_the_mean_over_an_arms_seeds_when_all_are_in(
    make_search: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    planner = ledger(make_search(seeds=2), rows)
    first, second = next_row(planner), next_row(planner)
    assert first.arm_id == second.arm_id
    for row, accuracy in ((first, 60.0), (second, 80.0)):
        (before,) = (trial for trial in study_of(planner).trials if trial.params == first.params)
        assert before.value is None
        for epoch in (1, 2):
            planner.on_epoch(row.trial_id, make_result(epoch, accuracy - 2 + epoch))
        planner.on_end(row.trial_id, Status.COMPLETE)
    (told,) = (trial for trial in study_of(planner).trials if trial.params == first.params)
    assert told.value == 70.0
    assert told.intermediate_values == {1: 69.0, 2: 70.0}


def test_a_failed_arm_is_told_as_failed_and_a_retry_as_a_trial_of_its_own(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec = make_search(sampler="tpe", trials=3)
    planner = ledger(spec, rows)
    failing = next_row(planner)
    planner.on_end(failing.trial_id, Status.FAILED, "no memory")
    run_to_end(planner, by_learning_rate)
    again = ledger(spec, rows, retry_failed=True)
    run_to_end(again, by_learning_rate)
    told = [t.state.name for t in study_of(again).trials if t.params == failing.params]
    assert told == ["FAIL", "COMPLETE"]
    assert optuna_view(ledger(spec, rows)) == optuna_view(again)


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_search_does_not_learn_from_what_was_withdrawn(
    has_ended: bool, make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd, make_result: MakeResult
) -> None:
    spec = make_search(sampler="tpe", trials=3)
    planner = ledger(spec, rows)
    wrong = next_row(planner)
    planner.on_epoch(wrong.trial_id, make_result(1, 99.0))
    if has_ended:
        planner.on_epoch(wrong.trial_id, make_result(2, 99.0))
        planner.on_end(wrong.trial_id, Status.COMPLETE)
    withdrawn = EndRow(trial_id=wrong.trial_id, status=Status.FAILED, epochs=1, reason=WITHDRAWN)
    rows += [withdrawn] if has_ended else [withdrawn, wrong]
    again = ledger(spec, rows, retry_failed=has_ended)
    run_to_end(again, by_learning_rate)
    of_wrong = [trial for trial in study_of(again).trials if trial.params == wrong.params]
    assert [trial.state.name for trial in of_wrong] == ["FAIL", "COMPLETE"]
    assert of_wrong[0].intermediate_values == {}
    assert of_wrong[1].value == by_learning_rate(wrong, 2)
    assert optuna_view(ledger(spec, rows)) == optuna_view(again)


def test_a_known_arm_is_not_trained_twice_and_a_small_space_ends_the_search(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    domains = {
        "optimizer.momentum": {"choice": [0.0, 0.5, 0.9]},
        "optimizer.nesterov": {"choice": [True, False], "when": {"optimizer.momentum": "> 0"}},
    }
    for sampler in SAMPLERS:
        rows.clear()
        planner = ledger(make_search(search=domains, sampler=sampler, trials=50), rows)
        run_to_end(planner, fifty)
        assert len(planned(rows)) == 5, sampler
        assert planner.next_trial() is NoTrial.DONE
        assert planner.total() == 5


def test_a_factor_whose_condition_fails_is_not_drawn(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    domains = {
        "optimizer.momentum": {"choice": [0.0, 0.9]},
        "optimizer.weight_decay": {"float": [0.0, 0.1], "when": {"optimizer.momentum": "> 0"}},
    }
    run_to_end(ledger(make_search(search=domains, trials=6), rows), fifty)
    for row in planned(rows):
        assert ("optimizer.weight_decay" in row.params) == (row.params["optimizer.momentum"] > 0)


def test_replicates_that_a_kill_left_unplanned_are_planned_at_the_restart(
    make_search: MakeSpec, rows: list[Row]
) -> None:
    spec = make_search(seeds=3)
    first = next_row(ledger(spec, rows))
    del rows[1:]
    restarted = ledger(spec, rows)
    assert [(row.arm_id, row.seed) for row in planned(rows)] == [(first.arm_id, seed) for seed in range(3)]
    assert next_row(restarted).trial_id == first.trial_id


def test_a_search_of_a_loss_looks_for_the_smallest(
    make_search: MakeSpec, rows: list[Row], make_result: MakeResult
) -> None:
    spec = make_search(metric="validation_loss", trials=4, confirm={"top": 1, "seeds": 1})
    planner = ledger(spec, rows)
    while isinstance(row := planner.next_trial(), PlannedRow):
        loss = row.params.get("optimizer.learning_rate", 1.0)
        planner.on_epoch(row.trial_id, make_result(2, 50.0, validation_loss=loss))
        planner.on_end(row.trial_id, Status.COMPLETE)
    searched = [row for row in planned(rows) if row.stage == Stage.SEARCH]
    lowest = min(searched, key=lambda row: row.params["optimizer.learning_rate"])
    confirmed = {row.arm_id for row in planned(rows) if row.stage == Stage.CONFIRM}
    assert confirmed == {spec.baseline_config.arm_id, lowest.arm_id}


def test_no_sampler_speaks_up_about_conditions(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd, caplog: pytest.LogCaptureFixture
) -> None:
    domains = {
        "optimizer.momentum": {"choice": [0.0, 0.9]},
        "optimizer.learning_rate": {"float": [0.01, 0.11], "step": 0.01},
        "optimizer.weight_decay": {"float": [0.0, 0.1], "step": 0.01, "when": {"optimizer.momentum": "> 0"}},
    }
    optuna.logging.enable_propagation()
    try:
        for sampler in SAMPLERS:
            rows.clear()
            run_to_end(ledger(make_search(search=domains, sampler=sampler, trials=12), rows), fifty, at_once=4)
            assert caplog.messages == [], sampler
    finally:
        optuna.logging.disable_propagation()


def by_stop(row: PlannedRow, _: int) -> float:
    return float(50 + row.params["epochs"] - row.params["stop_after"])


@pytest.mark.parametrize("sampler", ["cmaes", "bruteforce"])
def test_what_a_sampler_suggests_in_vain_changes_no_arm_after_a_restart(
    sampler: str, make_search: MakeSpec, run_to_end: RunToEnd
) -> None:
    domains = {"epochs": {"int": [1, 4]}, "stop_after": {"int": [1, 4]}}  # one must not be above the other
    spec = make_search(baseline={"epochs": 4}, search=domains, sampler=sampler, trials=9)
    whole, cut = list[Row](), list[Row]()
    run_to_end(ledger(spec, whole), by_stop, at_once=1)
    for _ in range(9):
        run_to_end(ledger(spec, cut), by_stop, at_once=1, most=1)
    assert [row.params for row in planned(cut)] == [row.params for row in planned(whole)]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sampler_that_keeps_to_values_that_do_not_go_together_is_helped_out(
    sampler: str, make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    cktf = {
        "critic": {"choice": ["squared_distance", "cosine"]},
        "source": {"choice": ["batch", "sampled", "all", "shared", "queue"]},
        "transform": {"choice": ["map", "similarity", "relation"]},
        "temperature": {"float": [0.04, 10], "log": True},
    }
    fitting = {"head": "pad", "source": "batch", "estimator": "infonce", "critic": "squared_distance", "negatives": 16}
    spec = make_search(
        baseline={"objective": {"cktf": {**fitting, "temperature": 1}}, "teacher": {"model": "resnet5"}},
        search={f"objective.cktf.{name}": domain for name, domain in cktf.items()},
        sampler=sampler,
        trials=40,
    )
    run_to_end(ledger(spec, rows), lambda row, _: 50.0 + row.number * 7 % 20)
    assert len({row.arm_id for row in planned(rows)}) == 40


def test_a_sequence_moves_what_conditions_hide_too_and_follows_the_seed(
    make_search: MakeSpec, run_to_end: RunToEnd
) -> None:
    domains = {
        "objective.kd.weight": {"choice": [1, 0]},
        "objective.kd.temperature": {"float": [1.0, 8.0], "when": {"objective.kd.weight": 1}},
        "optimizer.learning_rate": {"float": [0.01, 0.11]},
    }
    sequences = []
    for seed in (0, 1):
        rows: list[Row] = []
        spec = make_search(
            baseline={"objective": {"kd": {}, "cross_entropy": {}}, "teacher": {"model": "resnet5"}},
            search=domains,
            sampler="qmc",
            sampler_seed=seed,
            trials=10,
        )
        run_to_end(ledger(spec, rows), by_learning_rate)
        sequences.append([row.params for row in planned(rows)])
        drawn = [params["objective.kd.temperature"] for params in sequences[-1] if "objective.kd.temperature" in params]
        assert len(set(drawn)) == len(drawn) > 2
    assert sequences[0] != sequences[1]
