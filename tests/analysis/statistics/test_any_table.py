"""Plain tables of results as tables of trials."""

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from analysis import effects
from analysis.statistics.any_table import as_trials
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


FRAME = pd.DataFrame({"arm": ["none", "kd"] * 3, "seed": [0, 0, 1, 1, 2, 2], "m": [1, 2.5, 2, 3.75, 4, 5.0]})


@pytest.mark.parametrize(
    "same",
    [
        FRAME.convert_dtypes(),
        FRAME.convert_dtypes(dtype_backend="pyarrow"),
        FRAME.astype(object),
        FRAME.astype("category"),
        FRAME.astype(str),
        FRAME.astype({"seed": float}),
        FRAME.assign(seed=FRAME["seed"].map("{}.0".format)),
        FRAME.assign(seed=FRAME["seed"].map("run {}".format)),
        FRAME.assign(arm=["none ", "kd", "\u00a0none", "\u200bkd", "none", " kd\t"]),
        FRAME.assign(m=FRAME["m"].map(Decimal)),
        *(FRAME.assign(**{name: FRAME["arm"]}) for name in ("arm_id", "stage", "number", "status", "trial_id")),
        FRAME.set_axis(list("aabbcc")),
    ],
    ids=str,
)
def test_a_table_of_any_types_gives_the_same_effects(same: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        effects(same, metric="m", baseline="none"), effects(FRAME, metric="m", baseline="none"), check_exact=True
    )


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf"), pd.NA])
def test_a_nullable_metric_may_lack_a_value(missing: Any) -> None:
    frame = FRAME.convert_dtypes().astype({"m": object})
    frame.loc[3, "m"] = missing
    found = effects(frame, metric="m", baseline="none")
    assert found[["n_pairs", "n_lost_by_arm"]].to_numpy().tolist() == [[2, 1]]
    assert effects(frame.convert_dtypes(), metric="m", baseline="none")["n_pairs"].tolist() == [2]


def test_what_a_column_of_statuses_calls_failed_is_no_result() -> None:
    frame = FRAME.assign(status=["complete", "complete", "finished", "Failed", "complete", "running"])
    found = effects(frame, metric="m", baseline="none")
    assert found[["n_pairs", "n_missing", "n_lost_by_arm"]].to_numpy().tolist() == [[1, 2, 1]]


def test_one_seed_is_no_fault() -> None:
    found = effects(FRAME.head(2), metric="m", baseline="none").iloc[0]
    assert (found["verdict"], found["reason"]) == ("undecided", "one pair: no interval")


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (FRAME.head(0), "there are no rows under the columns arm, seed, m"),
        (FRAME.drop(columns="m"), "the table: no column is called 'm'; there are: arm, seed"),
        (FRAME.assign(m="x/y"), "column 'm' holds numbers, or nothing where a trial failed; row 1 has 'x/y'"),
        (FRAME.assign(m="٣"), "row 1 has '٣'"),
        (FRAME.assign(m="x" * 5000), "row 1 has '" + "x" * 59 + "..."),
        (
            pd.concat([FRAME.assign(fold=0), FRAME.assign(fold=1)]),
            "an arm has one row at each seed, the last epoch's; each data set is a context (--context COLUMN",
        ),
        (FRAME.assign(arm=FRAME["arm"].str.title()), "which is to be the baseline; there are: None, Kd"),
        (FRAME.assign(m="1_0"), "row 1 has '1_0'"),
        (FRAME.assign(m=1j), "row 1 has 1j"),
        (FRAME.assign(m=pd.Timestamp(0)), "row 1 has Timestamp"),
        (pd.concat([FRAME, FRAME["m"]], axis=1), "2 columns are called 'm'; rename all but one"),
        (pd.concat([FRAME, FRAME.assign(seed="0.0").head(1)]), "arm 'none' has several rows at seed 0"),
        (FRAME.assign(arm=" "), "column 'arm' is empty in row 1"),
        (FRAME.replace("kd", None), "the table: column 'arm' is empty in row 2"),
        (
            pd.concat([FRAME.assign(context="a"), FRAME[1:2].assign(context="b")]),
            "no arm is called 'none' in context 'b', which is to be the baseline; there are: kd",
        ),
    ],
)
def test_what_is_no_table_of_results_is_refused(frame: pd.DataFrame, told: str) -> None:
    with pytest.raises(ValueError) as error:
        effects(frame, metric="m", baseline="none")
    assert told in str(error.value)


@pytest.mark.parametrize("metric", ["arm", "seed", "status", "is_baseline"])
def test_a_metric_whose_name_means_something_else_is_refused(metric: str) -> None:
    with pytest.raises(ValueError, match=f"the metric cannot be the column '{metric}'"):
        effects(FRAME.assign(status=1.0, is_baseline=1.0), metric=metric, baseline="none")


def test_what_may_be_a_slip_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="set these arms apart: 'kd'; 'KD'"):
        effects(pd.concat([FRAME, FRAME[1:2].assign(arm="KD")]), metric="m", baseline="none")
    shares = FRAME.assign(m=[0.7, 70.9, 0.71, 71.5, 0.69, 70.1])
    with pytest.warns(UserWarning, match="About a factor of 100: 'none' has a mean m of 0.7, 'kd' of 70.83"):
        effects(shares, metric="m", baseline="none")


def test_words_say_of_a_plain_table_too_how_trials_ended_and_that_there_is_no_number() -> None:
    frame = FRAME.assign(m=FRAME["m"].map(str), status=["ok", "done", "ok", "crashed", "killed", "ok"])
    found = effects(frame, metric="m", baseline="none")
    assert found[["n_pairs", "n_lost_by_arm", "n_lost_by_baseline"]].to_numpy().tolist() == [[1, 1, 1]]
    frame.loc[1, "m"] = "n/a"
    assert effects(frame, metric="m", baseline="none")["n_pairs"].tolist() == [0]


def test_seeds_of_thousands_of_digits_are_names() -> None:
    seeds = ["9" * 5000, "8" * 5000, "7"]
    frame = FRAME.assign(seed=[seed for seed in seeds for _ in range(2)])
    assert effects(frame, metric="m", baseline="none")["n_pairs"].tolist() == [3]
