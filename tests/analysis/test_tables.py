"""Tables as people read them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import load
from analysis.tables import effects_rows, main_rows, markdown, number_text, p_text, trial_rows


def test_the_baseline_comes_first_and_effects_carry_their_sign(ablation: Path) -> None:
    header, baseline, *arms = effects_rows(load(ablation))
    assert header == [
        "arm",
        "n",
        "test accuracy (%), mean ± sd",
        "effect [95% interval] (percentage points)",
        "p",
        "p (Holm)",
        "note",
    ]
    assert (baseline[0], baseline[3]) == ("baseline", "baseline")
    assert [row[0] for row in arms] == ["temperature=0.5", "temperature=0.05", "theta=0.0", "pairing=first"]
    assert arms[0][3].startswith("−2.9")
    assert {len(row) for row in (header, baseline, *arms)} == {7}


def test_what_is_missing_stands_in_the_note(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=["baseline", "theta=0.0"], seeds=1)
    ledger.plan("theta=0.0", 1)
    ledger.plan("baseline", 1)
    ledger.close_segment()
    _, baseline, arm = effects_rows(load(ledger.run))
    assert baseline[-1] == "one complete trial: no spread"
    assert arm[4:] == ["–", "–", "one pair: no interval; seed 1: planned, baseline planned"]


def test_a_search_without_confirmation_answers_with_its_leaderboard(search: Path) -> None:
    title, rows = main_rows(load(search))
    assert title == "Best arms by search score (selected on it: optimistic)"
    assert rows[0][2] == "validation accuracy (%), search score"
    assert len(rows) == 11


def test_every_trial_has_a_row(search: Path) -> None:
    header, *rows = trial_rows(load(search))
    assert len(rows) == 60
    failed = dict(zip(header, rows[5], strict=True))
    assert (failed["status"], failed["reason"], failed["trial"]) == ("failed", "loss is NaN", "6")


@pytest.mark.parametrize(
    ("p", "text"), [(1e-9, "< 0.001"), (0.0123, "0.012"), (0.5, "0.50"), (1.0, "1.00"), (np.nan, "–")]
)
def test_a_p_value_is_never_printed_as_zero(p: float, text: str) -> None:
    assert p_text(p) == text


def test_numbers_that_are_missing_are_a_dash() -> None:
    assert [number_text(value, 1) for value in (None, np.nan, -1.25)] == ["–", "–", "−1.2"]


def test_cells_do_not_break_a_markdown_table() -> None:
    assert markdown([["arm", "note"], ["a|b", "two\nlines"]]) == (
        "| arm | note |\n| --- | --- |\n| a\\|b | two lines |\n"
    )
