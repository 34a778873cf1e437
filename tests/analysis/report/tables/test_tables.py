"""All tables of a report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import load
from analysis.report.table import SMOKE, markdown_tables
from analysis.report.tables import main_tables, side_tables


def test_every_table_of_a_smoke_run_says_that_its_numbers_mean_nothing(contexts_writer: Callable[..., Any]) -> None:
    results = load(contexts_writer(is_smoke=True).close())
    tables = main_tables(results)
    assert len(tables) == 3
    for table in (*tables, *side_tables(results).values()):
        assert table.title.startswith("Smoke run: ")
        assert table.remark.startswith(SMOKE)
    assert markdown_tables(tables).count(SMOKE) == 3


@pytest.mark.parametrize(("maximise", "word"), [(True, "larger"), (False, "smaller")])
def test_every_table_of_the_metric_says_which_direction_is_better(
    contexts_writer: Callable[..., Any], *, maximise: bool, word: str
) -> None:
    results = load(contexts_writer(maximise=maximise).close())
    for table in (*main_tables(results), *side_tables(results).values()):
        assert table.remark.startswith(f"Of test accuracy, {word} is better.")


def test_a_search_says_it_too_but_not_of_what_is_no_score(search: Path) -> None:
    results = load(search)
    assert main_tables(results)[0].remark.startswith("Of validation accuracy, larger is better.")
    assert "is better" not in side_tables(results)["importance"].remark


def test_where_arms_cannot_be_judged_the_other_tables_are_there(
    ablation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("margin")

    monkeypatch.setattr("analysis.study_tables.arms", fail)
    tables = side_tables(load(ablation))
    assert tables["components"].why_not == "cannot be made: KeyError: 'margin'"
    assert not tables["settings"].why_not
