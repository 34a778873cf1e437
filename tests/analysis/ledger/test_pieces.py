"""A ledger is read in pieces of any size, each alone, and every row once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from analysis.ledger import pieces as ledger
from analysis.ledger.collect import ledger_tables
from analysis.ledger.pieces import Segment, ledger_files, parse_piece, pieces_of, segments_of
from cktf.storage import open_folder


def rows_in(run: Path) -> tuple[list[float], list[bytes]]:
    """Return the losses of all epochs and the other lines, in the order of the ledger."""
    folder = open_folder(run)
    parsed = [parse_piece(str(run), piece) for piece in pieces_of(segments_of(folder, ledger_files(folder)))]
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
    assert others == [line.encode() for line, epoch in zip(lines, is_epoch, strict=True) if not epoch]
    assert losses == [json.loads(line)["train_loss"] for line, epoch in zip(lines, is_epoch, strict=True) if epoch]


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


def test_pieces_lie_side_by_side_in_each_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PIECE_BYTES", 10)
    segments = [
        Segment("000001.jsonl", 10, 10),
        Segment("000002.jsonl", 25, 13),
        Segment("000003.jsonl", 5, 0),
    ]
    found = [(piece.number, piece.segment, piece.start, piece.stop) for piece in pieces_of(segments)]
    assert found == [(0, "000001.jsonl", 0, 10), (1, "000002.jsonl", 0, 10), (2, "000002.jsonl", 10, 13)]


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_a_last_line_without_its_newline_is_a_row(
    ablation_writer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    writer = ablation_writer(arms=["baseline"], seeds=1)
    path = writer.close_segment()
    whole = rows_in(writer.run)
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    monkeypatch.setattr(ledger, "PIECE_BYTES", size)
    monkeypatch.setattr(ledger, "LINE_BYTES", 64)
    assert rows_in(writer.run) == whole
