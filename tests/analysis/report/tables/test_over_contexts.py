"""The table of effects over contexts."""

from pathlib import Path

from analysis import load
from analysis.report.tables import side_tables


def test_effects_over_contexts_stand_where_there_are_several(contexts: Path) -> None:
    table = side_tables(load(contexts))["over_contexts"]
    (row,) = table.rows[1:]
    assert row[:3] == ["kd", "2", "1"]
    assert row[3].startswith("−1.")
    assert "adjusted by Holm's method over 1 arm, from 4 contexts on" in table.remark
    assert row[-2:] == ["undecided", "fewer than 4 contexts whose noise is known: each speaks for itself"]
