"""Arms in figures: which are shown, and what their panels are called."""

import pandas as pd

from analysis.figures.arms import largest_effects, left_out, panel_title


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
