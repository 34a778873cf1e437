"""The table of search scores."""

from pathlib import Path

from analysis import load
from analysis.report.tables import main_tables


def test_a_search_without_confirmation_answers_with_its_leaderboard(search: Path) -> None:
    (table,) = main_tables(load(search))
    title, rows = table.title, table.rows
    assert title == "Best arms by search score (selected on it: optimistic)"
    assert rows[0][2] == "validation accuracy (%), search score"
    assert len(rows) == 11
