"""Columns of the tables."""

import math
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from analysis.columns import repeated, timestamps, typed_column


@pytest.mark.parametrize(
    ("values", "arrow_type", "expected"),
    [
        ([True, None, False], pa.bool_(), [True, None, False]),
        ([1, 2, None], pa.int64(), [1, 2, None]),
        ([1, 0.5], pa.float64(), [1.0, 0.5]),
        (["last", None], pa.string(), ["last", None]),
        ([1, "last", True], pa.string(), ["1", "last", "true"]),
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
