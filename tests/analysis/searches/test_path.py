"""The ablation path of a search, against a forest that is asked about every arm on the way, and by hand."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor

from analysis import load
from analysis.figures import path as figure
from analysis.report.tables import side_tables
from analysis.searches.arms import NOT_ON_THE_WAY
from analysis.searches.fanova import MAX_DEPTH
from analysis.searches.importance import NUM_TREES
from analysis.searches.path import COLUMNS, START, ablation_path, path_text
from cktf.rows import Status, StudyRow
from tests.analysis.ledgers import DEFAULT_LEVELS, study_row

FACTORS = ["a", "b", "kind"]
DEFAULTS: dict[str, Any] = {"a": 0.0, "b": 0.0, "kind": "plain"}


def searched(scores: "pd.Series[float]", levels: pd.DataFrame, *, maximise: bool = True) -> pd.DataFrame:
    """Return complete arms as `searched_arms` gives them."""
    arms = levels.add_prefix("param.").assign(score=scores, status=Status.COMPLETE.value, reached=1, n=1)
    ids = [f"arm-{index}" for index in range(len(arms))]
    return arms.assign(arm_id=ids, arm=ids, rank=scores.rank(ascending=not maximise))


def drawn(arms: int = 120, seed: int = 0) -> pd.DataFrame:
    """Return levels of three factors."""
    draws = np.random.default_rng(seed)
    kinds = draws.choice(["other", "plain", "third"], arms)
    return pd.DataFrame({"a": draws.uniform(0, 1, arms), "b": draws.uniform(0, 1, arms), "kind": kinds})


def study(**values: Any) -> StudyRow:
    return study_row(**{"design": "search", "factors": FACTORS, "default_levels": DEFAULTS} | values)


@pytest.mark.parametrize("maximise", [True, False])
def test_each_step_is_the_best_of_all_that_are_left(maximise: bool) -> None:
    levels = drawn()
    gain = 6 * levels["a"] + 2 * (levels["kind"] == "other") - 3 * levels["b"] + levels["a"] * levels["b"]
    scores = 50 + (gain if maximise else -gain)
    arms = searched(scores, levels, maximise=maximise)
    found = ablation_path(arms, NOT_ON_THE_WAY, study(maximise=maximise))

    def coded(rows: pd.DataFrame) -> Any:
        one_hot = [rows["kind"] == kind for kind in ("other", "plain", "third")]
        return np.column_stack([rows["a"], rows["b"], *one_hot]).astype(float)

    forest = RandomForestRegressor(NUM_TREES, max_depth=MAX_DEPTH, random_state=0).fit(coded(levels), scores)
    best = levels.iloc[int(np.argmax(gain))]
    here, left, scored = dict(DEFAULTS), list(FACTORS), []
    scored.append((START, forest.predict(coded(pd.DataFrame([here])))[0]))
    while left:
        predicted = {name: forest.predict(coded(pd.DataFrame([here | {name: best[name]}])))[0] for name in left}
        name = max(predicted, key=lambda each: predicted[each] if maximise else -predicted[each])
        here[name] = best[name]
        left.remove(name)
        scored.append((name, predicted[name]))
    assert found["factor"].tolist() == [name for name, _ in scored]
    assert found["factor"].tolist()[:2] == [START, "a"]
    np.testing.assert_allclose(found["predicted"], [score for _, score in scored])
    np.testing.assert_allclose(found["change"][1:], np.diff(found["predicted"]))
    assert found["step"].tolist() == [0, 1, 2, 3]
    first = found.iloc[1]
    assert first["low"] < first["change"] < first["high"]
    assert (first["low"] > 0) == maximise
    assert (first["high"] < 0) == (not maximise)


def test_a_factor_that_is_at_its_default_in_the_best_arm_is_no_step() -> None:
    levels = drawn()
    scores = 50 + 5 * (levels["kind"] == "plain") + levels["a"]
    found = ablation_path(searched(scores, levels), NOT_ON_THE_WAY, study())
    assert "kind" not in set(found["factor"])
    assert found.iloc[1]["level"] == f"{levels['a'].iloc[int(np.argmax(scores))]:.4g}"


@pytest.mark.parametrize(("default", "text"), [(1.0, "1"), (False, "False"), ("linear", "linear")])
def test_a_default_among_choices_of_several_kinds_is_the_level_that_the_table_has_for_it(
    default: Any, text: str
) -> None:
    kinds = {"other": "1", "plain": "False", "third": "linear"}  # 1.0, false and linear, in a column of texts
    levels = drawn().assign(kind=lambda rows: rows["kind"].map(kinds))
    scores = 50 + levels["a"]
    asked = study(default_levels=DEFAULTS | {"kind": default})
    found = ablation_path(searched(scores, levels), NOT_ON_THE_WAY, asked)
    best = levels["kind"].iloc[int(np.argmax(scores))]
    assert set(found["omitted"]) == {""}
    steps = found[found["factor"] == "kind"]
    assert steps[["default", "level"]].to_numpy().tolist() == ([] if best == text else [[text, best]])


def test_factors_that_cannot_be_compared_are_named() -> None:
    levels = drawn().assign(sometimes=lambda rows: rows["a"].where(rows["a"] > 0.5))
    asked = study(
        factors=[*FACTORS, "sometimes", "new"], default_levels=DEFAULTS | {"kind": "never tried", "sometimes": 0.1}
    )
    found = ablation_path(searched(50 + levels["a"], levels), NOT_ON_THE_WAY, asked)
    assert set(found["omitted"]) == {"kind, sometimes, new"}
    assert set(found["factor"]) == {START, "a", "b"}


@pytest.mark.parametrize("levels", [drawn(9), drawn().assign(a=0.0, b=0.0, kind="plain")])
def test_there_is_no_path_of_few_arms_or_without_a_change(levels: pd.DataFrame) -> None:
    scores = 50 + pd.Series(np.arange(len(levels)), dtype=np.float64)
    found = ablation_path(searched(scores, levels), NOT_ON_THE_WAY, study())
    assert found.empty
    assert dict(found.dtypes.astype(str)) == COLUMNS


def test_sentences_say_that_only_some_of_many_arms_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = drawn()
    found = ablation_path(searched(50 + levels["a"], levels), NOT_ON_THE_WAY, study())
    assert "at random" not in path_text(found)
    monkeypatch.setattr(sys.modules["analysis.searches.importance"], "MAX_ARMS", 40)
    assert "Judged by 40 of the arms, drawn at random." in path_text(found)


def test_a_run_has_its_path_in_a_table_and_a_figure(search: Path) -> None:
    results = load(search)
    found = results.path
    assert found["factor"].tolist()[:2] == [START, "objective.cktf.temperature"]
    assert found["change"][1] > 3  # 3 log(5) = 4.8 in truth; a forest evens out
    assert results.facts.study.default_levels == DEFAULT_LEVELS
    table = side_tables(results)["path"]
    assert table.rows[2][0].startswith("cktf.temperature: 0.5 → 0.1")
    assert "An estimate: the arms on the way were not trained" in table.remark
    assert "after 2 scored epochs" in table.remark  # the pruned arms have no more
    drawn = figure.record(results)
    assert drawn is not None
    assert [row["predicted"] for row in drawn.rows] == found["predicted"].tolist()
    assert "An estimate" in drawn.caption
    figure.chart(drawn).to_dict()


def test_without_a_forest_there_is_no_path(search: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr("analysis.searches.path.find_spec", lambda _: None)
    assert load(search).path.empty
