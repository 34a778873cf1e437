"""The table of importances."""

from pathlib import Path

from analysis import load
from analysis.report.tables import side_tables


def test_importances_have_a_row_for_every_factor(search: Path) -> None:
    table = side_tables(load(search))["importance"]
    assert table.rows[0][1:] == [
        *("PED-ANOVA, split [95% interval]", "PED-ANOVA, first in %"),
        *("fANOVA, share of variance [95% interval]", "fANOVA, first in %", "note"),
    ]
    assert table.rows[1][0] == "objective.cktf.temperature"
    assert [table.rows[-1][index] for index in (0, 1, 2, 4)] == ["interactions", "–", "–", "–"]
    assert len(table.rows) == 5
    assert "PED-ANOVA counts a pruned arm as tried, and as not among the best" in table.remark
