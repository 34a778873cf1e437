"""Plain tables of results as tables of trials."""

import pandas as pd
import pytest

from analysis.plain import as_trials
from cktf.rows import Status

ROWS = {"arm": ["none", "none", "kd", "kd"], "seed": [0, 1, 0, 1], "accuracy": [0.9, 0.8, 0.95, float("nan")]}


def test_a_row_without_a_value_is_a_failed_trial() -> None:
    frame = pd.DataFrame(ROWS, index=[7, 7, 7, 7])
    trials = as_trials(frame, metric="accuracy", baseline="none")
    assert trials["status"].tolist() == [Status.COMPLETE] * 3 + [Status.FAILED]
    assert trials["is_baseline"].tolist() == [True, True, False, False]
    assert trials["arm_id"].tolist() == ["arm-0", "arm-0", "arm-1", "arm-1"]
    assert list(frame.columns) == list(ROWS)  # what was given stays as it was


def test_one_name_in_two_contexts_is_two_arms() -> None:
    frame = pd.DataFrame(ROWS).assign(context=["a", "b", "a", "b"])
    assert as_trials(frame, metric="accuracy", baseline="none")["arm_id"].nunique() == 4


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"accuracy": None}, "the table: no column is called 'accuracy'; there are: arm, seed"),
        ({"arm": ["none", None, "kd", "kd"]}, "the table: column 'arm' is empty in row 2"),
        ({"seed": [0, 0, 0, 1]}, "the table: arm 'none' has several rows at seed 0; an arm has one row at"),
        (
            {"arm": ["a", "a", "b", "b"]},
            "no arm is called 'none', which is to be the baseline; there are: a, b",
        ),
    ],
)
def test_what_is_missing_or_doubled_is_told(change: dict[str, list[object] | None], told: str) -> None:
    values = {name: column for name, column in (ROWS | change).items() if column is not None}
    with pytest.raises(ValueError) as error:
        as_trials(pd.DataFrame(values), metric="accuracy", baseline="none")
    assert told in str(error.value)
