"""The history of a search: what is drawn."""

from pathlib import Path

from analysis import load
from analysis.figures.history import record


def test_the_line_is_the_best_complete_score_so_far(search: Path) -> None:
    history = record(load(search))
    assert history is not None
    best = float("-inf")
    for row in history.rows:
        best = max(best, row["score"]) if row["status"] == "complete" else best
        assert row["best"] == best
    assert [row["number"] for row in history.rows][:3] == [1, 2, 3]
    assert {row["status"] for row in history.rows} == {"complete", "pruned"}


def test_a_design_has_no_history(ablation: Path) -> None:
    assert record(load(ablation)) is None
