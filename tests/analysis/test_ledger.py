"""A ledger is read in pieces of any size, each alone, and every row once."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from analysis import ledger
from analysis.collect import ledger_tables
from analysis.folder import open_folder
from analysis.ledger import Ledger, Segment, ledger_files, parse_piece, pieces_of, segments_of
from cktf.rows import PlannedRow


def rows_in(run: Path) -> tuple[list[float], list[str]]:
    """Return the losses of all epochs and the other lines, in the order of the ledger."""
    folder = open_folder(run)
    parsed = [
        parse_piece(str(run), piece) for piece in pieces_of(segments_of(folder, ledger_files(folder)), {})
    ]
    epochs = pa.concat_tables([rows.epochs for rows in parsed], promote_options="default")
    others = pa.concat_tables([rows.others for rows in parsed])
    assert epochs["place"].to_pylist() == sorted(set(epochs["place"].to_pylist()))
    return epochs["train_loss"].to_pylist(), others["line"].to_pylist()


@pytest.mark.parametrize("size", [1, 100, 1000, 5000])
def test_pieces_of_any_size_hold_every_line_once(
    ablation_writer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    writer = ablation_writer(arms=["baseline", "theta=0.0"], seeds=2)
    lines = list(writer.lines)
    writer.close_segment(torn='{"kind":"epo')
    monkeypatch.setattr(ledger, "PIECE_BYTES", size)
    monkeypatch.setattr(ledger, "LINE_BYTES", 64)  # lines are longer
    losses, others = rows_in(writer.run)
    is_epoch = [line.startswith('{"kind":"epoch"') for line in lines]
    assert others == [line for line, epoch in zip(lines, is_epoch, strict=True) if not epoch]
    assert losses == [
        json.loads(line)["train_loss"] for line, epoch in zip(lines, is_epoch, strict=True) if epoch
    ]


def test_blocks_of_any_size_give_the_same_tables(ablation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ledger_tables(ablation)
    for size in (100, 1000, 5000):
        monkeypatch.setattr(ledger, "PIECE_BYTES", size)
        for table, again in zip(whole, ledger_tables(ablation), strict=True):
            assert table.equals(again, check_metadata=True)


@pytest.mark.parametrize(("content", "end"), [("", 0), ("torn", 0), ("a\n", 2), ("a\nbb\ntorn", 5)])
def test_a_segment_ends_after_its_last_whole_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, end: int
) -> None:
    monkeypatch.setattr(ledger, "LINE_BYTES", 3)
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "000001.jsonl").write_text(content)
    folder = open_folder(tmp_path)
    assert segments_of(folder, ledger_files(folder)) == [Segment("000001.jsonl", len(content), end)]


def test_only_what_is_new_is_divided_into_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PIECE_BYTES", 10)
    segments = [
        Segment("000001.jsonl", 30, 30),
        Segment("000002.jsonl", 25, 23),
        Segment("000003.jsonl", 5, 0),
    ]
    found = [
        (piece.segment, piece.start, piece.stop)
        for piece in pieces_of(segments, {"000001.jsonl": 30, "000002.jsonl": 8})
    ]
    assert found == [("000002.jsonl", 8, 18), ("000002.jsonl", 18, 23)]


PLANNED = PlannedRow(
    trial_id="t",
    arm_id="a",
    arm="theta=0",
    seed=3,
    stage="design",
    number=7,
    params={"theta": 0},
    config={"epochs": 4, "teacher": {"seed": 0}, "objective": {"kd": None}, "seed": 3},
    epochs=4,
)


def in_ledger(*lines: str) -> list[PlannedRow]:
    """Return the planned rows that a ledger reads of some lines, each of another trial."""
    found = Ledger()
    found.add(pa.table({"segment": ["000001.jsonl"] * len(lines), "line": list(lines)}))
    return list(found.planned.values())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"config": {**PLANNED.config, "seed": 4}, "seed": 4},
        {"config": {**PLANNED.config, "epochs": 5}},
        {"config": {"seed": 3, "epochs": 4}},  # the seed is not its last key
        {"config": {"seed": 3}},
        {"config": {}},
        {"config": {"a": {"seed": 3}, "seed": None}},
        {"arm": 'a "quoted" name, "config":{"x":1},"seed":9},"epochs":2'},
        {"params": {"config": {"x": 1, "seed": 2}}},
        {"params": {"config": {"x": 1, "seed": 2}, "epochs": 1}},
        {"context": "é"},
    ],
)
def test_configurations_that_are_parsed_once_are_those_of_their_lines(changes: dict[str, Any]) -> None:
    rows = [PLANNED, replace(PLANNED, trial_id="u", **changes), replace(PLANNED, trial_id="v", seed=9)]
    assert in_ledger(*(row.to_json() for row in rows)) == rows


def test_a_replicate_s_configuration_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda text: parsed.append(text) or loads(text))
    seeds = range(5)
    rows = [
        replace(PLANNED, trial_id=str(seed), seed=seed, config={**PLANNED.config, "seed": seed})
        for seed in seeds
    ]
    assert in_ledger(*(row.to_json() for row in rows)) == rows
    assert sum('"teacher"' in text for text in parsed) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"kd":null', '"kd":nul'),
        ('{"seed":0}', '{"seed":0'),
        ('"number":7,', '"number":7'),
        ('"arm":', '"am":'),
    ],
)
def test_a_broken_planned_row_is_refused(old: str, new: str) -> None:
    line = PLANNED.to_json()
    assert old in line
    with pytest.raises(ValueError, match=r"000001\.jsonl: broken ledger line"):
        in_ledger(line, line.replace(old, new))
