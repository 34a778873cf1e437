"""The winner's curse: what is drawn."""

from pathlib import Path
from types import SimpleNamespace

from analysis import load
from analysis.figures.winners_curse import record


def test_confirmed_arms_stand_beside_their_search_scores(confirmed_search: Path) -> None:
    results = load(confirmed_search)
    curse = record(results)
    assert curse is not None
    baseline, arm = curse.rows
    assert baseline["label"] == "baseline  (n = 5)"
    assert baseline["search"] is None
    assert arm["label"] == "search-1  (n = 5)"
    confirmed = results.confirmed.set_index("arm").loc["search-1"]
    assert [arm[name] for name in ("search", "mean", "low", "high")] == [
        confirmed[name] for name in ("search_score", "mean", "low", "high")
    ]
    shrinkage = f"{confirmed['shrinkage']:+.2f}".replace("-", "−")
    assert f"too good by {shrinkage} percentage points on average" in curse.caption


def test_a_baseline_that_the_search_happened_to_try_was_not_chosen(confirmed_search: Path) -> None:
    results = load(confirmed_search)
    found = results.confirmed.copy()
    found.loc[found["is_baseline"], ["search_score", "shrinkage"]] = [99.0, 50.0]
    curse = record(SimpleNamespace(facts=results.facts, confirmed=found))  # type: ignore[arg-type]
    was = record(results)
    assert curse
    assert was
    assert curse.caption == was.caption


def test_without_confirmation_nothing_is_drawn(search: Path, ablation: Path) -> None:
    assert record(load(search)) is None
    assert record(load(ablation)) is None
