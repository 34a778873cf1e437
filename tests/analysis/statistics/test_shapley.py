"""Shapley values: by enumerating all orders of the components, at each seed."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import analysis
from analysis.statistics.shapley import ALL, CHANGES_NOTHING
from cktf.errors import InputError

PARTS = ["a", "b", "c"]


def table(seeds: int = 4, **changes: Any) -> pd.DataFrame:
    """Return scores of a 2^3 grid: interactions of two and of three components, and what seeds share."""
    draws = np.random.default_rng(3)
    rows = []
    for seed in range(seeds):
        shift = draws.normal()
        for a, b, c in itertools.product((0, 1), (0, 1), (0, 1)):
            score = 70 + 5 * a - 2 * b + 3 * a * c - 4 * a * b * c + shift + 0.3 * draws.normal()
            rows.append({"arm": f"{a}{b}{c}", "seed": seed, "a": a, "b": b, "c": c, "acc": score} | changes)
    return pd.DataFrame(rows)


def by_orders(scores: pd.DataFrame, part: str) -> float:
    """Return the mean over all orders of what switching the part on adds."""
    value = {tuple(row[name] for name in PARTS): row["acc"] for _, row in scores.iterrows()}
    added = []
    for order in itertools.permutations(PARTS):
        before = {*order[: order.index(part)]}
        off, on = (tuple(int(name in before | extra) for name in PARTS) for extra in (set(), {part}))
        added.append(value[on] - value[off])
    return float(np.mean(added))


def test_a_value_is_the_mean_over_all_orders_tested_over_seeds() -> None:
    scores = table()
    found = analysis.shapley(scores, factors=PARTS, metric="acc", baseline="000").set_index("factor")
    for part in PARTS:
        expected = [by_orders(of_seed, part) for _, of_seed in scores.groupby("seed")]
        assert found.at[part, "effect"] == pytest.approx(np.mean(expected))
        test = stats.ttest_1samp(expected, 0)
        assert found.at[part, "p"] == pytest.approx(test.pvalue)
        assert (found.at[part, "low"], found.at[part, "high"]) == pytest.approx(tuple(test.confidence_interval()))
    assert found.loc[PARTS, "effect"].sum() == pytest.approx(found.at[ALL, "effect"])
    assert np.isnan(found["p_holm"][ALL])
    assert (found.loc[PARTS, "p_holm"] >= found.loc[PARTS, "p"]).all()


def test_without_noise_the_values_are_those_worked_out_by_hand() -> None:
    # v = 5a - 2b + 3ac - 4abc: a pair's 3 is halved between a and c, the triple's -4 is cut in three.
    scores = pd.DataFrame(
        {"arm": f"{a}{b}{c}", "seed": 0, "a": a, "b": b, "c": c, "acc": 5 * a - 2 * b + 3 * a * c - 4 * a * b * c}
        for a, b, c in itertools.product((0, 1), (0, 1), (0, 1))
    )
    found = analysis.shapley(scores, factors=PARTS, metric="acc", baseline="000").set_index("factor")["effect"]
    assert found.tolist() == pytest.approx([5 + 1.5 - 4 / 3, -2 - 4 / 3, 1.5 - 4 / 3, 2.0])


def test_off_is_the_level_that_is_0_whatever_the_baseline_has() -> None:
    full = analysis.shapley(table(), factors=PARTS, metric="acc", baseline="111")
    pd.testing.assert_frame_equal(full, analysis.shapley(table(), factors=PARTS, metric="acc", baseline="000"))
    named = table().assign(b=lambda scores: scores["b"].map({0: "last", 1: "first"}))
    turned = analysis.shapley(named, factors=PARTS, metric="acc", baseline="000")
    assert (turned["level"][1], turned["off"][1]) == ("first", "last")
    other = analysis.shapley(named, factors=PARTS, metric="acc", baseline="010").set_index("factor")
    assert other.loc["b", ["level", "off"]].to_numpy().tolist() == ["last", "first"]


def test_a_component_that_changes_no_arm_is_said_so_and_a_lost_arm_too() -> None:
    alike = table()
    alike.loc[alike["arm"] == "111", "acc"] = np.nan
    found = analysis.shapley(alike, factors=PARTS, metric="acc", baseline="000")
    assert found["reason"].str.contains("no complete trial").all()
    assert found["p"].isna().all()
    assert CHANGES_NOTHING not in set(found["reason"])


def test_there_is_none_of_less_than_a_full_grid_of_two_levels() -> None:
    scores = table()
    assert analysis.shapley(scores[scores["arm"] != "111"], factors=PARTS, metric="acc", baseline="000").empty
    assert analysis.shapley(scores[scores["b"] + scores["c"] == 0], factors=["a"], metric="acc", baseline="000").empty
    half = scores[(scores["a"] + scores["b"] + scores["c"]) % 2 == 0]
    assert analysis.shapley(half, factors=PARTS, metric="acc", baseline="000").empty
    four = scores.assign(pair=2 * scores["a"] + scores["b"])
    four = four[four["c"] == 0]  # as many cells as two factors of two levels have
    assert analysis.shapley(four, factors=["pair", "c"], metric="acc", baseline="000").empty
    with pytest.raises(InputError, match="no column of levels is called 'd'"):
        analysis.shapley(scores, factors=[*PARTS, "d"], metric="acc", baseline="000")
