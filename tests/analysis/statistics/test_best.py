"""Which arms are among the best of their context."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import load
from analysis.statistics.any_table import as_trials
from analysis.statistics.best import COLUMNS, FEWEST_SEEDS, best
from cktf.verdicts import LEVEL
from tests.analysis.ledgers import LedgerWriter, study_row

SCORES = {
    "none": [90.0, 91.0, 90.5, 90.2, 90.6],
    "kd": [92.0, 93.1, 92.4, 92.2, 92.6],
    "at": [91.9, 93.2, 92.2, 92.3, 92.5],
    "once": [92.6],
}


def trials_of(scores: dict[str, list[float]]) -> Any:
    rows = [(arm, seed, score) for arm, found in scores.items() for seed, score in enumerate(found)]
    return as_trials(pd.DataFrame(rows, columns=["arm", "seed", "score"]), metric="score", baseline="none")


def test_those_that_are_not_told_from_the_best_are_among_the_best() -> None:
    without = {arm: found for arm, found in SCORES.items() if arm != "once"}
    found = best(trials_of(without), metric="score", maximise=True).set_index("arm")
    p = {arm: stats.ttest_rel(SCORES[arm], SCORES["kd"]).pvalue for arm in ("none", "at")}
    assert found.loc["kd", "is_best"]
    assert found["is_among_best"].to_dict() == {"none": False, "kd": True, "at": True}
    smaller, larger = sorted(p, key=lambda arm: p[arm])
    assert found.at[smaller, "p_holm"] == pytest.approx(min(1, 2 * p[smaller]))
    assert found.at[larger, "p_holm"] == pytest.approx(max(min(1, 2 * p[smaller]), p[larger]))
    assert found.at["none", "difference"] == pytest.approx(np.mean(SCORES["none"]) - np.mean(SCORES["kd"]))


@pytest.mark.parametrize("maximise", [True, False])
def test_one_lucky_seed_is_not_the_best_and_what_cannot_be_tested_is_not_among_them(*, maximise: bool) -> None:
    sign = 1 if maximise else -1
    scores = {arm: [sign * score for score in found] for arm, found in SCORES.items()} | {"once": [sign * 99.0]}
    found = best(trials_of(scores), metric="score", maximise=maximise).set_index("arm")
    assert found.index[found["is_best"]].tolist() == ["kd"]
    assert found["is_among_best"].to_dict() == {"none": False, "kd": True, "at": True, "once": False}


@pytest.mark.parametrize("seeds", [1, 2, FEWEST_SEEDS - 1])
def test_of_few_seeds_nothing_is_the_best(seeds: int) -> None:
    scores = {arm: found[:seeds] for arm, found in SCORES.items()}
    found = best(trials_of(scores), metric="score", maximise=True)
    assert not found[["is_best", "is_among_best"]].any(axis=None)
    assert found[["difference", "p", "p_holm"]].isna().all(axis=None)


def test_an_arm_of_few_seeds_is_neither_the_best_nor_tested_with_it() -> None:
    found = best(trials_of(SCORES | {"few": [99.0] * 4}), metric="score", maximise=True).set_index("arm")
    assert found.index[found["is_best"]].tolist() == ["kd"]
    assert not found.at["few", "is_among_best"]


def test_smaller_may_be_better_and_all_equal_arms_are_the_best() -> None:
    rising = [1.0, 2.0, 3.0, 4.0, 0.3]
    scores = {"none": rising, "same": [*rising[:4], 0.1 + 0.2], "always one more": [score + 1 for score in rising]}
    found = best(trials_of(scores), metric="score", maximise=False).set_index("arm")
    assert found["is_best"].to_dict() == {"none": True, "same": True, "always one more": False}
    assert found["is_among_best"].to_dict() == {"none": True, "same": True, "always one more": False}


@pytest.mark.parametrize("loss", [1e8, 1e-8])
def test_an_arm_of_another_size_does_not_change_who_is_the_best(loss: float) -> None:
    without = best(trials_of(SCORES), metric="score", maximise=False)
    scores = SCORES | {"other size": [loss * (200 + seed) for seed in range(5)]}
    found = best(trials_of(scores), metric="score", maximise=False)
    if loss > 1:
        same = ["arm", "is_best", "n_pairs", "difference", "p"]
        pd.testing.assert_frame_equal(found[found["arm"] != "other size"][same], without[same])
    else:
        assert found.loc[found["is_best"], "arm"].tolist() == ["other size"]


def test_each_context_has_its_own_best(contexts_writer: Callable[..., Any]) -> None:
    found = load(contexts_writer(seeds=FEWEST_SEEDS).close()).best.set_index(["context", "arm"])
    assert found.index[found["is_best"]].tolist() == [("digits", "kd"), ("clothes", "baseline")]
    assert (found.loc[~found["is_among_best"], "p_holm"] < LEVEL).all()


def test_where_nothing_is_complete_there_is_none(ledger: LedgerWriter) -> None:
    ledger.add(study_row())
    ledger.plan("baseline", 0)
    found = load(ledger.close()).best
    assert found.empty
    assert list(found) == list(COLUMNS)
