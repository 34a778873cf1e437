"""The arms of a search: how they ended and how they stand to each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import load
from analysis.figures.shown import searched_factors
from analysis.searches.arms import is_best, scores_on_the_way
from cktf.rows import Stage, Status
from tests.analysis.ledgers import LedgerWriter, study_row

FACTOR = "objective.kd.negatives"


def write_arms(ledger: Any, study: Any, ends: list[tuple[float, int, Status]]) -> Any:
    """Write a search of one arm for each last score, epochs done, and status."""
    ledger.add(study)
    for number, (accuracy, epochs, status) in enumerate(ends):
        trial_id = ledger.plan(f"arm{number}", 0, {FACTOR: 2**number}, Stage.SEARCH)
        ledger.train(trial_id, accuracy, epochs=epochs, status=status, tests=False)
    return ledger


def test_pruned_arms_stand_behind_complete_ones_by_how_far_they_came(ledger: LedgerWriter) -> None:
    ends = [
        (80.0, 4, Status.COMPLETE),
        (99.0, 1, Status.PRUNED),
        (90.0, 4, Status.COMPLETE),
        (70.0, 2, Status.PRUNED),
        (10.0, 1, Status.FAILED),
        (75.0, 2, Status.PRUNED),
        (90.0, 4, Status.COMPLETE),
    ]
    results = load(write_arms(ledger, study_row(design="search", factors=[FACTOR]), ends).close())
    arms = results.searched
    assert arms["number"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(arms["rank"], [3, 6, 1, 5, np.nan, 4, 1])
    np.testing.assert_array_equal(arms["score"].isna(), [False, True, False, True, True, True, False])
    assert arms["last"].tolist() == [80.0, 99.0, 90.0, 70.0, 10.0, 75.0, 90.0]
    assert arms["reached"].tolist() == [4, 1, 4, 2, 1, 2, 4]
    assert arms[f"param.{FACTOR}"].tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert is_best(arms).tolist() == [False, False, True, False, False, False, True]


def test_arms_that_are_pruned_before_their_first_score_are_equally_bad(ledger: LedgerWriter) -> None:
    ends = [(80.0, 4, Status.COMPLETE), (0.0, 0, Status.PRUNED), (0.0, 0, Status.PRUNED), (70.0, 1, Status.PRUNED)]
    arms = load(write_arms(ledger, study_row(design="search", factors=[FACTOR]), ends).close()).searched
    assert arms["reached"].tolist() == [4, 0, 0, 1]
    assert arms["rank"].tolist() == [1, 3, 3, 2]


def test_a_smaller_loss_ranks_first(ledger: LedgerWriter) -> None:
    study = study_row(design="search", factors=[FACTOR], metric="validation_loss", maximise=False)
    ends = [(80.0, 4, Status.COMPLETE), (80.0, 2, Status.COMPLETE)]  # losses 1/4 and 1/2
    arms = load(write_arms(ledger, study, ends).close()).searched
    assert arms["score"].tolist() == [0.25, 0.5]
    assert arms["rank"].tolist() == [1, 2]


def test_an_arm_ends_as_the_worst_of_its_seeds_and_scores_where_all_have_been(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="search", factors=[FACTOR]))
    planned: dict[str, list[tuple[float, int, Status | None]]] = {
        "even": [(80.0, 4, Status.COMPLETE), (84.0, 4, Status.COMPLETE)],
        "pruned": [(80.0, 3, Status.PRUNED), (84.0, 2, Status.PRUNED)],
        "broken": [(80.0, 4, Status.COMPLETE), (84.0, 1, Status.FAILED)],
        "running": [(80.0, 4, Status.COMPLETE), (84.0, 1, None)],
    }
    for arm, ends in planned.items():
        for seed, (accuracy, epochs, status) in enumerate(ends):
            trial_id = ledger.plan(arm, seed, {FACTOR: 8}, Stage.SEARCH)
            ledger.train(trial_id, accuracy, epochs=epochs, status=status, tests=False)
    results = load(ledger.close())
    arms = results.searched.set_index("arm")
    assert arms["status"].to_dict() == {"even": "complete", "pruned": "pruned", "broken": "failed"}
    assert arms.loc["even", ["n", "score", "reached", "wall_seconds"]].to_numpy().tolist() == [2, 82.0, 4, 2.0]
    assert arms.at["pruned", "reached"] == 2
    way = scores_on_the_way(results.trials, results.epochs, "validation_accuracy")
    of_pruned = results.epochs[results.epochs["arm_id"] == "arm-pruned"]
    second = of_pruned.loc[of_pruned["epoch"] == 2, "validation_accuracy"]
    assert way.query("arm_id == 'arm-pruned'")["score"].iloc[-1] == pytest.approx(second.mean())
    assert arms.at["pruned", "last"] == pytest.approx(second.mean())


def test_epochs_without_a_score_are_not_counted(search: Path) -> None:
    results = load(search)
    is_first = results.epochs["epoch"] == 1
    unscored = results.epochs.assign(validation_accuracy=results.epochs["validation_accuracy"].where(~is_first))
    way = scores_on_the_way(results.trials, unscored, "validation_accuracy")
    whole = scores_on_the_way(results.trials, results.epochs, "validation_accuracy")
    assert way.groupby("arm_id")["step"].max().max() == 3
    later = whole[whole["step"] > 1]
    np.testing.assert_array_equal(way["step"], later["step"] - 1)
    np.testing.assert_array_equal(way["score"], later["score"])


def test_factors_stand_in_the_order_of_their_importance(search: Path) -> None:
    results = load(search)
    judged = results.importance.query("method == 'ped-anova'")["factor"].tolist()
    assert searched_factors(results) == judged
    assert judged[0] == "objective.cktf.temperature"


def test_a_design_has_no_searched_arms(ablation: Path) -> None:
    assert load(ablation).searched.empty


def test_a_schedule_of_the_baseline_leaves_the_levels_of_the_search_numbers(ledger: LedgerWriter) -> None:
    ends = [(80.0, 4, Status.COMPLETE), (90.0, 4, Status.COMPLETE)]
    write_arms(ledger, study_row(design="search", factors=[FACTOR]), ends)
    schedule = {"from": 1, "over": [0.0, 1.0], "to": 2}
    trial_id = ledger.plan("baseline", 1, stage=Stage.CONFIRM, objective={"kd": {"negatives": schedule}})
    ledger.train(trial_id, 70.0)
    assert load(ledger.close()).searched[f"param.{FACTOR}"].tolist() == [1, 2]
