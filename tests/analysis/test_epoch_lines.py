"""Lines of epochs, cut at their commas or parsed: the same tables, the same refusals."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from analysis import epoch_lines
from analysis.epoch_lines import EPOCH_SCHEMA, POSITION, parse_lines
from cktf.rows import EndRow, EpochRow, Row

DAMAGE = (b"", b"{", b"}", b'"', b":", b",", b"\\", b"x", b"[", b"\xff", b"\xc3\xa4")
TERMS = ("cross_entropy.logits", "kd.logits", "cktf.stage1")


def epoch(number: int, terms: Sequence[str] = TERMS, **values: Any) -> EpochRow:
    draws = np.random.default_rng(number)
    row = EpochRow(
        trial_id=f"{number:012x}",
        epoch=number + 1,
        phase="train",
        learning_rate=draws.random() * 10.0 ** int(draws.integers(-30, 30)),
        train_loss=float(draws.choice([0.0, -0.0, 3.0, draws.normal()])),
        train_accuracy=None if draws.random() < 0.5 else 12.5,
        validation_loss=draws.random(),
        validation_accuracy=100 * draws.random(),
        epoch_seconds=draws.random(),
        samples_per_second=5e-324,
        peak_memory_gib=1e22,
        terms={name: draws.random() for name in terms},
        time=1.8e9 + draws.random(),
    )
    return replace(row, **values)


def lines_of(rows: Sequence[Row]) -> list[bytes]:
    return [row.to_json().encode() for row in rows]


def content_of(lines: Sequence[bytes]) -> memoryview:
    return memoryview(b"".join(line + b"\n" for line in lines))


def found(lines: Sequence[bytes]) -> tuple[dict[int, dict[str, Any]], list[tuple[int, bytes]]]:
    """Return position to the values of each epoch that are there, as texts, so that NaN equals itself."""
    tables, others = parse_lines(content_of(lines))
    rows: dict[int, dict[str, Any]] = {}
    for table in tables:
        assert set(EPOCH_SCHEMA.names) <= set(table.column_names)
        for row in table.to_pylist():
            position = row.pop(POSITION)
            assert position not in rows
            rows[position] = {name: repr(value) for name, value in row.items() if value is not None}
    return rows, others


def expected(line: bytes) -> dict[str, str]:
    row = json.loads(line)
    values = {name: row.get(name) for name in EPOCH_SCHEMA.names}
    values |= {f"term.{name}": value for name, value in row["terms"].items()}
    values |= {f"health.{name}": value for name, value in row.get("health", {}).items()}
    kinds = {field.name: field.type for field in EPOCH_SCHEMA}
    return {
        name: repr(float(value) if kinds.get(name, pa.float64()) == pa.float64() else value)
        for name, value in values.items()
        if value is not None
    }


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lines were parsed as JSON, each time that any were."""
    counts = []
    parse = epoch_lines._parse_json

    def count(content: bytes) -> pa.Table:
        counts.append(len(content.splitlines()))
        return parse(content)

    monkeypatch.setattr(epoch_lines, "_parse_json", count)
    return counts


def test_lines_that_are_alike_are_cut_and_give_the_values_that_json_reads(parsed: list[int]) -> None:
    lines = lines_of([epoch(number) for number in range(200)])
    rows, others = found(lines)
    assert rows == {position: expected(line) for position, line in enumerate(lines)}
    assert not others
    assert not parsed


def test_lines_of_other_kinds_and_shapes_among_them_are_told_apart(parsed: list[int]) -> None:
    rows: list[Row] = [epoch(number) for number in range(200)]
    rows[3] = EndRow(trial_id="000000000003", status="complete")
    rows[50] = epoch(
        50, ("cross_entropy.logits", "kd.logits", "crd.penultimate")
    )  # as many commas, other keys
    rows[60] = epoch(60, ())
    rows[70] = epoch(70, health={"agreement": 0.5, "kl": math.nan})
    rows[199] = EndRow(trial_id="000000000199", status="failed", reason='NaN, "twice"')
    lines = lines_of(rows)
    epochs, others = found(lines)
    assert others == [(3, lines[3]), (199, lines[199])]
    assert epochs == {
        position: expected(line) for position, line in enumerate(lines) if position not in (3, 199)
    }
    assert parsed == [3]


def test_where_too_many_are_of_other_shapes_all_are_parsed(
    parsed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epoch_lines, "MOST_OTHERS", 20)
    for other in (TERMS[:2], ("cross_entropy.logits", "kd.logits", "crd.penultimate")):
        lines = lines_of([epoch(number, TERMS if number % 2 else other) for number in range(100)])
        assert found(lines)[0] == {position: expected(line) for position, line in enumerate(lines)}
    assert parsed == [100, 100]


@pytest.mark.parametrize("text", ["a,b", 'a"b', "a\\b", "a{b}", "ä", "", "null", " "])
@pytest.mark.parametrize("place", [0, 7])
def test_any_text_may_stand_in_a_line(text: str, place: int) -> None:
    rows = [epoch(number, phase=text if number == place else "train") for number in range(100)]
    for lines in (
        lines_of(rows),
        [
            json.dumps(json.loads(line), ensure_ascii=False, separators=(",", ":")).encode()
            for line in lines_of(rows)
        ],
    ):
        assert found(lines)[0] == {position: expected(line) for position, line in enumerate(lines)}


def test_lines_of_other_versions_are_read(parsed: list[int]) -> None:
    lines = [
        json.dumps(
            {key: value for key, value in json.loads(line).items() if key != "health"} | {"new": [1, 2]},
            separators=(",", ":"),
        ).encode()
        for line in lines_of([epoch(number) for number in range(60)])
    ]
    assert found(lines)[0] == {position: expected(line) for position, line in enumerate(lines)}
    assert parsed == [60]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"train_loss":', b'"train_los":'),
        (b'"epoch_seconds":', b'"epoch_seconds":null,"x":'),
        (b'"epoch":8', b'"epoch":8.5'),
        (b'"epoch":8', b'"epoch":"8"'),
        (b'"phase":"train"', b'"phase":null'),
        (b'"phase":"train"', b'"phase":"tr"ain"'),
        (b'"validation_loss":', b'"validation_loss":true,"x":'),
        (b'"peak_memory_gib":1e+22', b'"peak_memory_gib":'),
        (b'"health":{"kl":1.0}', b'"health":{"kl":1.0}}'),
        (b'"health":{"kl":1.0}', b'"health":{"kl":1.0'),
    ],
)
def test_a_broken_line_among_good_ones_is_refused(old: bytes, new: bytes) -> None:
    lines = lines_of([epoch(number, health={"kl": 1.0}) for number in range(100)])
    assert old in lines[7]
    lines[7] = lines[7].replace(old, new)
    with pytest.raises(ValueError, match=r"JSON|without|Float|double|int64|Column"):
        parse_lines(content_of(lines))


def test_a_damaged_line_is_read_or_refused_as_when_all_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = np.random.default_rng(0)
    good = lines_of([epoch(number) for number in range(30)])
    shape_of = epoch_lines._shape_of
    outcomes = {"read": 0, "refused": 0}
    for _ in range(300):
        lines = list(good)
        place = draws.integers(len(lines))
        damaged = bytearray(lines[place])
        structure = [at for at, byte in enumerate(damaged) if at > 15 and byte not in b"0123456789.-+"]
        at = draws.choice(structure)
        damaged[at : at + 1] = DAMAGE[draws.integers(len(DAMAGE))]
        lines[place] = bytes(damaged)
        answers = []
        for chosen in (shape_of, lambda _: None):
            monkeypatch.setattr(epoch_lines, "_shape_of", chosen)
            try:
                answers.append(found(lines))
            except ValueError:
                answers.append(None)
        assert answers[0] == answers[1], bytes(damaged)
        outcomes["refused" if answers[0] is None else "read"] += 1
    assert min(outcomes.values()) > 20
