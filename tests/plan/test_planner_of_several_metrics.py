"""The planner of searches by several metrics: what Optuna is told, restarts, and the confirmed front."""

from typing import Any

import pytest

from cktf.rows import PlannedRow, Row, Stage
from tests.kinds import MakeSpec, RunToEnd
from tests.planning import ledger, planned, study_of


def against_momentum(row: PlannedRow, _: int) -> tuple[float, float]:
    """Accuracy, which is better the larger the rate, and a loss, which is worse then; momentum does harm to both."""
    rate, momentum = row.params.get("optimizer.learning_rate", 0.05), row.params.get("optimizer.momentum", 0.9)
    return 50 + 100 * rate - momentum, rate + momentum


@pytest.mark.parametrize("sampler", ["tpe", "nsgaii"])
def test_a_search_of_two_metrics_goes_on_after_a_restart_and_confirms_its_front(
    sampler: Any, make_search: MakeSpec, run_to_end: RunToEnd
) -> None:
    domains = {"optimizer.learning_rate": {"float": [0.01, 0.11]}, "optimizer.momentum": {"float": [0.0, 0.9]}}
    spec = make_search(
        metric=["validation_accuracy", "validation_loss"],
        search=domains,
        sampler=sampler,
        trials=24,
        seeds=2,
        confirm={"top": 2, "seeds": 2},
    )
    whole, cut = list[Row](), list[Row]()
    planner = ledger(spec, whole)
    run_to_end(planner, against_momentum, at_once=1)
    for most in (3, 20, 20, 1000):
        run_to_end(ledger(spec, cut), against_momentum, at_once=1, most=most)
    assert cut == whole
    told, replayed = (
        [(trial.params, trial.values) for trial in study_of(each).get_trials() if trial.values]
        for each in (planner, ledger(spec, whole))
    )
    assert told == replayed
    assert [values for _, values in told] == [[*against_momentum(row, 1)] for row in planned(whole)[:48:2]]

    on_front = [trial.params for trial in study_of(planner).best_trials]
    confirmed = [row.params for row in planned(whole) if row.stage == Stage.CONFIRM and row.params]
    ends_of_front = [pick(on_front, key=lambda each: each["optimizer.learning_rate"]) for pick in (min, max)]
    assert len(on_front) > 2
    assert [confirmed.count(each) for each in ends_of_front] == [2, 2]
    assert len(confirmed) == 4


def test_an_arm_without_one_of_two_metrics_has_failed_for_optuna(
    make_search: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    metrics = ["validation_accuracy", "validation_loss"]
    spec = make_search(metric=metrics, sampler="tpe", trials=4, confirm={"top": 2, "seeds": 1})
    planner = ledger(spec, rows)
    run_to_end(planner, lambda row, _: (50.0, None if row.number == 0 else 1.0))
    first, *others = study_of(planner).get_trials()
    assert (first.state.name, first.values) == ("FAIL", None)
    assert {trial.state.name for trial in others} == {"COMPLETE"}
    assert planned(rows)[0].arm_id not in {row.arm_id for row in planned(rows) if row.stage == Stage.CONFIRM}
