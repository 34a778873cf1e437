"""Which arms are among the best of their context."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis import load
from analysis.best import COLUMNS, best
from analysis.plain import as_trials
from analysis.verdicts import LEVEL

SCORES = {
    "none": [90.0, 91.0, 90.5, 90.2],
    "kd": [92.0, 93.1, 92.4, 92.2],
    "at": [91.9, 93.2, 92.2, 92.3],
    "once": [92.6],
}


def trials_of(scores: dict[str, list[float]]) -> Any:
    import pandas as pd

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
def test_one_lucky_seed_is_not_the_best_and_what_cannot_be_tested_is_not_among_them(
    *, maximise: bool
) -> None:
    sign = 1 if maximise else -1
    scores = {arm: [sign * score for score in found] for arm, found in SCORES.items()} | {
        "once": [sign * 99.0]
    }
    found = best(trials_of(scores), metric="score", maximise=maximise).set_index("arm")
    assert found.index[found["is_best"]].tolist() == ["kd"]
    assert found["is_among_best"].to_dict() == {"none": False, "kd": True, "at": True, "once": False}


def test_where_every_arm_has_one_seed_the_best_is_alone() -> None:
    scores = {arm: found[:1] for arm, found in SCORES.items()}
    found = best(trials_of(scores), metric="score", maximise=True).set_index("arm")
    assert found["is_among_best"].to_dict() == {"none": False, "kd": False, "at": False, "once": True}
    assert found["p_holm"].isna().all()


def test_smaller_may_be_better_and_equal_arms_are_both_the_best() -> None:
    scores = {"none": [1.0, 2.0, 3.0], "same": [1.0, 2.0, 3.0], "always one more": [2.0, 3.0, 4.0]}
    found = best(trials_of(scores), metric="score", maximise=False).set_index("arm")
    assert found["is_among_best"].to_dict() == {"none": True, "same": True, "always one more": False}


def test_each_context_has_its_own_best(contexts: Path) -> None:
    found = load(contexts).best.set_index(["context", "arm"])
    assert found.index[found["is_best"]].tolist() == [("digits", "kd"), ("clothes", "baseline")]
    assert (found.loc[~found["is_among_best"], "p_holm"] < LEVEL).all()


def test_where_nothing_is_complete_there_is_none(new_ledger: Callable[[], Any], make_study_row: Any) -> None:
    ledger = new_ledger()
    ledger.add(make_study_row())
    ledger.plan("baseline", 0)
    ledger.close_segment()
    found = load(ledger.run).best
    assert found.empty
    assert list(found) == list(COLUMNS)
