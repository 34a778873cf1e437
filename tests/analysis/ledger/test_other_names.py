"""The other names of an arm: in the table of trials, in its levels, and beside its figures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import load, write_report
from analysis.ledger.other_names import other_names, under_every_name
from analysis.report.tables.effects import effects_rows

TEMPERATURE, THETA = "objective.cktf.temperature", "objective.cktf.theta"
NAMES = ("temperature=0.1, theta=0.0", "temperature=1.0, theta=0.0")


@pytest.fixture
def merged(grid_writer: Callable[..., Any]) -> Path:
    """Return the run directory of a grid whose arms at theta 0 train alike."""
    levels = (0.1, 1.0)
    aliases = [
        {"arm": name, "params": {TEMPERATURE: level, THETA: 0.0}} for name, level in zip(NAMES, levels, strict=True)
    ]
    run: Path = grid_writer(aliases={"temperature=0.5, theta=0.0": aliases}).close()
    return run


def test_the_table_of_trials_lists_them_and_is_empty_where_there_are_none(merged: Path) -> None:
    trials = load(merged).trials
    assert other_names(trials) == {"arm-temperature=0.5, theta=0.0": list(NAMES)}
    assert set(trials.loc[trials["is_baseline"], "aliases"]) == {""}
    assert other_names(trials.drop(columns="aliases")) == {}


def test_a_name_under_which_a_run_has_trials_is_no_other_name(grid_writer: Callable[..., Any]) -> None:
    ledger = grid_writer(aliases={"baseline": [{"arm": "later", "params": {TEMPERATURE: 7.0}}]})
    ledger.train(ledger.plan("later", 0, {TEMPERATURE: 7.0, THETA: 0.1}), 90.0)
    assert other_names(load(ledger.close()).trials) == {}


def test_levels_under_another_name_have_the_type_of_their_column() -> None:
    arms = pd.DataFrame(
        {
            "arm_id": ["one", "two"],
            "aliases": ['[{"arm": "x", "params": {"a": 4, "b": null, "c": true}}]', ""],
            "param.a": [0.5, 1.0],
            "param.b": ["first", "last"],
            "param.c": [False, False],
        }
    )
    named = under_every_name(arms)
    assert named[list(arms)].dtypes.equals(arms.dtypes)
    assert named["is_other_name"].tolist() == [False, False, True]
    assert named["param.a"].tolist() == [0.5, 1.0, 4.0]
    assert named["param.b"].isna().tolist() == [False, False, True]
    assert named["param.c"].tolist() == [False, False, True]


def test_tables_and_page_say_which_names_are_one_arm(merged: Path) -> None:
    results = load(merged)
    rows = {row[0]: row[-1] for row in effects_rows(results)}
    also = f"also: {', '.join(NAMES)}"
    assert rows["temperature=0.5, theta=0.0"] == also
    assert rows["baseline"] == ""
    assert len(results.effects) == 3
    write_report(merged)
    assert also in (merged / "report" / "report.html").read_text()
