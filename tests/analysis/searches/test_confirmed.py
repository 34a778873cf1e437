"""Confirmed arms: their scores in the search beside those at fresh seeds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

import analysis
from analysis import load
from analysis.searches.confirmed import run_variance, selection_luck
from cktf.rows import Stage, Status
from tests.analysis.ledgers import LedgerWriter, study_row


@pytest.fixture
def confirmed(ledger: LedgerWriter) -> LedgerWriter:
    """Return a search of three arms, the first two of which are confirmed with the baseline at two fresh seeds."""
    ledger.add(study_row(design="search"))
    for arm, accuracy in (("first", 96.0), ("second", 95.0), ("third", 80.0)):
        ledger.train(ledger.plan(arm, 0, stage=Stage.SEARCH), accuracy, tests=False)
    for arm, accuracies in (("baseline", (90.0, 92.0)), ("second", (95.0, 96.0)), ("first", (93.0, 94.0))):
        for seed, accuracy in enumerate(accuracies, 1):
            ledger.train(ledger.plan(arm, seed, stage=Stage.CONFIRM), accuracy)
    return ledger


def test_above_fresh_is_the_search_score_minus_the_mean_at_fresh_seeds(confirmed: LedgerWriter) -> None:
    table = load(confirmed.close()).confirmed
    assert table["arm"].tolist() == ["baseline", "first", "second"]
    np.testing.assert_array_equal(table["rank"], [np.nan, 1, 2])
    np.testing.assert_array_equal(table["search_score"], [np.nan, 96.0, 95.0])
    assert table["mean"].tolist() == pytest.approx([91.0, 93.5, 95.5])
    # 96 promised, 93.5 found: 2.5 too good; 95 promised, 95.5 found: 0.5 too bad.
    np.testing.assert_allclose(table["above_fresh"], [np.nan, 2.5, -0.5])
    # 12.706 is Student's 97.5% point with one degree of freedom; the standard error of 93 and 94 is 0.5.
    assert (table["high"] - table["mean"])[1] == pytest.approx(12.7062 * 0.5, rel=1e-4)
    assert table["n"].tolist() == [2, 2, 2]
    assert table["n_search"].tolist() == [0, 1, 1]


def test_the_luck_of_the_selection_computed_by_hand(confirmed: LedgerWriter) -> None:
    table = load(confirmed.close()).confirmed
    # Fresh: 90 92, 93 94, 95 96. Without what arm and seed do, 1/3 and 1/6 (twice) are left, at each seed with either
    # sign: a sum of squares of 1/3 over 2 degrees of freedom. The scores 96, 95, 80 have mean 271/3, variance 241/3.
    share = (1 / 6) / (241 / 3)
    expected = [np.nan, share * (96 - 271 / 3), share * (95 - 271 / 3)]
    np.testing.assert_allclose(table["selection_luck"], expected, rtol=1e-6)


def test_with_crossed_teachers_scores_and_luck_are_those_of_the_means_over_teachers(confirmed: LedgerWriter) -> None:
    results = load(confirmed.close())
    metric, draws = "validation_accuracy", np.random.default_rng(0)
    apart = draws.normal(0, 5, len(results.trials))
    of_teachers = [
        results.trials.assign(teacher_id=f"t{sign}", **{metric: results.trials[metric] + sign * apart})
        for sign in (-1, 1)
    ]
    found = analysis.confirmed(pd.concat(of_teachers, ignore_index=True), results.effects, metric=metric)
    pd.testing.assert_frame_equal(found, results.confirmed)


def test_the_variance_of_a_run_is_that_of_dummies_for_arms_and_seeds_and_knows_missing_ones() -> None:
    draws = np.random.default_rng(2)
    values = draws.normal(0, 1, (5, 6)) + 10 * draws.normal(0, 1, (5, 1)) + 10 * draws.normal(0, 1, 6)
    interaction = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    assert run_variance(values) == pytest.approx((interaction**2).sum() / 20)
    values[1, 2] = values[4, 0] = np.nan
    long = (
        pd.DataFrame(values)
        .rename_axis(index="arm")
        .reset_index()
        .melt("arm", var_name="seed", value_name="y")
        .dropna()
    )
    fitted = smf.ols("y ~ C(arm) + C(seed)", long).fit()
    assert run_variance(values) == pytest.approx(fitted.ssr / fitted.df_resid)
    assert np.isnan(run_variance(values[:1]))
    assert np.isnan(run_variance(values[:, :1]))


def test_the_luck_of_the_selection_is_told_apart_from_that_of_the_seed_which_all_arms_share() -> None:
    """With the digits' deviations: seed 3.6, run 2.7, arms 1.5 points; 40 arms, the best 3 at 5 fresh seeds."""
    draws = np.random.default_rng(0)
    errors, of_difference = [], []
    for _ in range(800):
        arms, runs = draws.normal(0, 1.5, 40), draws.normal(0, 2.7, 40)
        scores = arms + runs + draws.normal(0, 3.6)
        top = np.argsort(-scores)[:3]
        fresh = np.append(arms[top], 0.0)[:, np.newaxis] + draws.normal(0, 3.6, 5) + draws.normal(0, 2.7, (4, 5))
        luck = selection_luck(scores[top], scores, np.ones(3), run_variance(fresh))
        # Slowly: each score's distance from the mean, times the share of the variance that runs make.
        share = min(1.0, run_variance(fresh) / (sum((y - sum(scores) / 40) ** 2 for y in scores) / 39))
        np.testing.assert_allclose(luck, [share * (y - sum(scores) / 40) for y in scores[top]])
        errors.append(luck.mean() - runs[top].mean())
        of_difference.append((scores[top] - fresh[:3].mean(axis=1)).mean() - runs[top].mean())
    assert np.sqrt(np.mean(np.square(errors))) < 1.9
    assert np.sqrt(np.mean(np.square(of_difference))) > 3.7
    assert abs(np.mean(errors)) < 0.5


def test_scores_that_are_all_equal_hold_no_luck_and_one_score_none_that_is_known() -> None:
    np.testing.assert_array_equal(
        selection_luck(np.array([9.0, np.nan]), np.full(4, 9.0), np.ones(2), 1.0), [0, np.nan]
    )
    assert np.isnan(selection_luck(np.array([9.0]), np.array([9.0]), np.ones(1), 1.0)).all()
    assert np.isnan(selection_luck(np.array([9.0]), np.array([9.0, 8.0]), np.ones(1), np.nan)).all()


def test_effects_are_those_of_the_table_of_effects(confirmed: LedgerWriter) -> None:
    results = load(confirmed.close())
    effects = results.effects.set_index("arm_id")
    for _, arm in results.confirmed[~results.confirmed["is_baseline"]].iterrows():
        effect = effects.loc[arm["arm_id"]]
        assert (arm["effect"], arm["verdict"]) == (effect["effect"], effect["verdict"])
        assert (arm["effect_low"], arm["effect_high"]) == (effect["low"], effect["high"])
        assert arm["effect_metric"] == "test_accuracy"
    assert results.confirmed.at[0, "verdict"] == ""


def test_of_a_loss_a_score_that_was_too_small_was_too_good(ledger: LedgerWriter) -> None:
    study = study_row(design="search", metric="validation_loss", report_metric="test_loss", maximise=False)
    ledger.add(study)
    ledger.train(ledger.plan("first", 0, stage=Stage.SEARCH), 96.0, tests=False)  # the loss is 1/4
    for seed in (1, 2):
        ledger.train(ledger.plan("first", seed, stage=Stage.CONFIRM), 96.0, epochs=2)  # and here 1/2
    assert load(ledger.close()).confirmed["above_fresh"].tolist() == pytest.approx([0.25])


def test_an_arm_of_which_no_fresh_seed_is_complete_stays_in_the_table(confirmed: LedgerWriter) -> None:
    trial_id = confirmed.plan("third", 1, stage=Stage.CONFIRM)
    confirmed.train(trial_id, 5.0, epochs=1, status=Status.FAILED, reason="loss is NaN", tests=False)
    third = load(confirmed.close()).confirmed.set_index("arm").loc["third"]
    assert third["search_score"] == 80.0
    assert third["n"] == 0
    assert np.isnan(third[["mean", "above_fresh", "effect"]].astype(float)).all()


def test_a_search_without_confirmation_and_a_design_have_no_such_table(search: Path, ablation: Path) -> None:
    assert load(search).confirmed.empty
    assert load(ablation).confirmed.empty
