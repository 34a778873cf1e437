"""Effects against the baseline, checked by hand, by scipy and by loops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis import effects, load
from analysis.comparisons import holm, paired_t
from cktf.rows import Status


def test_a_paired_test_computed_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, sd 1, t = 2 sqrt(3). With two degrees of freedom,
    # P(|t| > x) = 1 - x / sqrt(x^2 + 2).
    found = paired_t(np.array([11.0, 22.0, 33.0]), np.array([10.0, 20.0, 30.0]))
    t = 2 * 3**0.5
    assert (found.n_pairs, found.effect, found.sd) == (3, 2.0, 1.0)
    assert found.statistic == pytest.approx(t)
    assert found.p == pytest.approx(1 - t / (t**2 + 2) ** 0.5)
    assert found.high == pytest.approx(2 + 4.302653 / 3**0.5, rel=1e-6)
    assert found.correlation == pytest.approx(1.0)
    assert (found.test, found.reason) == ("paired t", "")


def test_the_paired_test_is_that_of_scipy() -> None:
    draws = np.random.default_rng(1)
    baseline = draws.normal(90, 1, 8)
    values = baseline + draws.normal(0.3, 0.5, 8)
    reference = stats.ttest_rel(values, baseline)
    found = paired_t(values, baseline)
    assert (found.statistic, found.p) == pytest.approx((reference.statistic, reference.pvalue))
    interval = reference.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.correlation == pytest.approx(stats.pearsonr(values, baseline).statistic)


def test_pairing_sees_an_effect_that_the_spread_of_seeds_would_hide() -> None:
    baseline = np.array([80.0, 85.0, 90.0, 95.0, 99.0])
    values = baseline + np.array([0.9, 1.1, 1.0, 1.05, 0.95])
    assert paired_t(values, baseline).p < 1e-4
    assert stats.ttest_ind(values, baseline).pvalue > 0.5


@pytest.mark.parametrize(
    ("values", "baseline", "effect", "reason"),
    [
        ([], [], np.nan, "no seed is complete in both arms"),
        ([91.0], [90.0], 1.0, "one pair: no interval"),
        (
            [91.0, 91.0, 91.0],
            [91.0, 91.0, 91.0],
            0.0,
            "all 3 differences are equal: no error to test against",
        ),
        ([0.1 + 0.2, 0.4], [0.2, 0.3], 0.1, "all 2 differences are equal: no error to test against"),
    ],
)
def test_without_information_on_the_error_there_is_no_p(
    values: list[float], baseline: list[float], effect: float, reason: str
) -> None:
    found = paired_t(np.array(values), np.array(baseline))
    assert found.effect == pytest.approx(effect, nan_ok=True)
    assert np.isnan([found.low, found.high, found.p, found.statistic]).all()
    assert (found.test, found.reason) == ("none", reason)


def test_a_constant_side_has_no_correlation_but_a_test() -> None:
    found = paired_t(np.array([91.0, 92.0, 93.5]), np.array([90.0, 90.0, 90.0]))
    assert np.isnan(found.correlation)
    assert 0 < found.p < 1


def test_holm_is_the_step_down_of_a_loop() -> None:
    p = np.random.default_rng(5).uniform(0, 0.2, 9)
    expected, largest = np.empty(9), 0.0
    for rank, index in enumerate(np.argsort(p)):
        largest = max(largest, min(1.0, (9 - rank) * p[index]))
        expected[index] = largest
    np.testing.assert_allclose(holm(p), expected)


def test_holm_computed_by_hand() -> None:
    # Three tests: 3 x 0.01, then 2 x 0.03, then max of that and 1 x 0.04.
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])


def test_what_was_not_tested_does_not_count_in_the_family() -> None:
    np.testing.assert_array_equal(holm(np.array([0.01, np.nan, 0.04])), [0.02, np.nan, 0.04])
    assert np.isnan(holm(np.array([np.nan]))).all()


def test_known_effects_are_found(ablation: Path) -> None:
    table = effects(load(ablation).trials, metric="test_accuracy").set_index("arm")
    assert len(table) == 4
    for arm, true in {"temperature=0.5": -3.0, "theta=0.0": -0.2, "pairing=first": 1.0}.items():
        assert table.at[arm, "low"] - 0.5 < true < table.at[arm, "high"] + 0.5
    assert table.at["temperature=0.5", "p_holm"] < 0.01
    assert (table["p_holm"] >= table["p"]).all()
    assert (table["correlation"] > 0.5).any()


def test_effects_are_differences_at_the_same_seeds(ablation: Path) -> None:
    trials = load(ablation).trials
    scores = {(row["arm"], row["seed"]): row["test_accuracy"] for row in trials.to_dict("records")}
    for row in effects(trials, metric="test_accuracy").to_dict("records"):
        by_seed = [scores[row["arm"], seed] - scores["baseline", seed] for seed in range(5)]
        assert row["effect"] == pytest.approx(np.mean(by_seed))
        assert row["p"] == pytest.approx(stats.ttest_1samp(by_seed, 0).pvalue)
        assert row["mean"] - row["baseline_mean"] == pytest.approx(row["effect"])


def test_arms_of_one_factor_stand_together_and_name_it(ablation: Path) -> None:
    table = effects(load(ablation).trials)
    assert table["arm"].tolist() == ["temperature=0.5", "temperature=0.05", "theta=0.0", "pairing=first"]
    assert table["factor"].tolist() == [
        "objective.cktf.temperature",
        "objective.cktf.temperature",
        "objective.cktf.theta",
        "objective.cktf.pairing",
    ]


def test_missing_seeds_are_left_out_of_the_pairs_and_named(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=3)
    ledger.train(ledger.plan("theta=0.0", 3), 10.0, epochs=2, status=Status.FAILED, reason="NaN", tests=False)
    ledger.train(ledger.plan("baseline", 3), 90.0)
    ledger.train(ledger.plan("theta=0.0", 4), 90.0)
    ledger.plan("baseline", 5)
    ledger.train(ledger.plan("theta=0.0", 6), 90.0)
    ledger.close_segment()
    row = effects(load(ledger.run).trials).iloc[0]
    assert (row["n_pairs"], row["n_missing"]) == (3, 4)
    assert row["missing"] == (
        "seed 3: failed; seeds 4, 6: baseline not planned; seed 5: not planned, baseline planned"
    )


def test_a_study_without_its_baseline_has_no_effects(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["theta=0.0", "pairing=first"], seeds=2)
    ledger.close_segment()
    results = load(ledger.run)
    assert results.effects.empty
    assert len(results.arms) == 2


def test_a_baseline_without_complete_trials_gives_effects_without_numbers(
    new_ledger: Callable[[], Any], make_study_row: Callable[..., Any]
) -> None:
    ledger = new_ledger()
    ledger.add(make_study_row())
    ledger.plan("baseline", 0)
    ledger.train(ledger.plan("theta=0.0", 0), 90.0)
    ledger.close_segment()
    row = load(ledger.run).effects.iloc[0]
    assert row["n_pairs"] == 0
    assert np.isnan([row["effect"], row["p"], row["p_holm"]]).all()
    assert row["reason"] == "no seed is complete in both arms"


def test_an_arm_is_compared_with_the_baseline_of_its_own_context(contexts: Path) -> None:
    trials = load(contexts).trials
    scores = {
        (row["context"], row["arm"], row["seed"]): row["test_accuracy"] for row in trials.to_dict("records")
    }
    table = effects(trials)
    assert list(zip(table["context"], table["arm"], strict=True)) == [
        ("digits", "kd"),
        ("digits", "fsp"),
        ("clothes", "kd"),
    ]
    for row in table.to_dict("records"):
        context, arm = row["context"], row["arm"]
        by_seed = [scores[context, arm, seed] - scores[context, "baseline", seed] for seed in range(4)]
        assert row["effect"] == pytest.approx(np.mean(by_seed))
        assert row["p"] == pytest.approx(stats.ttest_1samp(by_seed, 0).pvalue)
    assert table["effect"].tolist() == pytest.approx([2.0, -1.0, -4.0], abs=0.5)


def test_holm_adjusts_over_the_comparisons_of_all_contexts(contexts: Path) -> None:
    table = effects(load(contexts).trials)
    np.testing.assert_allclose(table["p_holm"], holm(table["p"].to_numpy()))
    assert table["p_holm"].min() == pytest.approx(3 * table["p"].min())


def test_a_context_whose_baseline_is_not_there_has_no_effects(contexts: Path) -> None:
    trials = load(contexts).trials
    left = trials[~((trials["context"] == "digits") & trials["is_baseline"])]
    assert effects(left)["context"].tolist() == ["clothes"]
