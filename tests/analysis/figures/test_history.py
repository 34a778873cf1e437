"""The history of a search: what is drawn."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis import load
from analysis.figures.history import record
from cktf.rows import Stage


def test_the_line_is_the_best_complete_score_so_far(search: Path) -> None:
    history = record(load(search))
    assert history is not None
    best = float("-inf")
    for row in history.rows:
        best = max(best, row["score"]) if row["status"] == "complete" else best
        assert row["best"] == best
    assert [row["number"] for row in history.rows][:3] == [1, 2, 3]
    assert {row["status"] for row in history.rows} == {"complete", "pruned"}
    assert history.confirmed == []


def test_confirmed_arms_have_their_means_at_fresh_seeds_beside_their_scores(confirmed_search: Path) -> None:
    results = load(confirmed_search)
    history = record(results)
    assert history is not None
    (arm,) = history.confirmed
    assert arm["arm"] == "search-1"
    searched = next(row for row in history.rows if row["arm"] == "search-1")
    assert (arm["number"], arm["score"]) == (searched["number"], searched["score"])
    confirmed = results.confirmed.set_index("arm").loc["search-1"]
    assert [arm[name] for name in ("mean", "low", "high")] == confirmed[["mean", "low", "high"]].to_numpy().tolist()
    assert "means at fresh seeds (n = 5)" in history.caption


def test_fresh_seeds_are_counted_of_the_arms_that_are_drawn(search_writer: Callable[..., Any]) -> None:
    ledger = search_writer(confirm=True)
    for seed in range(100, 103):
        ledger.train(ledger.plan("search-2", seed, stage=Stage.CONFIRM), 91.0)
    history = record(load(ledger.close()))
    assert history is not None
    assert {arm["arm"]: arm["n"] for arm in history.confirmed} == {"search-1": 5, "search-2": 3}
    assert "means at fresh seeds (n = 3 to 5)" in history.caption


def test_an_infinite_score_is_no_score(search_writer: Callable[..., Any]) -> None:
    results = load(search_writer(trials=12).close())
    before = record(results)
    trials = results.trials.copy()
    best = trials["validation_accuracy"].idxmax()
    trials.loc[best, "validation_accuracy"] = math.inf
    history = record(replace(results, trials=trials))
    assert before
    assert history
    assert len(history.rows) == len(before.rows) - 1
    assert all(math.isfinite(row["score"]) for row in history.rows)
    assert f"n = {len(history.rows)} trials" in history.caption
