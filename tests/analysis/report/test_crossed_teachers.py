"""For which teachers the verdicts of a study hold, as its tables and its methods paragraph say it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import load
from analysis.report.methods import methods_text
from analysis.report.provenance import provenance_rows
from analysis.report.reading import held_for_text, scope_text
from analysis.report.tables import main_tables, side_tables
from analysis.report.trial_table import trial_table
from analysis.results import Results
from cktf.rows import TRAINED_HERE, TeacherRow


@pytest.fixture
def crossed(ablation: Path) -> Results:
    """An ablation whose arms each ran with teachers of two seeds."""
    results = load(ablation)
    taught = [
        results.trials.assign(
            trial_id=results.trials["trial_id"] + str(seed),
            teacher_id=f"t{seed}",
            **{"config.teacher.model": "resnet20", "config.teacher.seed": seed},
        )
        for seed in (0, 1)
    ]
    rows = [
        TeacherRow(
            teacher_id=f"t{seed}",
            model="resnet20",
            data="digits",
            origin=TRAINED_HERE,
            validation_accuracy=90.0 + seed,
            validation_loss=0.5,
            teacher_seed=seed,
            epochs=30,
            wall_seconds=1800.0 * seed,
            weights="first.pth",
        )
        for seed in (0, 1)
    ]
    return replace(results, trials=pd.concat(taught, ignore_index=True), facts=replace(results.facts, teachers=rows))


def test_the_page_tells_the_trials_of_an_arm_at_a_seed_apart(crossed: Results) -> None:
    table = trial_table(crossed)
    names = [column["name"] for column in table["columns"]]
    told = [tuple(row[names.index(name)] for name in ("arm", "seed", "config.teacher.seed")) for row in table["rows"]]
    assert len({*told}) == len(told) == len(crossed.trials)


def test_tables_and_methods_say_over_which_teachers_the_verdicts_hold(crossed: Results) -> None:
    seeds = crossed.trials["seed"].nunique()
    said = f"The verdicts hold over 2 teachers crossed with {seeds} seeds: resnet20, seed 0; resnet20, seed 1."
    methods = methods_text(crossed)
    assert methods.count(said) == 1
    assert f"× {seeds} seeds × 2 teachers" in methods
    assert "averaged over its teachers" in methods
    assert "trained for this study from the weights first.pth with seed 1, has a validation accuracy of 91" in methods
    (table,) = main_tables(crossed)
    assert said in table.remark
    across = side_tables(crossed)["over_teachers"]
    assert "paired with the baseline's at the same seed and teacher" in across.remark
    assert [row[1:3] for row in across.rows[1:]] == [[str(seeds), "2"]] * len(crossed.effects)


def test_the_teacher_in_the_settings_of_an_arm_that_reads_none_is_not_counted(crossed: Results) -> None:
    arm = crossed.effects["arm_id"].iloc[0]
    is_alone = crossed.trials["arm_id"].eq(arm) & crossed.trials["teacher_id"].eq("t1")
    of_arm = crossed.trials["arm_id"].eq(arm)
    trials = crossed.trials.assign(**{"config.teacher.seed": crossed.trials["config.teacher.seed"].mask(of_arm, 7)})
    results = replace(crossed, trials=trials[~is_alone].reset_index(drop=True))
    assert "hold over 2 teachers crossed with" in held_for_text(results)
    assert "seed 7" not in held_for_text(results)
    assert "taught by 2 teachers," in scope_text(results)
    assert "seeds × 2 teachers (1 arm with one or none)" in methods_text(results)
    twice = pd.concat([results.trials, results.trials.assign(context="b", arm_id="b" + results.trials["arm_id"])])
    assert "in 2 contexts" in methods_text(replace(results, trials=twice.reset_index(drop=True)))
    assert "teachers (1 arm with one or none)" in methods_text(replace(results, trials=twice.reset_index(drop=True)))


def test_the_teachers_are_a_table_with_seed_and_epochs_and_their_cost_is_said_apart(crossed: Results) -> None:
    head, *rows = side_tables(crossed)["teachers"].rows
    at = [head.index(name) for name in ("teacher", "data", "seed", "epochs", "validation accuracy (%)")]
    assert [[row[i] for i in at] for row in rows] == [
        ["resnet20", "digits", str(seed), "30", f"{90 + seed}.00"] for seed in (0, 1)
    ]
    assert ["training time of teachers", "0.50 hours; 1 found trained"] in provenance_rows(crossed)


def test_arms_that_are_not_crossed_with_teachers_are_counted_apart(crossed: Results) -> None:
    trials = crossed.trials
    alone = trials["arm"].isin(["baseline", "theta=0.0"])
    partly = replace(crossed, trials=trials[~(alone & trials["config.teacher.seed"].eq(1))].reset_index(drop=True))
    arms, seeds = (trials[name].nunique() for name in ("arm", "seed"))
    assert f"× {seeds} seeds × 2 teachers:" in methods_text(crossed)
    said = f"{len(partly.trials)} trials, {arms} arms × {seeds} seeds × 2 teachers (2 arms with one or none):"
    assert said in methods_text(partly)


def test_one_teacher_is_named(ablation: Path) -> None:
    results = load(ablation)
    columns: dict[str, Any] = {"config.teacher.model": "wrn_40_2", "config.teacher.seed": 3}
    one = replace(results, trials=results.trials.assign(**columns))
    assert "The verdicts hold for one teacher: wrn_40_2, seed 3." in methods_text(one)
    assert "The verdicts hold" not in methods_text(results)
    read = replace(one, trials=one.trials.assign(**{"config.teacher.checkpoint": "good.pth"}))
    assert "The verdicts hold for one teacher: wrn_40_2 of good.pth." in methods_text(read)
