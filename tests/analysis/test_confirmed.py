"""Confirmed arms: their scores in the search beside those at fresh seeds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import load
from cktf.rows import Stage, Status


def write_confirmed(ledger: Any, study: Any) -> Any:
    """Write a search of three arms, the first two of which are confirmed with the baseline at two fresh seeds."""
    ledger.add(study)
    for arm, accuracy in (("first", 96.0), ("second", 95.0), ("third", 80.0)):
        ledger.train(ledger.plan(arm, 0, stage=Stage.SEARCH), accuracy, tests=False)
    for arm, accuracies in (("baseline", (90.0, 92.0)), ("second", (95.0, 96.0)), ("first", (93.0, 94.0))):
        for seed, accuracy in enumerate(accuracies, 1):
            ledger.train(ledger.plan(arm, seed, stage=Stage.CONFIRM), accuracy)
    return ledger


@pytest.fixture
def ledger(new_ledger: Callable[[], Any], make_study_row: Callable[..., Any]) -> Any:
    return write_confirmed(new_ledger(), make_study_row(design="search"))


def test_shrinkage_is_by_how_much_the_search_score_was_too_good(ledger: Any) -> None:
    ledger.close_segment()
    table = load(ledger.run).confirmed
    assert table["arm"].tolist() == ["baseline", "first", "second"]
    np.testing.assert_array_equal(table["rank"], [np.nan, 1, 2])
    np.testing.assert_array_equal(table["search_score"], [np.nan, 96.0, 95.0])
    assert table["mean"].tolist() == pytest.approx([91.0, 93.5, 95.5])
    # 96 promised, 93.5 found: 2.5 too good; 95 promised, 95.5 found: 0.5 too bad.
    np.testing.assert_allclose(table["shrinkage"], [np.nan, 2.5, -0.5])
    # 12.706 is Student's 97.5% point with one degree of freedom; the standard error of 93 and 94 is 0.5.
    assert table.at[1, "high"] - table.at[1, "mean"] == pytest.approx(12.7062 * 0.5, rel=1e-4)
    assert table["n"].tolist() == [2, 2, 2]
    assert table["n_search"].tolist() == [0, 1, 1]


def test_effects_are_those_of_the_table_of_effects(ledger: Any) -> None:
    ledger.close_segment()
    results = load(ledger.run)
    effects = results.effects.set_index("arm_id")
    for _, arm in results.confirmed[~results.confirmed["is_baseline"]].iterrows():
        effect = effects.loc[arm["arm_id"]]
        assert (arm["effect"], arm["verdict"]) == (effect["effect"], effect["verdict"])
        assert (arm["effect_low"], arm["effect_high"]) == (effect["low"], effect["high"])
        assert arm["effect_metric"] == "test_accuracy"
    assert results.confirmed.at[0, "verdict"] == ""


def test_of_a_loss_a_score_that_was_too_small_was_too_good(
    new_ledger: Callable[[], Any], make_study_row: Callable[..., Any]
) -> None:
    study = make_study_row(
        design="search", metric="validation_loss", report_metric="test_loss", maximise=False
    )
    ledger = new_ledger()
    ledger.add(study)
    ledger.train(ledger.plan("first", 0, stage=Stage.SEARCH), 96.0, tests=False)  # the loss is 1/4
    for seed in (1, 2):
        ledger.train(ledger.plan("first", seed, stage=Stage.CONFIRM), 96.0, epochs=2)  # and here 1/2
    ledger.close_segment()
    assert load(ledger.run).confirmed["shrinkage"].tolist() == pytest.approx([0.25])


def test_an_arm_of_which_no_fresh_seed_is_complete_stays_in_the_table(ledger: Any) -> None:
    trial_id = ledger.plan("third", 1, stage=Stage.CONFIRM)
    ledger.train(trial_id, 5.0, epochs=1, status=Status.FAILED, reason="loss is NaN", tests=False)
    ledger.close_segment()
    third = load(ledger.run).confirmed.set_index("arm").loc["third"]
    assert third["search_score"] == 80.0
    assert third["n"] == 0
    assert np.isnan(third[["mean", "shrinkage", "effect"]].astype(float)).all()


def test_a_search_without_confirmation_and_a_design_have_no_such_table(search: Path, ablation: Path) -> None:
    assert load(search).confirmed.empty
    assert load(ablation).confirmed.empty
