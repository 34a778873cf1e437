"""The table of confirmed arms."""

from pathlib import Path

from analysis import load
from analysis.report.tables import main_tables, side_tables


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
    assert "The rest of the difference is the luck of the search's seeds, which all its arms share" in table.remark
    effect = next(row for row in main_tables(results)[0].rows if row[0] == "search-1")
    assert arm[7:] == [effect[3], "helps"]
