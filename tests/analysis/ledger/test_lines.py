"""Lines in columns are those that are read one by one."""

import json
import math
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from analysis.ledger import lines as row_lines
from analysis.ledger.lines import EPOCH_SCHEMA, POSITION, parse_lines
from cktf.ledger_lines import parse_row
from cktf.rows import EndRow, EpochRow, Status

EPOCH = EpochRow(
    trial_id="t",
    epoch=1,
    phase="train",
    learning_rate=0.05,
    train_loss=1.5,
    train_accuracy=40.0,
    validation_loss=None,
    validation_accuracy=55.5,
    epoch_seconds=2.0,
    samples_per_second=100.0,
    peak_memory_gib=0.4,
    terms={"kd": 0.5},
    health={"kl": 0.1},
    time=3.0,
)
END = EndRow(trial_id="t", status=Status.COMPLETE)


def line_with(**changes: Any) -> bytes:
    """Return the line of an epoch in which some keys were changed, or with ... left out."""
    values = {**json.loads(EPOCH.to_json()), **changes}
    return json.dumps({key: value for key, value in values.items() if value is not ...}).encode()


def one_by_one(lines: list[bytes]) -> dict[int, dict[str, Any]]:
    """Return position to the numbers and texts of each epoch, NaN as None, by the rows' own reader."""
    found = {}
    for position, line in enumerate(lines):
        row = parse_row(line)
        if isinstance(row, EpochRow):
            values = {name: getattr(row, name) for name in EPOCH_SCHEMA.names}
            values |= {f"term.{name}": value for name, value in row.terms.items()}
            values |= {f"health.{name}": value for name, value in row.health.items()}
            found[position] = {
                name: value
                for name, value in values.items()
                if value is not None and not (isinstance(value, float) and math.isnan(value))
            }
    return found


def in_columns(lines: list[bytes]) -> dict[int, dict[str, Any]]:
    tables, others = parse_lines(lines)
    rows = [row for table in tables for row in table.to_pylist()]
    assert sorted([*(row[POSITION] for row in rows), *(position for position, _ in others)]) == [*range(len(lines))]
    assert all(table.schema.field(f.name).type == f.type for table in tables for f in EPOCH_SCHEMA)
    return {row.pop(POSITION): {name: value for name, value in row.items() if value is not None} for row in rows}


GOOD = {
    "as written": EPOCH.to_json().encode(),
    "spaced": line_with(),
    "other terms": line_with(terms={"at": 1, "kd": -2.5e-3}),
    "no terms": line_with(terms={}),
    "null": line_with(train_loss=None, terms={"kd": None}),
    "NaN": line_with(train_loss=math.nan, health={"kl": math.nan}),
    "infinite": line_with(train_loss=math.inf, terms={"kd": -math.inf}),
    "a float for an integer": line_with(epoch=2.0),
    "an integer for a float": line_with(train_loss=2),
    "without optional keys": line_with(test_loss=..., health=..., time=...),
    "null for a default": line_with(time=None, health=None),
    "unknown keys": line_with(added={"a": [1, {"b": 2}]}, colour="blue"),
    "kind last": line_with(kind=...)[:-1] + b', "kind": "epoch"}',
    "escaped": EPOCH.to_json().replace("kind", "k\\u0069nd").encode(),
    "a text like a time": line_with(trial_id="2020-01-01", phase='"kind":"end"'),
    "brackets in a text": line_with(phase="{[}"),
    "no ASCII": json.dumps(json.loads(line_with(phase="é漢")), ensure_ascii=False).encode(),
    "a large number": line_with(terms={"kd": 2**60 + 1}),
}
OTHERS = [END.to_json().encode(), json.dumps(json.loads(replace(END, node="epoch").to_json())).encode()]


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("among", [0, 3])
def test_an_epoch_is_the_same_in_columns_and_by_itself(name: str, among: int) -> None:
    lines = [*OTHERS, *[GOOD["as written"]] * among, GOOD[name], OTHERS[0], *[GOOD["other terms"]] * among]
    assert in_columns(lines) == one_by_one(lines)


def test_all_kinds_of_lines_together_are_the_same() -> None:
    lines = [*GOOD.values(), *OTHERS, *GOOD.values()]
    assert in_columns(lines) == one_by_one(lines)


def test_lines_with_the_usual_numbers_are_not_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(line: bytes) -> None:
        raise AssertionError(line)

    monkeypatch.setattr(row_lines, "parse_row", refuse)
    names = (
        "as written",
        "spaced",
        "other terms",
        "no terms",
        "NaN",
        "null",
        "an integer for a float",
        "kind last",
    )
    for name in names:
        tables, others = parse_lines([GOOD[name], OTHERS[0], GOOD["as written"]])
        assert sum(table.num_rows for table in tables) == 2
        assert [position for position, _ in others] == [1]


BAD = {
    "torn": EPOCH.to_json().encode()[:-1],
    "two in a line": EPOCH.to_json().encode() * 2,
    "a text for a number": line_with(train_loss="1.5"),
    "a truth value": line_with(validation_accuracy=True),
    "half an epoch": line_with(epoch=1.5),
    "no number in terms": line_with(terms={"kd": "2020-01-01"}),
    "a list of terms": line_with(terms=[1]),
    "terms that are null": line_with(terms=None),
    "a key that is missing": line_with(train_loss=...),
    "a key that may be null, missing": line_with(validation_loss=...),
    "no trial": line_with(trial_id=None),
    "a plus sign": EPOCH.to_json().replace(":1.5", ":+1.5").encode(),
    "too many digits": EPOCH.to_json().replace(":1.5", ":" + "9" * 5000).encode(),
    "an integer that no float holds": EPOCH.to_json().replace(":1.5", ":" + "9" * 400).encode(),
    "too large an integer": line_with(epoch=2**64),
    "too large a count": line_with(test_images=1e308),
    "half an image": line_with(test_images=1.5),
    "bytes that are no text": EPOCH.to_json().encode().replace(b"train", b"tr\xffin", 1),
    "nested too deeply": line_with()[:-1] + b', "x": ' + b"[" * 2000 + b"]" * 2000 + b"}",
    "half a character": EPOCH.to_json().replace('"t"', '"\\ud800"').encode(),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_by_itself_is_refused_in_columns(name: str) -> None:
    with pytest.raises(ValueError, match=r"^.") as by_itself:
        parse_row(BAD[name])
    with pytest.raises(ValueError, match=r"^.") as in_columns:
        parse_lines([*[GOOD["as written"]] * 3, BAD[name], GOOD["spaced"]])
    assert str(in_columns.value) == str(by_itself.value)


def test_a_table_of_no_lines_is_none() -> None:
    assert parse_lines([]) == ([], [])
    assert isinstance(parse_lines([GOOD["spaced"]])[0][0], pa.Table)
