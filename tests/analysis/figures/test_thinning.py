"""Figures of many arms draw some of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import load
from analysis.figures import FIGURES, history, pareto
from analysis.figures.thinning import MAX_MARKS, thinned, thinned_text


def arms(count: int) -> pd.DataFrame:
    return pd.DataFrame({"number": np.arange(count)}, index=np.arange(count) + 7)


def test_as_many_as_can_be_drawn_are_drawn() -> None:
    few = arms(MAX_MARKS)
    assert thinned(few) is few
    assert thinned_text(MAX_MARKS, MAX_MARKS) == ""


def test_of_more_every_so_many_are_drawn_in_their_order() -> None:
    drawn = thinned(arms(10 * MAX_MARKS))["number"]
    assert len(drawn) == MAX_MARKS
    assert (drawn.iloc[0], drawn.iloc[-1]) == (0, 10 * MAX_MARKS - 1)
    assert set(drawn.diff().dropna()) <= {10, 11}


@pytest.mark.parametrize("num_kept", [0, 1, 30, MAX_MARKS + 5])
def test_those_to_be_kept_are_drawn_in_any_case(num_kept: int) -> None:
    many = arms(3 * MAX_MARKS)
    keep = many["number"].isin(np.random.default_rng(0).permutation(len(many))[:num_kept])
    drawn = thinned(many, keep)
    assert set(many.index[keep]) <= set(drawn.index)
    assert len(drawn) == max(MAX_MARKS, num_kept)
    assert drawn["number"].is_monotonic_increasing


def test_the_caption_says_which() -> None:
    assert thinned_text(1000, 5000) == " 1000 of 5000 are drawn, evenly spaced in the order of planning."
    assert thinned_text(9, 50, "the front") == " 9 of 50 are drawn: the front, and an even sample of the others."


@pytest.mark.parametrize("name", ["history", "slices", "rank_map", "parallel", "pareto"])
def test_figures_of_many_arms_say_how_many_they_draw(search: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FIGURES[name].record(load(search))
    assert whole is not None
    assert " are drawn" not in whole.caption
    monkeypatch.setattr("analysis.figures.thinning.MAX_MARKS", 20)
    drawn = FIGURES[name].record(load(search))
    assert drawn is not None
    assert " 20 of " in drawn.caption


def test_what_a_figure_is_about_is_always_drawn(search: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = load(search)
    line, front = history.record(results), pareto.record(results)
    monkeypatch.setattr("analysis.figures.thinning.MAX_MARKS", 20)
    thin_line, thin_front = history.record(results), pareto.record(results)
    assert line
    assert front
    assert thin_line
    assert thin_front
    assert dict.fromkeys(row["best"] for row in thin_line.rows) == dict.fromkeys(row["best"] for row in line.rows)
    assert [row for row in thin_front.rows if row["side"] == pareto.FRONT] == [
        row for row in front.rows if row["side"] == pareto.FRONT
    ]
