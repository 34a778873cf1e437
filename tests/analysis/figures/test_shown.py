"""Arms in figures: which are shown where there are many, and what their panels are called."""

import re
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from analysis import load
from analysis.figures import history, module_of, pareto
from analysis.figures.shown import MAX_MARKS, in_panels, largest_effects, left_out, panel_title, thinned, thinned_text
from analysis.figures.theme import epoch_axis


def test_the_largest_effects_keep_the_order_of_the_table() -> None:
    effects = pd.DataFrame({"arm": list("abcd"), "effect": [1.0, -3.0, float("nan"), 2.0]})
    assert largest_effects(effects, 2)["arm"].tolist() == ["b", "d"]
    assert largest_effects(effects, 9)["arm"].tolist() == ["a", "b", "c", "d"]
    assert left_out(4, 4) == ""
    assert left_out(2, 4) == " Only the 2 arms with the largest effects are drawn, of 4."


def test_a_long_name_is_broken_and_keeps_its_count() -> None:
    assert panel_title("kd", "", 8) == "kd  (n = 8)"
    assert panel_title("kd", "digits", 8) == "digits: kd  (n = 8)"
    title = panel_title("pairing=smallest, temperature=0.05, negatives=128", "", 3)
    assert title.split("\n") == ["pairing=smallest,", "temperature=0.05, negatives=128", "(n = 3)"]


def test_every_panel_has_its_axis_below_and_none_stands_where_there_is_no_panel() -> None:
    rows = [{"panel": title, "epoch": epoch, "mean": 1.0} for title in "abcd" for epoch in (1, 2)]
    line = alt.Chart().mark_line().encode(x=alt.X("epoch:Q", axis=epoch_axis(rows)), y="mean:Q")
    drawn = vl_convert.vegalite_to_svg(in_panels([line], rows, shares_axis=True).to_dict())
    assert drawn.count("X-axis") == 4
    assert re.findall(r">(\d)</text>", drawn).count("1") == re.findall(r">(\d)</text>", drawn).count("2") == 4


def arms(count: int) -> pd.DataFrame:
    return pd.DataFrame({"number": np.arange(count)}, index=np.arange(count) + 7)


def test_as_many_as_can_be_drawn_are_drawn() -> None:
    assert thinned(arms(MAX_MARKS)).equals(arms(MAX_MARKS))
    assert thinned(arms(0)).empty
    assert thinned_text(MAX_MARKS, MAX_MARKS) == ""


def test_of_more_every_so_many_are_drawn_in_their_order_and_those_to_be_kept() -> None:
    many = arms(3 * MAX_MARKS)
    assert thinned(many)["number"].tolist() == [*range(0, 3 * MAX_MARKS, 3)]
    drawn = thinned(many, many["number"].isin([1, 2, 3]))
    assert drawn["number"].tolist() == [0, 1, 2, *range(3, 3 * MAX_MARKS, 3)]


def test_the_caption_says_which() -> None:
    assert thinned_text(1000, 5000) == " 1000 of 5000 are drawn, an even sample."
    assert thinned_text(9, 50, "the front") == " 9 of 50 are drawn, an even sample and the front."


@pytest.mark.parametrize("name", ["history", "slices", "rank_map", "parallel", "pareto"])
def test_figures_of_many_arms_say_how_many_they_draw(search: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = module_of(name).record(load(search))
    assert whole is not None
    assert " are drawn" not in whole.caption
    monkeypatch.setattr("analysis.figures.shown.MAX_MARKS", 20)
    drawn = module_of(name).record(load(search))
    assert drawn is not None
    assert re.search(r" \d+ of \d+ are drawn", drawn.caption)


def test_what_a_figure_is_about_is_always_drawn(search: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = load(search)
    line, front = history.record(results), pareto.record(results)
    monkeypatch.setattr("analysis.figures.shown.MAX_MARKS", 20)
    thin_line, thin_front = history.record(results), pareto.record(results)
    assert line
    assert front
    assert thin_line
    assert thin_front
    assert dict.fromkeys(row["best"] for row in thin_line.rows) == dict.fromkeys(row["best"] for row in line.rows)
    assert [row for row in thin_front.rows if row["side"] == pareto.FRONT] == [
        row for row in front.rows if row["side"] == pareto.FRONT
    ]
