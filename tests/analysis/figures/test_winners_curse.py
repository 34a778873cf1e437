"""The winner's curse: what is drawn."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from analysis import load
from analysis.figures.winners_curse import record
from analysis.searches.confirmed import luck_text


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
    luck, above = (f"{confirmed[name]:+.2f}".replace("-", "−") for name in ("selection_luck", "above_fresh"))
    assert (
        f"Luck of the selection, on average over the arms that were chosen by their search scores: {luck} percentage "
        f"points, of {above} percentage points by which the scores are above the fresh means." in curse.caption
    )
    assert "in the search, at 1 seed which all its arms share" in curse.caption
    assert "those of a sampler that learns are not" in curse.caption


def test_of_a_sampler_that_does_not_learn_arms_are_independent(confirmed_search: Path) -> None:
    study = replace(load(confirmed_search).facts.study, sampler="random")
    assert "a sampler that learns" not in luck_text(study)
    assert "a sampler that learns" in luck_text(replace(study, sampler="tpe"))


def test_a_baseline_that_the_search_happened_to_try_was_not_chosen(confirmed_search: Path) -> None:
    results = load(confirmed_search)
    found = results.confirmed.copy()
    found.loc[found["is_baseline"], ["search_score", "above_fresh", "selection_luck"]] = [99.0, 50.0, 40.0]
    curse = record(SimpleNamespace(facts=results.facts, confirmed=found))  # type: ignore[arg-type]
    was = record(results)
    assert curse
    assert was
    assert curse.caption == was.caption
