"""The table of arms beside contexts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis import load
from analysis.report.tables import main_tables
from analysis.report.tables.effects import effects_rows

DIRECTION = "Of test accuracy, larger is better. "


def test_several_contexts_stand_side_by_side_before_the_effects_of_each(contexts: Path) -> None:
    results = load(contexts)
    across, digits, clothes = main_tables(results)
    assert across.title == "Test accuracy (%), mean ± sd"
    assert digits.title == "Effects on test accuracy: digits"
    assert clothes.rows == effects_rows(results, "clothes")
    mean = results.arms.set_index(["context", "arm"])["mean"]
    header, teacher, baseline, kd, fsp = across.rows
    assert header == ["arm", "digits", "clothes"]
    assert teacher == ["teacher", "96.50 (97.50)", "80.00"]
    assert baseline[1].startswith(f"{mean['digits', 'baseline']:.2f} ± ")
    assert baseline[1].endswith(" (89.50)")
    assert kd[2].startswith(f"{mean['clothes', 'kd']:.2f} ± ")
    assert (fsp[0], fsp[2]) == ("fsp", "–")
    assert across.remark.startswith(
        DIRECTION + "n = 4 in each cell. In parentheses: the reference, Some et al. 2023, Table 1. * Told from"
    )


def test_cells_say_how_many_seeds_they_are_of_where_these_differ(contexts_writer: Callable[..., Any]) -> None:
    ledger = contexts_writer()
    ledger.train(ledger.plan("fsp", 7, context="digits"), 88.0)
    across = main_tables(load(ledger.close()))[0]
    assert across.rows[2][1].endswith(", n = 4 (89.50)")
    assert across.rows[4][1].endswith(", n = 5")
    assert across.remark.startswith(DIRECTION + "n is the number of seeds. In")


def test_teachers_that_differ_within_a_context_are_not_told(contexts_writer: Callable[..., Any]) -> None:
    ledger = contexts_writer()
    ledger.train(ledger.plan("other teacher", 0, context="digits", teacher_id="teacher-clothes"), 90.0)
    assert main_tables(load(ledger.close()))[0].rows[1] == ["teacher", "– (97.50)", "80.00"]
