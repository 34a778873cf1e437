"""Tables beside the answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import load
from analysis.report.effects_table import main_tables
from analysis.report.side_tables import side_tables


def test_what_stands_behind_the_verdicts_has_a_row_for_every_arm(contexts_writer: Callable[..., Any]) -> None:
    ledger = contexts_writer(seeds=6, delta=1.0)
    ledger.close_segment()
    results = load(ledger.run)
    table = side_tables(results)["pairing"]
    head, *rows = table.rows
    assert head[2:] == [
        *("correlation [95% interval]", "g_z", "simultaneous interval (percentage points)"),
        *("detectable (percentage points)", "p (t)", "p (equivalence)", "p (equivalence, Holm)"),
        *("p (sign flip)", "p (sign flip, Holm)"),
    ]
    assert [row[0] for row in rows] == ["digits: kd", "digits: fsp", "clothes: kd"]
    assert all(cell != "–" for row in rows for cell in row)
    assert "within ±1 percentage points (delta)" in main_tables(results)[1].remark


@pytest.mark.parametrize("seeds", [4, 7, 8])
def test_seeds_if_unpaired_are_whole_and_said_from_eight_pairs_on(
    ablation_writer: Callable[..., Any], seeds: int
) -> None:
    ledger = ablation_writer(seeds=seeds)
    ledger.close_segment()
    results = load(ledger.run)
    table = side_tables(results)["pairing"]
    head, *rows = table.rows
    assert ("seeds if unpaired" in head) == (seeds >= 8) == ("Seeds if unpaired" in table.remark)
    assert results.effects["n_unpaired"].isna().all() == (seeds < 8)
    if seeds >= 8:
        assert all(row[head.index("seeds if unpaired")].isdigit() for row in rows)
    assert all((" [" in row[2]) == (seeds >= 5) for row in rows)


def test_effects_over_contexts_stand_where_there_are_several(contexts: Path) -> None:
    table = side_tables(load(contexts))["over_contexts"]
    (row,) = table.rows[1:]
    assert row[:3] == ["kd", "2", "1"]
    assert row[3].startswith("−1.")
    assert table.remark.endswith("over 1 arm.")


def test_what_a_fraction_confounds_is_noted_beside_the_effect(fraction: Path) -> None:
    table = side_tables(load(fraction))["interactions"]
    assert [row[-1] for row in table.rows] == [
        "note", *[""] * 4,
        "confounded with cktf.pairing=first × epochs=2",
        "confounded with cktf.theta=0.0 × epochs=2",
        "confounded with cktf.theta=0.0 × cktf.pairing=first",
    ]  # fmt: skip
    assert (
        "(Type III), by the contrast's values within each seed (Student's t, Hotelling's F)." in table.remark
    )
    assert "Effects that the fraction confounds share one figure" in table.remark


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
        *("above fresh (percentage points)", "luck of the selection (percentage points)"),
        *("effect [95% interval] (percentage points)", "verdict"),
    ]
    assert baseline[:4] == ["baseline", "–", "–", "5"]
    assert baseline[5:] == ["–", "–", "baseline", "–"]
    found = results.confirmed.set_index("arm").loc["search-1"]
    assert arm[2] == f"{found['search_score']:.2f}"
    assert arm[4] == f"{found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
    assert arm[5] == f"{found['above_fresh']:+.2f}".replace("-", "−")
    assert arm[6] == f"{found['selection_luck']:+.2f}".replace("-", "−")
    assert (
        "The rest of the difference is the luck of the search's seeds, which all its arms share"
        in table.remark
    )
    effect = next(row for row in main_tables(results)[0].rows if row[0] == "search-1")
    assert arm[7:] == [effect[3], "helps"]


def test_importances_have_a_row_for_every_factor(search: Path) -> None:
    table = side_tables(load(search))["importances"]
    assert table.rows[0][1:] == [
        *("PED-ANOVA, split [95% interval]", "PED-ANOVA, first in %"),
        *("fANOVA, share of variance [95% interval]", "fANOVA, first in %", "note"),
    ]
    assert table.rows[1][0] == "objective.cktf.temperature"
    assert [table.rows[-1][index] for index in (0, 1, 2, 4)] == ["interactions", "–", "–", "–"]
    assert len(table.rows) == 5
    assert "PED-ANOVA counts a pruned arm as tried, and as not among the best" in table.remark


def test_ranks_stand_where_there_are_several_contexts(many_contexts: Callable[..., Any]) -> None:
    table = side_tables(load(many_contexts(6, skipped=[("pair 2", "sp")])))["ranks"]
    assert table.rows[0] == ["arm", "contexts", "ranked in", "mean rank", "p (adjusted)", "note"]
    assert table.rows[1][:4] == ["kd", "6", "6", "1.00"]
    assert table.rows[-1] == [
        *("sp", "5", "0", "–", "–", "not planned in pair 2; not ranked, for it is missing in a context"),
    ]
    assert "3 arms are ranked in 6 contexts" in table.remark
    assert "Friedman's test: chi-square" in table.remark
    assert (
        "two arms are told apart if their mean ranks differ by 1.35 or more (the most possible is 2)"
        in table.remark
    )
    assert table.remark.endswith("So few contexts reveal only a large difference.")


def test_few_contexts_name_the_mixed_model_and_what_it_can_tell(many_contexts: Callable[..., Any]) -> None:
    table = side_tables(load(many_contexts(3)))["ranks"]
    assert table.rows[0][4] == "effect [95% interval] (percentage points)"
    assert table.rows[1][4].startswith("+")
    assert "A test of ranks needs 3 arms in 5 contexts." in table.remark
    assert "adjusted by Holm's method over 3 arms: so few contexts reveal only" in table.remark
    assert "chi-square" not in table.remark
