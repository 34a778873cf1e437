"""The table of pairing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from analysis import load
from analysis.report.tables import main_tables, side_tables


def test_what_stands_behind_the_verdicts_has_a_row_for_every_arm(contexts_writer: Callable[..., Any]) -> None:
    results = load(contexts_writer(seeds=6, delta=1.0).close())
    table = side_tables(results)["pairing"]
    head, *rows = table.rows
    assert head[2:] == [
        *("correlation [95% interval]", "variance left [95% interval]"),
        *("detectable (percentage points)", "p (t)", "p (equivalence)", "p (equivalence, adjusted)"),
        *("p (sign flip)", "p (sign flip, Holm)"),
    ]
    assert [row[0] for row in rows] == ["digits: kd", "digits: fsp", "clothes: kd"]
    assert all(cell != "–" for row in rows for cell in row)
    assert "within ±1 percentage points (delta)" in main_tables(results)[-1].remark


def test_what_is_detectable_is_told_from_the_margin_in_the_direction_that_the_test_looks_in(
    ablation_writer: Callable[..., Any],
) -> None:
    remark = side_tables(load(ablation_writer(alternative="worse", margin=0.5).close()))["pairing"].remark
    assert "Detectable: the effect that so many pairs tell from -0.5 with" in remark


@pytest.mark.parametrize("seeds", [4, 7, 8])
def test_seeds_if_unpaired_are_whole_and_said_from_eight_pairs_on(
    ablation_writer: Callable[..., Any], seeds: int
) -> None:
    results = load(ablation_writer(seeds=seeds).close())
    table = side_tables(results)["pairing"]
    head, *rows = table.rows
    assert ("seeds if unpaired" in head) == (seeds >= 8) == ("Seeds if unpaired" in table.remark)
    assert results.effects["n_unpaired"].isna().all() == (seeds < 8)
    if seeds >= 8:
        assert all(row[head.index("seeds if unpaired")].isdigit() for row in rows)
    assert all((" [" in row[2]) == (seeds >= 5) for row in rows)


def test_where_the_number_of_seeds_depends_on_results_nothing_of_a_fixed_number_is_shown(
    ablation_writer: Callable[..., Any],
) -> None:
    plain = load(ablation_writer(seeds=7).close())
    extended = [replace(plain.facts.study, asked={"seeds": seeds}) for seeds in ("6", "7")]
    table = side_tables(replace(plain, facts=replace(plain.facts, launches=extended)))["pairing"]
    assert table.rows[0][4:] == ["p"]  # of the mixture t, not of a t test
    assert all(row[-1] != "–" for row in table.rows[1:])
    assert table.remark.endswith("pairing gained.")
    assert side_tables(plain)["pairing"].remark.endswith("The exact sign-flip test, from 6 pairs on, decides nothing.")
