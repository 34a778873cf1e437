"""What else moved: the distillation's health against the baseline at the same seeds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import load
from analysis.ledger.collect import ledger_tables
from analysis.report.tables import side_tables
from analysis.statistics.health import health_effects, moved_most, number_label
from analysis.statistics.paired import paired_effects


def values_of(run: Path, arm: str, column: str, epoch: int = 4) -> dict[int, float]:
    rows = ledger_tables(run)[1].to_pylist()
    return {row["seed"]: row[column] for row in rows if row["arm"] == arm and row["epoch"] == epoch}


def test_the_numbers_are_columns_of_the_epochs_and_missing_where_none_were_measured(measured: Path) -> None:
    _, epochs = ledger_tables(measured)
    names = [name for name in epochs.column_names if name.startswith("health.")]
    assert names == ["health.agreement", "health.cka.stage1", "health.gap.cktf.stage1.teacher", "health.kl"]
    assert values_of(measured, "baseline", "health.agreement")[3] == pytest.approx(83.02)
    assert set(values_of(measured, "baseline", "health.agreement", epoch=3).values()) == {None}
    assert set(values_of(measured, "theta=0.0", "health.gap.cktf.stage1.teacher").values()) == {None}


def test_ledgers_written_before_there_was_any_health_are_read(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=2)
    ledger.lines = [line.replace(',"health":{}', "") for line in ledger.lines]
    assert not any("health" in line for line in ledger.lines)
    results = load(ledger.close())
    assert results.health.empty
    assert "health" not in side_tables(results)


def test_every_number_is_compared_with_the_baseline_at_the_same_seeds_where_it_was_measured_last(
    measured: Path,
) -> None:
    found = load(measured).health.set_index(["arm", "measure"])
    assert len(found) == 7, "four numbers of one arm, and three of the other"
    for arm, number in (("pairing=first", "kl"), ("theta=0.0", "cka.stage1")):
        ours, theirs = (values_of(measured, name, f"health.{number}") for name in (arm, "baseline"))
        differences = np.array([ours[seed] - theirs[seed] for seed in range(5)])
        row = found.xs((arm, number))
        assert row["n_pairs"] == 5
        assert row["effect"] == pytest.approx(differences.mean())
        assert row["p"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
        half = stats.t.ppf(0.975, 4) * differences.std(ddof=1) / np.sqrt(5)
        assert row["high"] - row["low"] == pytest.approx(2 * half)
    assert (found["p_holm"] >= found["p"]).all()


def test_of_each_arm_the_numbers_that_moved_most_for_their_error_come_first(measured: Path) -> None:
    health = load(measured).health
    most = moved_most(health, 2)
    assert list(most["arm"]) == ["theta=0.0"] * 2 + ["pairing=first"] * 2
    for arm, group in health.groupby("arm"):
        largest = group["statistic"].abs().nlargest(2)
        assert list(most.loc[most["arm"] == arm, "statistic"].abs()) == list(largest)
    twin = health[health["measure"] == "cka.stage1"].assign(measure="cka.penultimate")
    doubled = moved_most(pd.concat([health, twin], ignore_index=True), 7)
    assert len(doubled) == 7, "a number under two names counts once"
    assert "cka.penultimate" in set(doubled["measure"])


def test_the_side_table_says_what_else_moved_and_of_how_many_it_is_the_largest(measured: Path) -> None:
    table = side_tables(load(measured))["health"]
    head, *rows = table.rows
    assert head == ["arm", "number", "pairs", "baseline", "mean", "difference [interval]", "p (Holm)"]
    assert len(rows) == 6
    (agreement,) = [row for row in rows if row[:2] == ["pairing=first", "agreement (%)"]]
    assert agreement[2:5] == ["5", "82.032", "85.034"]
    assert agreement[5].startswith("+3.002 [+2.9")
    assert "over all 7 differences" in table.remark


def test_labels_say_what_a_number_is_and_of_what() -> None:
    assert number_label("health.agreement") == "agreement (%)"
    assert number_label("health.gap.cktf.stage1.teacher") == "gap of scores: cktf.stage1.teacher"
    assert number_label("health.sharpness.some") == "sharpness: some"


def test_intervals_of_the_numbers_that_moved_most_are_those_of_the_selected(measured: Path) -> None:
    health = load(measured).health
    counts = health["arm"].value_counts()
    for most in (1, 2, 3):
        for row in moved_most(health, most).to_dict("records"):
            confidence = 1 - 0.05 * min(most, counts[row["arm"]]) / counts[row["arm"]]
            assert row["confidence"] == pytest.approx(confidence)
            half = stats.t.isf((1 - confidence) / 2, row["n_pairs"] - 1) * row["sd"] / np.sqrt(row["n_pairs"])
            assert row["high"] - row["effect"] == pytest.approx(half)
            assert row["effect"] - row["low"] == pytest.approx(half)
    assert "96.25%" in side_tables(load(measured))["health"].remark  # 3 of 4 numbers of one arm


def test_of_the_intervals_shown_where_nothing_moved_one_in_twenty_leaves_out_zero() -> None:
    draws = np.random.default_rng(4)
    found = paired_effects(draws.normal(0, 1, (600, 30, 6)), np.zeros(6))
    names = ("n_pairs", "effect", "sd", "low", "high", "statistic")
    table = pd.DataFrame({name: getattr(found, name).ravel() for name in names})
    table["arm_id"] = np.repeat([f"arm-{number}" for number in range(600)], 30)
    wrong = {}
    for name, shown in (("selected", moved_most(table, 3)), ("alone", table.loc[moved_index(table, 3)])):
        wrong[name] = ((shown["low"] > 0) | (shown["high"] < 0)).mean()
    assert wrong["selected"] < 0.07
    assert wrong["alone"] > 0.4


def moved_index(table: pd.DataFrame, most: int) -> pd.Index:
    sizes = table["statistic"].abs().sort_values(ascending=False)
    return table.loc[sizes.index].groupby("arm_id").head(most).index


def test_with_crossed_teachers_a_seed_counts_only_where_the_students_of_all_of_them_have_numbers() -> None:
    draw = np.random.default_rng(0)
    of_teachers = np.array([1.0, 2.0])  # the students of one teacher have twice the KL in every arm
    rows = [
        {"context": "", "arm": arm, "arm_id": arm, "is_baseline": arm == "baseline", "seed": seed, "stage": "design"}
        | {"status": "complete", "trial_id": f"{arm}{seed}{teacher}", "teacher_id": f"t{teacher}", "epoch": 3}
        | {"test_accuracy": 70.0, "health.kl": of_teachers[teacher] + 0.01 * draw.normal()}
        for arm in ("baseline", "kd")
        for seed in range(5)
        for teacher in (0, 1)
    ]
    table = pd.DataFrame(rows)
    trials = table.drop(columns=["epoch", "health.kl"])
    epochs = table[["trial_id", "arm_id", "seed", "epoch", "health.kl"]]
    is_lost = trials["trial_id"].isin(["kd01", "kd11"])
    trials.loc[is_lost, ["status", "test_accuracy"]] = "failed", np.nan
    (row,) = health_effects(trials, epochs, metric="test_accuracy").to_dict("records")
    values = table.pivot_table(index="seed", columns="arm", values="health.kl", sort=False)
    differences = (values["kd"] - values["baseline"])[2:]
    assert row["n_pairs"] == 3
    assert row["effect"] == pytest.approx(differences.mean())
    assert row["p"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
