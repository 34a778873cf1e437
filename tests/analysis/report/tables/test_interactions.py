"""The table of interactions."""

from pathlib import Path

from analysis import load
from analysis.report.tables import side_tables


def test_what_a_fraction_confounds_is_noted_beside_the_effect(fraction: Path) -> None:
    table = side_tables(load(fraction))["interactions"]
    assert [row[-1] for row in table.rows] == [
        "note", *[""] * 4,
        "confounded with cktf.pairing=first × epochs=2",
        "confounded with cktf.theta=0.0 × epochs=2",
        "confounded with cktf.theta=0.0 × cktf.pairing=first",
    ]  # fmt: skip
    assert "(Type III), by the contrast's values within each seed (Student's t, Hotelling's F)." in table.remark
    assert "Effects that the fraction confounds share one figure" in table.remark


def test_the_factors_of_a_grid_have_a_row_for_every_contrast(grid: Path) -> None:
    tables = side_tables(load(grid))
    assert list(tables) == ["settings", "components", "interactions", "pairing"]
    table = tables["interactions"]
    assert [row[0] for row in table.rows[1:]] == [
        "cktf.temperature=0.5",
        "cktf.temperature=1.0",
        "cktf.theta=0.0",
        "cktf.temperature=0.5 × cktf.theta=0.0",
        "cktf.temperature=1.0 × cktf.theta=0.0",
    ]
    assert table.rows[5][2].startswith("+3.")
