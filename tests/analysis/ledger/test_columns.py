"""Columns of the tables."""

import math
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from analysis.ledger.columns import Null, repeated, timestamps, typed_column


def test_minus_zero_is_zero() -> None:
    for values in ([-0.0, 1.0], [0, -0.0], [-0.0, "a"]):
        assert "-" not in str(typed_column(values).to_pylist())


@pytest.mark.parametrize(
    ("values", "arrow_type", "expected"),
    [
        ([True, None, False], pa.bool_(), [True, None, False]),
        ([1, 2, None], pa.int64(), [1, 2, None]),
        ([1, 0.5], pa.float64(), [1.0, 0.5]),
        (["last", None], pa.string(), ["last", None]),
        ([1, "last", True], pa.string(), ["1", "last", "True"]),
        ([1, "1", 1.5, True, Null.PYTHON, None], pa.string(), ["1", '"1"', "1.5", "True", "None", None]),
        ([1, True], pa.string(), ["1", "True"]),
        (["None", Null.PYTHON, "null"], pa.string(), ['"None"', "None", '"null"']),
        (["sgd", Null.YAML], pa.string(), ["sgd", "null"]),
        (["1", "2"], pa.string(), ["1", "2"]),
        (["true", True, "a"], pa.string(), ['"true"', "True", "a"]),
        (['"1"', "1", 1], pa.string(), ['"\\"1\\""', '"1"', "1"]),
        ([[1, 2], "[1, 2]"], pa.string(), ["[1, 2]", '"[1, 2]"']),
        ([1, 1.0, "a"], pa.string(), ["1", "1", "a"]),
        ([1e300, 10**300, "a"], pa.string(), [str(int(1e300)), str(10**300), "a"]),
        ([2**70, 1], pa.string(), [str(2**70), "1"]),
        ([2**60 + 1, 0.5], pa.string(), [str(2**60 + 1), "0.5"]),
        ([math.inf, 1.0], pa.string(), ["Infinity", "1"]),
        (["[" * 9999, 1], pa.string(), ["[" * 9999, "1"]),
        ([[1, 2], None], pa.string(), ["[1, 2]", None]),
        ([None, None], pa.string(), [None, None]),
    ],
)
def test_a_column_takes_the_narrowest_type_that_holds_all_levels(
    values: list[Any], arrow_type: pa.DataType, expected: list[Any]
) -> None:
    column = typed_column(values)
    assert column.type == arrow_type
    assert column.to_pylist() == expected


def test_a_text_that_repeats_is_held_once() -> None:
    column = repeated(["a", "b", "a", "never"], pa.array([2, 1, 1, 0]))
    assert column.to_pylist() == ["a", "b", "b", "a"]
    assert column.dictionary.to_pylist() == ["a", "b", "never"]


def test_moments_are_utc_to_the_microsecond() -> None:
    column = timestamps([0.0, 1.2345678, math.nan, None])
    assert column.to_pylist() == [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 0, 1, 234568, tzinfo=UTC),
        None,
        None,
    ]
