"""Reading of a ledger: its segments in pieces, each parsed alone; rows other than epochs are then put in order.

Pieces and the rows read from them store their position in the ledger, so pieces may be read in any order, on any
machine. If a piece cannot be read, the ledger is read again from its beginning, row by row, to name the broken line.
"""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import count
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from analysis.ledger.lines import EPOCH_SCHEMA, POSITION, parse_lines
from cktf.errors import InputError
from cktf.ledger_lines import SEGMENT, RowReader, is_row
from cktf.rows import WITHDRAWN, EndRow, LookRow, PlannedRow, Stage, StudyRow, TeacherRow
from cktf.storage import AT_ONCE, is_local, open_folder, read

PIECE_BYTES = 8 * 2**20
"""Bytes of a segment parsed at a time: small enough for a processor's cache, large enough for a bucket."""

LINE_BYTES = 64 * 2**10
"""Bytes read at a time when looking for the end of a line."""

PLACE = "place"
"""Column with a row's place in the ledger, by which rows are ordered: the number of its piece and, in the lower
`PLACE_BITS` bits, the index of its line there."""

PLACE_BITS = 32

NO_EPOCHS = pa.Table.from_batches([], pa.schema([*EPOCH_SCHEMA, (PLACE, pa.int64())]))
"""The epochs of a piece without any."""

OTHER_SCHEMA = pa.schema([(PLACE, pa.int64()), ("segment", pa.string()), ("line", pa.binary())])
"""Schema of the table of lines that are not epochs."""


class Segment(NamedTuple):
    """One file of a ledger, as it is found; its last whole line ends at byte ``end``, and a torn one may follow.

    ``content`` has the bytes of a small segment in a bucket, where each read waits for the network.
    """

    name: str
    size: int
    end: int
    content: bytes | None = None


class Piece(NamedTuple):
    """A byte range of a segment, parsed alone: all lines that begin from ``start`` on and before ``stop``.

    Pieces are numbered from 0 in the order of the ledger. The segment's last whole line ends at ``end``, and
    ``content`` is the segment's.
    """

    number: int
    segment: str
    start: int
    stop: int
    end: int
    content: bytes | None = None


class Parsed(NamedTuple):
    """The rows of a piece: its ``epochs``, and all ``others`` in `OTHER_SCHEMA`.

    Epochs have `EPOCH_SCHEMA`, a ``term.<name>``, ``health.<name>`` or ``measure.<name>`` for each name that occurs,
    and `PLACE`.
    """

    epochs: pa.Table
    others: pa.Table


@dataclass
class Ledger:
    """The contents of all rows but epochs; where a trial has several planned rows or ends, the last one holds.

    Attributes:
        launches: Study rows in order.
        planned: Trial to its planned row, in the order of first planning.
        looks: Looks of a race, in order.
        teachers: Teacher id to its last `TeacherRow`.
        ends: Trial to its end and the launch it ended in (an index into ``launches``).
        first_planned: Trial to the `PLACE` of its first planned row; here, teachers have one too.
        begun_anew: Withdrawn trial to the `PLACE` of the row that planned it again; epochs before it do not count.
    """

    launches: list[StudyRow] = field(default_factory=list)
    looks: list[LookRow] = field(default_factory=list)
    planned: dict[str, PlannedRow] = field(default_factory=dict)
    teachers: dict[str, TeacherRow] = field(default_factory=dict)
    ends: dict[str, tuple[EndRow, int]] = field(default_factory=dict)
    first_planned: dict[str, int] = field(default_factory=dict)
    begun_anew: dict[str, int] = field(default_factory=dict)

    @property
    def trial_ids(self) -> list[str]:
        """The trials in the order of planning."""
        return sorted(self.planned, key=lambda trial_id: self.planned[trial_id].number)

    @classmethod
    def of(cls, others: pa.Table) -> "Ledger":
        """Return the contents of ordered rows other than epochs (`OTHER_SCHEMA`); a broken one is an InputError."""
        ledger, reader = cls(), RowReader()
        for place, segment, line in zip(*(others[name].to_pylist() for name in OTHER_SCHEMA.names), strict=True):
            match reader.read(line, f"ledger/{segment}"):
                case StudyRow() as row:
                    ledger.launches.append(row)
                case LookRow() as row:
                    ledger.looks.append(row)
                case PlannedRow() as row:
                    ledger.first_planned.setdefault(row.trial_id, place)
                    if row.stage == Stage.TEACHER:
                        continue
                    ledger.planned[row.trial_id] = row
                    end, _ = ledger.ends.pop(row.trial_id, (None, 0))  # planned again: it is tried once more
                    if end and end.reason.startswith(WITHDRAWN):
                        ledger.begun_anew[row.trial_id] = place
                case TeacherRow() as row:
                    ledger.teachers[row.teacher_id] = row
                case EndRow() as row:
                    ledger.ends[row.trial_id] = (row, len(ledger.launches) - 1)
        if ledger.launches and ledger.launches[-1].renamed:
            of_all = ledger.planned.items()
            ledger.planned = {trial_id: row.named_by(ledger.launches[-1]) for trial_id, row in of_all}
        return ledger

    def refuse_early(self, epochs: pa.Table) -> None:
        """Raise an InputError if there are epochs of a trial that no row before them has planned."""
        firsts = epochs.group_by("trial_id").aggregate([(PLACE, "min")])
        for trial_id, place in zip(*(column.to_pylist() for column in firsts.columns), strict=True):
            if place < self.first_planned.get(trial_id, place + 1):
                raise InputError(f"the ledger has epochs of trial {trial_id!r}, which no row before them has planned")


def ledger_files(folder: fs.SubTreeFileSystem) -> list[fs.FileInfo]:
    """Return the files of the ledger of a run directory, in order; none where there is no ledger."""
    infos = folder.get_file_info(fs.FileSelector("ledger", allow_not_found=True))
    files = [info for info in infos if info.is_file and SEGMENT.fullmatch(info.base_name)]
    return sorted(files, key=lambda info: str(info.base_name))


def fingerprint(files: list[fs.FileInfo]) -> str:
    """Return a hash of the names and sizes of files, which changes with the ledger, as it only grows."""
    text = ",".join(f"{info.base_name}:{info.size}" for info in files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def segments_of(folder: fs.SubTreeFileSystem, files: Sequence[fs.FileInfo]) -> list[Segment]:
    """Return files as segments, with the ends of their last whole lines."""

    def segment(info: fs.FileInfo) -> Segment:
        is_read = not is_local(folder) and info.size <= PIECE_BYTES
        content = read(folder, info.path) if is_read else None
        with _opened(folder, str(info.base_name), content) as file:
            return Segment(str(info.base_name), int(info.size), _end_of_lines(file, int(info.size)), content)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(segment, files))


def pieces_of(segments: Iterable[Segment]) -> list[Piece]:
    """Divide segments, in their order, into pieces."""
    ranges = [(segment, start) for segment in segments for start in range(0, segment.end, PIECE_BYTES)]
    return [
        Piece(number, segment.name, start, min(start + PIECE_BYTES, segment.end), segment.end, segment.content)
        for number, (segment, start) in enumerate(ranges)
    ]


def parse_piece(run: str, piece: Piece) -> Parsed:
    """Read and parse one piece of the ledger of a run directory; a broken line is an InputError."""
    with _opened(open_folder(run), piece.segment, piece.content) as file:
        content = _lines_of(file, piece)
    try:
        tables, lines = parse_lines(content.removesuffix(b"\n").split(b"\n") if content else [])
    except ValueError as error:
        raise InputError(f"ledger/{piece.segment}: {error}") from error
    others = [line for _, line in lines]
    first = piece.number << PLACE_BITS
    epochs = [table.drop_columns(POSITION).append_column(PLACE, pc.add(table[POSITION], first)) for table in tables]
    columns = [[first + position for position, _ in lines], [piece.segment] * len(lines), others]
    return Parsed(
        pa.concat_tables(epochs, promote_options="default") if epochs else NO_EPOCHS,
        pa.table(columns, schema=OTHER_SCHEMA),
    )


def refuse_broken_lines(folder: fs.SubTreeFileSystem, segments: Iterable[Segment]) -> None:
    """Raise a ValueError that names the first line which is no row, or comes before those that it needs.

    It is slow: call it only if there is such a line.
    """
    reader = RowReader()
    for segment in segments:
        name = f"{folder.base_path}ledger/{segment.name}"
        with folder.open_input_file(f"ledger/{segment.name}") as file:
            lines = BufferedReader(file)
            for number in count(1):
                if lines.tell() >= segment.end:
                    break
                reader.read(lines.readline().removesuffix(b"\n"), f"{name}, line {number}")


def _opened(folder: fs.SubTreeFileSystem, segment: str, content: bytes | None) -> pa.NativeFile:
    return folder.open_input_file(f"ledger/{segment}") if content is None else pa.BufferReader(content)


def _end_of_lines(file: pa.NativeFile, size: int) -> int:
    """Return where the last whole line ends; other programs may end a file without a newline."""
    stop, end = size, 0
    while stop and not end:
        start = max(0, stop - LINE_BYTES)
        newline = file.read_at(stop - start, start).rfind(b"\n")
        end, stop = start + newline + 1 if newline >= 0 else 0, start
    return size if is_row(file.read_at(size - end, end)) else end


def _lines_of(file: pa.NativeFile, piece: Piece) -> bytes:
    """Return the lines that begin in a piece."""
    before = max(0, piece.start - 1)  # the byte before tells whether a line begins here
    content: bytes = file.read_at(min(piece.stop + LINE_BYTES, piece.end) - before, before)
    last = piece.stop - 1 - before  # index of the last byte of the piece
    start = content.find(b"\n", 0, last) + 1 if piece.start else 0
    if piece.start and not start:
        return b""  # it is the middle of a line
    while (newline := content.find(b"\n", last)) < 0 and before + len(content) < piece.end:
        content += file.read_at(min(LINE_BYTES, piece.end - before - len(content)), before + len(content))
    return content[start:] if newline < 0 else content[start : newline + 1]
