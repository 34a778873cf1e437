"""Means and intervals of arms; the leaderboard of a search."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import arms, load
from analysis.searches.arms import leaderboard
from analysis.statistics.intervals import grouped_estimates
from cktf.rows import Stage, Status
from tests.analysis.ledgers import LedgerWriter, study_row


def estimate(values: Iterable[float], confidence: float = 0.95) -> "pd.Series[float]":
    """Return the estimate of values that are one group."""
    frame = pd.DataFrame({"arm": "a", "score": [*values]})
    return grouped_estimates(frame, ["arm"], "score", confidence).iloc[0]


def test_an_interval_computed_by_hand() -> None:
    # 1, 2, 3: mean 2, sd 1, and 4.302653 is Student's 97.5% point with two degrees of freedom.
    found = estimate([1.0, 2.0, 3.0])
    assert (found["n"], found["mean"], found["sd"]) == (3, 2.0, 1.0)
    assert found["high"] - found["mean"] == pytest.approx(4.302653 / 3**0.5, rel=1e-6)
    assert found["mean"] - found["low"] == pytest.approx(4.302653 / 3**0.5, rel=1e-6)


def test_the_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(0).normal(90, 2, 7)
    low, high = stats.t.interval(0.9, 6, values.mean(), stats.sem(values))
    found = estimate(values, confidence=0.9)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_one_value_has_no_interval() -> None:
    found = estimate([91.5])
    assert found.n == 1
    assert np.isnan([found.sd, found.low, found.high]).all()


@pytest.mark.parametrize("values", [[90.0, 90.0, 90.0], [0.3, 0.1 + 0.2, 0.3], [1e9, 1e9], [0.0, 0.0]])
def test_equal_values_have_no_interval(values: list[float]) -> None:
    found = estimate(values)
    assert found["mean"] == pytest.approx(values[0])
    assert np.isnan([found.low, found.high]).all()


def test_arms_of_equal_scores_and_arms_that_failed_say_so(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline"], seeds=3)
    for seed in range(3):
        ledger.train(ledger.plan("equal", seed), 90.0)
        ledger.train(ledger.plan("broken", seed), 10.0, epochs=2, status=Status.FAILED, tests=False)
    table = load(ledger.close()).arms.set_index("arm")
    assert table.loc["equal", ["low", "high"]].isna().all()
    assert table.at["equal", "reason"] == "all 3 scores are equal: no interval"
    assert table.at["broken", "reason"] == "failed at all 3 seeds"


def test_a_reference_of_an_arm_that_is_not_there_is_refused(contexts: Path) -> None:
    with pytest.raises(ValueError, match="reference: no arm is called 'dkd' in context 'digits'"):
        arms(load(contexts).trials, reference={"digits": {"dkd": 91.0}})


def test_groups_are_estimated_as_if_each_stood_alone() -> None:
    frame = pd.DataFrame({"arm": ["b", "a", "b", "a", "a", "c"], "score": [1.0, 2.0, 4.0, 8.0, 5.0, 7.0]})
    table = grouped_estimates(frame, ["arm"], "score").set_index("arm")
    assert list(table.index) == ["b", "a", "c"]
    for arm, group in frame.groupby("arm"):
        alone = estimate(group["score"])
        names = ["n", "mean", "sd", "low", "high"]
        np.testing.assert_allclose(table.loc[arm, names].to_numpy(float), alone[names].to_numpy(float))


def test_arms_hold_complete_trials_only_and_say_what_is_missing(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=3)
    ledger.train(ledger.plan("theta=0.0", 3), 10.0, epochs=2, status=Status.FAILED, reason="NaN", tests=False)
    ledger.train(ledger.plan("once", 0), 88.0)
    ledger.plan("never", 0)
    table = arms(load(ledger.close()).trials, metric="test_accuracy").set_index("arm")
    assert table["n"].to_dict() == {"baseline": 3, "theta=0.0": 3, "once": 1, "never": 0}
    assert table.at["theta=0.0", "n_planned"] == 4
    assert table.at["theta=0.0", "n_failed"] == 1
    assert table["reason"].to_dict() == {
        "baseline": "",
        "theta=0.0": "",
        "once": "one complete trial: no spread",
        "never": "no complete trial",
    }


def test_trials_of_a_search_are_no_arms_to_report(confirmed_search: Path) -> None:
    assert set(load(confirmed_search).arms["arm"]) == {"baseline", "search-1"}


def test_a_search_without_confirmation_has_a_leaderboard_and_no_arms(search: Path) -> None:
    results = load(search)
    assert results.arms.empty
    assert results.effects.empty
    board = results.leaderboard
    assert board["score"].is_monotonic_decreasing
    assert set(board["note"]) == {"search score, selected on it: optimistic"}
    assert len(board) == (results.trials["status"] == "complete").sum()


def test_an_arm_with_a_failed_seed_is_not_on_the_leaderboard(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="search"))
    for arm, accuracies in (("lucky", [99.0, None]), ("steady", [90.0, 91.0])):
        for seed, accuracy in enumerate(accuracies):
            trial_id = ledger.plan(arm, seed, stage=Stage.SEARCH)
            if accuracy is None:
                ledger.train(trial_id, 10.0, epochs=1, status=Status.FAILED, tests=False)
            else:
                ledger.train(trial_id, accuracy, tests=False)
    board = leaderboard(load(ledger.close()).trials, metric="validation_accuracy", maximise=True)
    assert board[["rank", "arm", "n", "score"]].to_numpy().tolist() == [[1, "steady", 2, 90.5]]


def test_each_context_has_its_arms_and_a_reference_stands_beside_what_was_measured(contexts: Path) -> None:
    results = load(contexts)
    assert results.contexts == ["digits", "clothes"]
    table = results.arms.set_index(["context", "arm"])
    assert list(table.index) == [
        ("digits", "baseline"),
        ("digits", "kd"),
        ("digits", "fsp"),
        ("clothes", "baseline"),
        ("clothes", "kd"),
    ]
    np.testing.assert_array_equal(table["reference"], [89.5, 91.25, np.nan, np.nan, 61.0])
    without = arms(results.trials).set_index(["context", "arm"])
    assert without["reference"].isna().all()
    pd.testing.assert_frame_equal(without.drop(columns="reference"), table.drop(columns="reference"))
