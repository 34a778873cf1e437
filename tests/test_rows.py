import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest

from cktf.rows import EndRow, EpochRow, PlannedRow, Stage, Status, StudyRow, parse_row

EPOCH = EpochRow(
    trial_id="t",
    epoch=1,
    phase="train",
    learning_rate=0.05,
    train_loss=1.5,
    train_accuracy=40.0,
    validation_loss=1.2,
    validation_accuracy=55.5,
    epoch_seconds=2.0,
    samples_per_second=100.0,
    peak_memory_gib=0.4,
    terms={"kd": 0.5},
)
PLANNED = PlannedRow(
    trial_id="t", arm_id="a", arm="x=1", seed=0, stage=Stage.DESIGN, number=0, params={"x": 1}, config={}
)
STUDY = StudyRow(
    study="s",
    run="r",
    question="?",
    design="compare",
    metric="validation_accuracy",
    report_metric="test_accuracy",
    maximise=True,
    baseline_arm_id="a",
    factors=["x"],
)


@pytest.mark.parametrize(
    "row", [STUDY, PLANNED, EPOCH, EndRow(trial_id="t", status=Status.FAILED, reason="nan")]
)
def test_a_row_survives_the_way_through_a_line(row):
    assert parse_row(row.to_json()) == row
    assert "\n" not in row.to_json()


@pytest.mark.parametrize("row", [STUDY, PLANNED, EPOCH])
def test_the_kind_is_the_first_key_so_that_lines_can_be_sorted_unparsed(row):
    assert row.to_json().startswith(f'{{"kind":"{row.kind}",')


def test_a_key_of_a_later_version_is_dropped():
    line = json.dumps({**json.loads(EPOCH.to_json()), "colour": "blue"})
    assert parse_row(line) == EPOCH


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(ValueError, match=r"unknown kind 'note'.*planned"):
        parse_row('{"kind":"note"}')


@pytest.mark.parametrize("kind", [["epoch"], {"epoch": 1}, 3, None])
def test_a_kind_that_is_no_word_is_refused(kind):
    with pytest.raises(ValueError, match="unknown kind"):
        parse_row(json.dumps({"kind": kind}))


def test_a_row_without_some_of_its_keys_is_refused_and_names_them():
    with pytest.raises(ValueError, match=r"kind 'end' without trial_id, status$"):
        parse_row('{"kind":"end","reason":"nan"}')


def test_the_rows_need_the_standard_library_alone():
    code = (
        "import sys; import cktf.rows; "
        "print([m for m in ('torch', 'ray', 'pydantic', 'numpy', 'optuna') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_each_context_has_its_baseline_and_a_study_without_contexts_has_one():
    assert STUDY.baseline_of("") == "a"
    several = replace(STUDY, baselines={"x": "a", "y": "b"}, reference_values={"y": {"kd": 74.92}})
    assert [several.baseline_of(context) for context in ("x", "y")] == ["a", "b"]
    assert parse_row(several.to_json()) == several


def test_numbers_that_are_not_finite_are_null_in_a_line_and_missing_when_it_is_read():
    row = replace(
        EPOCH,
        validation_loss=math.inf,
        terms={"kd": 0.5, "sp": math.nan},
        health={"kl": -math.inf, "cka": 1.0},
    )

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    values = json.loads(row.to_json(), parse_constant=refuse)
    assert (values["validation_loss"], values["terms"], values["health"]) == (
        None,
        {"kd": 0.5, "sp": None},
        {"kl": None, "cka": 1.0},
    )
    assert parse_row(row.to_json()) == replace(EPOCH, validation_loss=None, health={"cka": 1.0})


def test_what_earlier_versions_wrote_as_nan_is_still_read():
    line = EPOCH.to_json().replace('{"kd":0.5}', '{"kd":NaN}')
    assert math.isnan(parse_row(line).terms["kd"])
