"""The tables of components: ticks beside effects, and Shapley values."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import load
from analysis.report.tables.components import components, settings, shapley
from analysis.statistics.effects import effects
from analysis.wording import effect_text
from cktf.rows import Stage
from tests.analysis.ledgers import LedgerWriter, study_row


def test_arms_have_ticks_values_and_their_effects(ablation: Path) -> None:
    (table,) = components(load(ablation))
    head, baseline, *arms = table.rows
    assert head[:-1] == ["arm", "cktf.temperature", "cktf.theta", "cktf.pairing"]
    assert baseline[1:] == ["0.1", "✓", "last", "baseline"]
    cells = {arm[0]: arm[1:] for arm in arms}
    assert cells["theta=0.0"][:3] == ["0.1", "–", "last"]
    assert "[" in cells["theta=0.0"][3]


def test_contexts_have_a_column_each(contexts: Path) -> None:
    results = load(contexts)
    study = replace(results.facts.study, factors=["objective.kd.weight", "objective.cktf.weight"])
    levels = {
        "param.objective.kd.weight": results.trials["arm"].eq("kd").astype(float),
        "param.objective.cktf.weight": results.trials["is_baseline"].map({True: None, False: 0.5}),
    }
    facts = replace(results.facts, asked=study)
    (table,) = components(replace(results, trials=results.trials.assign(**levels), facts=facts))
    assert [head.split(" [")[0] for head in table.rows[0][3:]] == [f"{name}: effect" for name in results.contexts]
    assert ["–", "–", "baseline", "baseline"] in [row[1:] for row in table.rows]
    assert {row[2] for row in table.rows[2:]} == {"✓"}


def test_levels_that_a_search_drew_are_shown_with_six_digits(ablation: Path) -> None:
    results = load(ablation)
    drawn = results.trials["param.objective.cktf.temperature"] * 1.00000012345678
    (table,) = components(replace(results, trials=results.trials.assign(**{"param.objective.cktf.temperature": drawn})))
    assert table.rows[1][1:] == ["0.1", "✓", "last", "baseline"]


def test_the_values_of_a_grid_of_two_levels_sum_to_what_all_add(grid: Path) -> None:
    results = load(grid)
    assert shapley(results) == []  # a temperature too many
    two = results.trials[results.trials["param.objective.cktf.temperature"] != 1.0]
    results = replace(results, trials=two)
    (table,) = shapley(results)
    assert [row[0] for row in table.rows[1:]] == ["cktf.temperature", "cktf.theta", "all of them"]
    assert table.rows[2][1:3] == ["0.1", "0.0"]
    *parts, whole = results.shapley["effect"]
    assert sum(parts) == pytest.approx(whole)
    is_on = two[["param.objective.cktf.temperature", "param.objective.cktf.theta"]].ne([0.1, 0.0])
    is_lost = (two["seed"] == two["seed"].max()) & is_on.eq([True, False]).all(axis=1)
    assert is_lost.sum() == 1
    lost = replace(results, trials=two.assign(status=two["status"].mask(is_lost, "failed")))
    *parts, whole = lost.shapley["effect"]
    assert sum(parts) != pytest.approx(whole)
    assert "At a seed that has all arms they sum to what all of them add" in shapley(lost)[0].remark


def test_effects_of_a_study_of_contrasts_account_for_its_looks(ablation_writer: Callable[..., Any]) -> None:
    plain = load(ablation_writer(contrasts=[["pairing=first", "theta=0.0"]]).close())
    once = effects(plain.trials, contrasts=["baseline"])
    pd.testing.assert_frame_equal(plain.against_baseline, once)
    study = plain.facts.study
    extended = [replace(study, asked={"seeds": "4"}), replace(study, asked={"seeds": "5"})]
    for launches in ([replace(study, looks=[3, 5])], extended):
        results = replace(plain, facts=replace(plain.facts, launches=launches))
        found = results.against_baseline
        assert {*found["test"]} == {"mixture t"}
        assert (found["low"] < once["low"]).all()
        assert (found["high"] > once["high"]).all()
        ((_, *rows),) = (table.rows for table in components(results))
        shown = {row[0]: row[-1] for row in rows}
        for _, row in found.iterrows():
            assert shown[row["arm"]] == effect_text(row, 2)


def test_settings_in_which_arms_differ_have_a_row_each(ablation: Path) -> None:
    (table,) = settings(load(ablation))
    assert table.rows == [
        ["setting", "baseline", "temperature=0.5", "theta=0.0", "pairing=first", "temperature=0.05"],
        ["cktf.pairing", "last", "", "", "first", ""],
        ["cktf.temperature", "0.1", "0.5", "", "", "0.05"],
        ["cktf.theta", "0.1", "", "0", "", ""],
    ]
    assert table.remark == "An empty cell is as the baseline's."


def test_settings_are_compared_within_a_context(ledger: LedgerWriter) -> None:
    ledger.add(study_row(baselines={name: f"{name}arm-baseline" for name in ("digits", "clothes")}))
    for context, model, longer in (("digits", "resnet8", 8), ("clothes", "resnet14", 9)):
        for arm, more in (("baseline", {}), ("kd", {"kd": {"weight": 0.9}}), ("longer", {"epochs": longer})):
            ledger.plan(arm, 0, context=context, student={"model": model}, **more)
    (table,) = settings(load(ledger.close()))
    assert table.rows == [
        ["setting", "baseline", "kd", "longer"],
        ["digits: epochs", "4", "", "8"],
        ["clothes: epochs", "4", "", "9"],
        ["kd.weight", "–", "0.9", ""],
    ]
    assert table.remark.endswith(" –: not set.")


def test_of_many_arms_and_settings_it_is_said_which_are_shown(ledger: LedgerWriter) -> None:
    ledger.add(study_row())
    ledger.plan("baseline", 0)
    for number in range(10):
        ledger.plan(f"arm {number}", 0, part={f"of {number}.{key:02}": 1 for key in range(6)})
    (table,) = settings(load(ledger.close()))
    assert table.rows[0] == ["setting", "baseline", *(f"arm {number}" for number in range(8))]
    assert len(table.rows) == 41
    assert table.remark.endswith(
        "Of 10 arms the first 8 are shown, and the settings in which these differ. Of 48 rows the first 40 are shown."
    )


def test_without_a_baseline_each_arm_has_its_value_and_of_a_search_confirmed_arms_have_them(
    ledger: LedgerWriter, search: Path
) -> None:
    assert settings(load(search)) == []
    ledger.number = 1  # after the search's own
    for arm, theta in (("search-1", 0.3), ("search-2", 0.1)):
        ledger.plan(arm, 100, {"objective.cktf.theta": theta}, Stage.CONFIRM)
    ledger.close_segment()
    (table,) = settings(load(search))
    assert table.rows == [["setting", "search-1", "search-2"], ["cktf.theta", "0.3", "0.1"]]
    assert table.remark == ""
