"""Arms in figures: which are shown, and what their panels are called."""

import re

import altair as alt
import pandas as pd
import vl_convert

from analysis.figures.arms import in_panels, largest_effects, left_out, panel_title
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
    drawn = vl_convert.vegalite_to_svg(in_panels([line], rows, list("abcd"), shares_axis=True).to_dict())
    assert drawn.count("X-axis") == 4
    assert re.findall(r">(\d)</text>", drawn).count("1") == re.findall(r">(\d)</text>", drawn).count("2") == 4
