"""Tables beside the answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis import load
from analysis.side_tables import side_tables
from analysis.tables import main_tables


def test_what_stands_behind_the_verdicts_has_a_row_for_every_arm(contexts_writer: Callable[..., Any]) -> None:
    ledger = contexts_writer(seeds=6, delta=1.0)
    ledger.close_segment()
    results = load(ledger.run)
    table = side_tables(results)["pairing"]
    head, *rows = table.rows
    assert head[2:] == [
        *("correlation", "seeds if unpaired", "g_z", "p (t)", "p (equivalence)", "p (equivalence, Holm)"),
        "p (sign flip)",
    ]
    assert [row[0] for row in rows] == ["digits: kd", "digits: fsp", "clothes: kd"]
    assert all(cell != "–" for row in rows for cell in row)
    assert "within ±1 percentage points (delta)" in main_tables(results)[1].remark


def test_effects_over_contexts_stand_where_there_are_several(contexts: Path) -> None:
    table = side_tables(load(contexts))["over_contexts"]
    (row,) = table.rows[1:]
    assert row[:3] == ["kd", "2", "1"]
    assert row[3].startswith("−1.")


def test_the_factors_of_a_grid_have_a_row_for_every_contrast(grid: Path) -> None:
    tables = side_tables(load(grid))
    assert list(tables) == ["interactions", "pairing"]
    table = tables["interactions"]
    assert [row[0] for row in table.rows[1:]] == [
        "cktf.temperature=0.5",
        "cktf.temperature=1.0",
        "cktf.theta=0.0",
        "cktf.temperature=0.5 × cktf.theta=0.0",
        "cktf.temperature=1.0 × cktf.theta=0.0",
    ]
    assert table.rows[5][2].startswith("+3.")


def test_confirmed_arms_have_their_search_score_and_what_it_shrank_by(confirmed_search: Path) -> None:
    results = load(confirmed_search)
    table = side_tables(results)["confirmed"]
    head, baseline, arm = table.rows
    assert head == [
        *("arm", "rank", "search score (%)", "seeds", "mean [95% interval] (%)"),
        *("shrinkage (percentage points)", "effect [95% interval] (percentage points)", "verdict"),
    ]
    assert baseline[:4] == ["baseline", "–", "–", "5"]
    assert baseline[5:] == ["–", "baseline", "–"]
    found = results.confirmed.set_index("arm").loc["search-1"]
    assert arm[2] == f"{found['search_score']:.2f}"
    assert arm[4] == f"{found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
    assert arm[5] == f"{found['shrinkage']:+.2f}".replace("-", "−")
    effect = next(row for row in main_tables(results)[0].rows if row[0] == "search-1")
    assert arm[6:] == [effect[3], "helps"]


def test_importances_have_a_row_for_every_factor(search: Path) -> None:
    table = side_tables(load(search))["importances"]
    assert table.rows[0][1:] == [
        *("PED-ANOVA [95% interval]", "PED-ANOVA, first in %", "fANOVA [95% interval]", "fANOVA, first in %"),
        "note",
    ]
    assert table.rows[1][0] == "objective.cktf.temperature"
    assert len(table.rows) == 4
    assert "PED-ANOVA counts a pruned arm as tried, and as not among the best" in table.remark
