"""Levels of a factor, one by one or in groups."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import load
from analysis.statistics.levels import factor_label, in_groups, in_level_order, is_logarithmic, is_numeric


@pytest.mark.parametrize(
    ("levels", "is_log"),
    [
        ([16, 64, 256, 1024], True),
        ([0.05, 0.1, 0.5], True),
        ([0.1, 0.5, 1.0], False),
        ([1, 2, 3, 4, 5], False),
        ([0.0, 0.1, 1.0], False),  # zero has no logarithm
        ([0.01, 1.0], False),  # of two levels nothing can be told
    ],
)
def test_levels_are_logarithmic_where_their_ratios_are_evener_than_their_differences(
    levels: list[float], *, is_log: bool
) -> None:
    assert is_logarithmic(np.array(levels, np.float64)) is is_log


def test_truth_values_are_no_numbers() -> None:
    assert is_numeric(pd.Series([1, 2]))
    assert not is_numeric(pd.Series([True, False]))
    assert not is_numeric(pd.Series(["a", "b"]))


def test_few_levels_stand_one_by_one_numbers_in_their_order() -> None:
    numbers = in_groups(pd.Series([0.5, 0.1, np.nan, 0.5]))
    assert numbers.cat.categories.tolist() == ["0.1", "0.5"]
    assert numbers.tolist() == ["0.5", "0.1", np.nan, "0.5"]
    assert in_groups(pd.Series([16, None, 4], dtype="Int64")).tolist() == ["16", np.nan, "4"]
    assert in_groups(pd.Series([20230102, 20230101])).cat.categories.tolist() == ["20230101", "20230102"]
    assert in_groups(pd.Series(["last", None, "first"])).cat.categories.tolist() == ["last", "first"]
    assert in_groups(pd.Series([False, True])).cat.categories.tolist() == ["False", "True"]
    assert in_groups(pd.Series([True, None], dtype="boolean")).tolist() == ["True", np.nan]


def test_a_factor_is_named_by_its_last_words(search: Path) -> None:
    results = load(search)
    assert factor_label("objective.cktf.temperature", results.facts.study.factors) == "cktf.temperature"


def test_arms_stand_in_the_order_of_their_levels_within_contexts_as_they_stand() -> None:
    arms = {"a": (2.0, 1.0), "b": (0.0, 8.0), "c": (0.0, 1.0), "d": (1.0, 8.0)}
    trials = pd.DataFrame(
        [{"arm_id": arm, "param.x": x, "param.y": y} for arm, (x, y) in arms.items() for _ in range(2)]
    )
    rows = pd.DataFrame({"arm_id": ["d", "a", "b", "c"], "context": ["q", "p", "p", "p"]})
    assert [*in_level_order(rows, trials, ["x", "y", "z"])["arm_id"]] == ["d", "c", "b", "a"]
