"""The Pareto front of a search of one metric against its training time: what is drawn."""

from pathlib import Path

from analysis import load
from analysis.figures.pareto import FRONT, record


def test_the_best_and_the_quickest_are_on_the_front(search: Path) -> None:
    results = load(search)
    found = record(results)
    assert found is not None
    assert len(found.rows) == 51
    # All arms took as long, so the best alone is on the front.
    (best,) = [row for row in found.rows if row["side"] == FRONT]
    assert best["score"] == results.leaderboard["score"][0]
    assert "n = 51 complete arms" in found.caption
    assert "on cpu" in found.caption
