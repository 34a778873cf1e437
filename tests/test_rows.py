import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from cktf.ledger_lines import parse_row
from cktf.rows import EndRow, EpochRow, PlannedRow, Stage, Status, StudyRow

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


@pytest.mark.parametrize("row", [STUDY, PLANNED, EPOCH, EndRow(trial_id="t", status=Status.FAILED, reason="nan")])
def test_a_row_survives_the_way_through_a_line(row: Any) -> None:
    assert parse_row(row.to_json()) == row
    assert "\n" not in row.to_json()


@pytest.mark.parametrize("row", [STUDY, PLANNED, EPOCH])
def test_a_row_is_the_same_however_another_program_writes_its_json(row: Any) -> None:
    values = json.loads(row.to_json())
    shuffled = dict(reversed(values.items()))
    floats = {key: float(value) if type(value) is int else value for key, value in values.items()}
    for line in (
        json.dumps(shuffled),
        json.dumps(values, indent=2),
        f" {json.dumps(floats)} \r",
        "\ufeff" + row.to_json(),
    ):
        found = parse_row(line.encode())
        assert found == row
        assert all(isinstance(value, type(vars(found)[name])) for name, value in vars(row).items())
    assert parse_row(row.to_json().replace('"kind"', '"\\u006bind"')) == row


WRONG = [
    (PLANNED, "number", "0", "(a valid integer|less than)"),
    (PLANNED, "seed", True, "(a valid integer|less than)"),
    (PLANNED, "seed", 1.5, "(a valid integer|less than)"),
    (PLANNED, "seed", 2**63, "(a valid integer|less than)"),
    (PLANNED, "trial_id", 7, "a valid string"),
    (PLANNED, "trial_id", None, "a valid string"),
    (PLANNED, "context", ["a"], "a valid string"),
    (PLANNED, "config", [], "a valid dictionary"),
    (PLANNED, "stage", "later", "'design', 'search', 'confirm' or"),
    (EPOCH, "epoch", {}, "(a valid integer|less than)"),
    (EPOCH, "time", "x", "a valid number"),
    (EPOCH, "train_loss", False, "a valid number"),
    (EPOCH, "train_loss", 10**400, "a valid number"),
    (STUDY, "factors", "x", "a valid list"),
    (STUDY, "maximise", 1, "a valid boolean"),
    (EndRow(trial_id="t", status=Status.FAILED), "status", "finished", "'complete', 'pruned' or 'failed'"),
    (EndRow(trial_id="t", status=Status.FAILED), "status", ["failed"], "'complete', 'pruned' or 'failed'"),
]


@pytest.mark.parametrize(("row", "name", "value", "wanted"), WRONG)
def test_a_value_of_another_type_is_refused_with_field_value_and_what_is_allowed(
    row: Any, name: Any, value: Any, wanted: Any
) -> None:
    line = json.dumps({**json.loads(row.to_json()), name: value})
    told = repr(value) if isinstance(value, str) else json.dumps(value)
    with pytest.raises(ValueError, match=f"^'{name}' of a row of kind '{row.kind}' must be {wanted}") as caught:
        parse_row(line)
    assert f"; got {told[:60]}" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "is not JSON: EOF while parsing an object at line 1 column 1"),
        (b'{"kind":"end","trial_id":"\xff"}', "is not JSON: invalid unicode code point"),
        (b'{"kind":"end","x":%s}' % (b"[" * 1500 + b"]" * 1500), "is not JSON: recursion limit exceeded"),
        (b'{"kind":"end","epochs":%s}' % (b"9" * 5000), "is not JSON: number out of range"),
        (b'{"kind":"end","trial_id":"\\ud800"}', "is not JSON: unexpected end of hex escape"),
        (b"7", "unknown kind"),
    ],
)
def test_what_is_no_row_is_refused_in_one_sentence(line: Any, why: str) -> None:
    with pytest.raises(ValueError, match=f"^.*{why}"):
        parse_row(line)


def epoch_row(line: str) -> EpochRow:
    row = parse_row(line)
    assert isinstance(row, EpochRow)
    return row


def test_a_float_that_is_null_is_missing_and_one_with_a_default_has_it() -> None:
    values = json.loads(EPOCH.to_json()) | {"train_loss": None, "time": None, "test_loss": None, "terms": {"kd": None}}
    row = epoch_row(json.dumps(values))
    assert math.isnan(row.train_loss)
    assert row.terms == {}
    assert (row.time, row.test_loss) == (0.0, None)
    assert math.isnan(epoch_row(EPOCH.to_json().replace('"train_loss":1.5', '"train_loss":NaN')).train_loss)


def test_a_key_of_a_later_version_is_dropped() -> None:
    line = json.dumps({**json.loads(EPOCH.to_json()), "colour": "blue"})
    assert parse_row(line) == EPOCH


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"unknown kind 'note'.*planned"):
        parse_row('{"kind":"note"}')


@pytest.mark.parametrize("kind", [["epoch"], {"epoch": 1}, 3, None])
def test_a_kind_that_is_no_word_is_refused(kind: list[Any] | dict[str, Any] | int | None) -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        parse_row(json.dumps({"kind": kind}))


def test_a_row_without_some_of_its_keys_is_refused_and_names_them() -> None:
    with pytest.raises(ValueError, match=r"^'trial_id' of a row of kind 'end' is missing$"):
        parse_row('{"kind":"end","reason":"nan"}')


def test_the_rows_need_no_heavy_library() -> None:
    code = (
        "import sys; import cktf.ledger_lines, cktf.rows; "
        "print([m for m in ('torch', 'ray', 'pyarrow', 'numpy', 'optuna') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_each_context_has_its_baseline_and_a_study_without_contexts_has_one() -> None:
    assert STUDY.baseline_of("") == "a"
    several = replace(STUDY, baselines={"x": "a", "y": "b"}, reference_values={"y": {"kd": 74.92}})
    assert [several.baseline_of(context) for context in ("x", "y")] == ["a", "b"]
    assert parse_row(several.to_json()) == several


def test_numbers_that_are_not_finite_are_null_in_a_line_and_missing_when_it_is_read() -> None:
    row = replace(
        EPOCH, validation_loss=math.inf, terms={"kd": 0.5, "sp": math.nan}, health={"kl": -math.inf, "cka": 1.0}
    )

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    values = json.loads(row.to_json(), parse_constant=refuse)
    assert (values["validation_loss"], values["terms"], values["health"]) == (
        None,
        {"kd": 0.5, "sp": None},
        {"kl": None, "cka": 1.0},
    )
    assert parse_row(row.to_json()) == replace(EPOCH, validation_loss=None, health={"cka": 1.0})


def test_what_earlier_versions_wrote_as_nan_is_still_read() -> None:
    line = EPOCH.to_json().replace('{"kd":0.5}', '{"kd":NaN}')
    assert math.isnan(epoch_row(line).terms["kd"])


@pytest.mark.parametrize("time", [1e308, -1, 253402300800])
def test_a_time_that_is_no_moment_is_refused(time: float) -> None:
    line = EndRow(trial_id="t", status="complete").to_json().replace('"time":0.0', f'"time":{time}')
    with pytest.raises(ValueError, match=r"^'time' of a row of kind 'end' must be (less|greater) than or equal to"):
        parse_row(line)
