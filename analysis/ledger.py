"""Reading a ledger: its segments in pieces, each piece parsed alone, and the rows that are no epochs put in order.

Epoch rows are nearly all of a ledger, so they are told apart by their first bytes and parsed column by column in
compiled code; the few other rows are parsed one at a time, in their order. A piece knows where it lies in the
ledger, and so does every row read from it: pieces may be read in any order, on any machine.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import count
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from analysis.epoch_lines import EPOCH_SCHEMA, POSITION, parse_lines
from analysis.folder import open_folder
from cktf.rows import EndRow, PlannedRow, StudyRow, TeacherRow, parse_row

PIECE_BYTES = 8 * 2**20
"""Of a segment parsed at a time: small enough for a processor's cache, large enough for a bucket."""

LINE_BYTES = 64 * 2**10
"""Read at a time where a line's end is looked for."""

OPENED_AT_ONCE = 16
"""Segments whose ends are looked at, at the same time: in a bucket, each look waits for the network."""

SEGMENT = re.compile(r"\d{6}\.jsonl")
"""Names of a ledger's segments; other files beside them are nobody's rows."""

CONFIG_BEGINS, CONFIG_ENDS = ',"config":{', '},"epochs":'
"""What stands around the configuration in a planned row as it is written."""

PLACE = "place"
"""Column that says where in the ledger a row stands, before it becomes a row of the report: the number of its piece,
and in the lower bits which of the piece's lines it is."""

PLACE_BITS = 32

NO_EPOCHS = pa.Table.from_batches([], pa.schema([*EPOCH_SCHEMA, (PLACE, pa.int64())]))
"""The epochs of a piece without any."""

OTHER_SCHEMA = pa.schema([(PLACE, pa.int64()), ("segment", pa.string()), ("line", pa.string())])
"""Of the rows that are no epochs, as they stand in the ledger."""


class Segment(NamedTuple):
    """One file of a ledger, as it is found.

    Attributes:
        name: ``000001.jsonl``.
        size: Of the file, in bytes.
        end: Where its last whole line ends; what a killed writer left of another follows.
    """

    name: str
    size: int
    end: int


class Piece(NamedTuple):
    """A part of a segment, to be parsed alone: the lines that begin in it.

    Attributes:
        number: Of the piece, from 0, in the order of the ledger.
        segment: Name of the file.
        start: First byte.
        stop: Byte after the last.
        end: Where the segment's last whole line ends.
    """

    number: int
    segment: str
    start: int
    stop: int
    end: int


class Parsed(NamedTuple):
    """The rows of a piece.

    Attributes:
        epochs: `EPOCH_SCHEMA`, a ``term.<name>`` or ``health.<name>`` column for each name that occurs, and
            their `PLACE`.
        others: `OTHER_SCHEMA`.
    """

    epochs: pa.Table
    others: pa.Table


@dataclass
class Ledger:
    """What the rows say that are no epochs; of each trial's several planned rows and ends, the last one holds.

    Attributes:
        launches: Study rows in order.
        planned: Trial to its planned row, in the order of first planning.
        teachers: Teacher to the last row that says how well it does.
        ends: Trial to its end and the launch it ended in (an index into ``launches``).
    """

    launches: list[StudyRow] = field(default_factory=list)
    planned: dict[str, PlannedRow] = field(default_factory=dict)
    teachers: dict[str, TeacherRow] = field(default_factory=dict)
    ends: dict[str, tuple[EndRow, int]] = field(default_factory=dict)
    _configs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def trial_ids(self) -> list[str]:
        """The trials in the order of planning."""
        return sorted(self.planned, key=lambda trial_id: self.planned[trial_id].number)

    def add(self, others: pa.Table) -> None:
        """Add rows that follow those which are there.

        Raises:
            ValueError: If one is broken.
        """
        for segment, line in zip(others["segment"].to_pylist(), others["line"].to_pylist(), strict=True):
            try:
                row = self._parse_planned(line) or parse_row(line)
            except ValueError as error:
                raise ValueError(f"ledger/{segment}: broken ledger line: {error}") from error
            match row:
                case StudyRow():
                    self.launches.append(row)
                case PlannedRow():
                    self.planned[row.trial_id] = row
                    self.ends.pop(row.trial_id, None)  # planned again: a failed trial is tried once more
                case TeacherRow():
                    self.teachers[row.teacher_id] = row
                case EndRow():
                    self.ends[row.trial_id] = (row, len(self.launches) - 1)

    def _parse_planned(self, line: str) -> PlannedRow | None:
        """Return the row of a line, of which the configuration is parsed only if no other trial's is the same text.

        It is most of a ledger's other rows, and an arm's trials differ in the seed alone, its last key. None where
        the line is not of that form: what was cut out is a configuration if it can be parsed by itself, and the line
        with ``null`` in its place too.
        """
        head, _, rest = line.partition(CONFIG_BEGINS)
        config, _, tail = rest.rpartition(CONFIG_ENDS)
        same, _, seed = config.rpartition(',"seed":')
        if not same or not seed.isdecimal() or "\\" in line:
            return None
        try:
            if same not in self._configs:
                self._configs[same] = json.loads(f"{{{same}}}")
            values = json.loads(f'{head},"config":null,"epochs":{tail}')
        except ValueError:
            return None
        if values.get("kind") != PlannedRow.kind or values.get("config", 0) is not None:
            return None
        del values["kind"]
        return PlannedRow.from_dict(values | {"config": {**self._configs[same], "seed": int(seed)}})

    def refuse_unplanned(self, what: str, trial_ids: Iterable[str]) -> None:
        """Raise a ValueError if there is anything of a trial that was never planned."""
        if unknown := [trial_id for trial_id in trial_ids if trial_id not in self.planned]:
            raise ValueError(f"the ledger has {what} of trials it never planned: {', '.join(unknown[:3])}")


def ledger_files(folder: fs.SubTreeFileSystem) -> list[fs.FileInfo]:
    """Return the files of the ledger of a run directory, in order; none where there is no ledger."""
    infos = folder.get_file_info(fs.FileSelector("ledger", allow_not_found=True))
    files = [info for info in infos if info.is_file and SEGMENT.fullmatch(info.base_name)]
    return sorted(files, key=lambda info: str(info.base_name))


def fingerprint(files: list[fs.FileInfo]) -> str:
    """Return a text that changes when the ledger does; since it only grows, names and sizes tell."""
    text = ",".join(f"{info.base_name}:{info.size}" for info in files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def segments_of(
    folder: fs.SubTreeFileSystem, files: Sequence[fs.FileInfo], known: Iterable[Segment] = ()
) -> list[Segment]:
    """Return files as segments, with the ends of their last whole lines; those that are known are not opened."""
    unchanged = {(segment.name, segment.size): segment for segment in known}

    def segment(info: fs.FileInfo) -> Segment:
        if (info.base_name, info.size) in unchanged:
            return unchanged[info.base_name, info.size]
        with folder.open_input_file(info.path) as file:
            return Segment(str(info.base_name), int(info.size), _end_of_lines(file, int(info.size)))

    with ThreadPoolExecutor(OPENED_AT_ONCE) as threads:
        return list(threads.map(segment, files))


def pieces_of(segments: Iterable[Segment], already_read: Mapping[str, int]) -> list[Piece]:
    """Divide what is new of the segments into pieces.

    Args:
        segments: In order.
        already_read: Segment to the end of what is known of it.
    """
    ranges = [
        (segment, start)
        for segment in segments
        for start in range(already_read.get(segment.name, 0), segment.end, PIECE_BYTES)
    ]
    return [
        Piece(number, segment.name, start, min(start + PIECE_BYTES, segment.end), segment.end)
        for number, (segment, start) in enumerate(ranges)
    ]


def parse_piece(run: str, piece: Piece) -> Parsed:
    """Read and parse one piece.

    Args:
        run: The run directory, a folder or a URI.
        piece: Which one.

    Raises:
        ValueError: If a line of it is broken.
    """
    with open_folder(run).open_input_file(f"ledger/{piece.segment}") as file:
        content = _lines_of(file, piece)
    try:
        tables, lines = parse_lines(content)
        others = [line.decode() for _, line in lines]
    except ValueError as error:  # pa.ArrowInvalid is one
        raise ValueError(f"ledger/{piece.segment}: broken ledger line: {error}") from error
    first = piece.number << PLACE_BITS
    epochs = [
        table.drop_columns(POSITION).append_column(PLACE, pc.add(table[POSITION], first)) for table in tables
    ]
    columns = [[first + position for position, _ in lines], [piece.segment] * len(lines), others]
    return Parsed(
        pa.concat_tables(epochs, promote_options="default") if epochs else NO_EPOCHS,
        pa.table(columns, schema=OTHER_SCHEMA),
    )


def refuse_broken_lines(folder: fs.SubTreeFileSystem, segments: Iterable[Segment]) -> None:
    """Raise a ValueError that names the first line which is no row; slow, for when it is known that there is one."""
    for segment in segments:
        with folder.open_input_file(f"ledger/{segment.name}") as file:
            lines = BufferedReader(file)
            for number in count(1):
                if lines.tell() >= segment.end:
                    break
                if why := _what_is_broken(lines.readline().rstrip(b"\n")):
                    raise ValueError(
                        f"{folder.base_path}ledger/{segment.name}: broken ledger line {number}: {why}"
                    )


def _what_is_broken(line: bytes) -> str:
    """Return why a line is no row; empty if it is one."""
    try:
        parse_row(line)
    except json.JSONDecodeError as error:  # whose own text counts the lines of this one
        return f"{error.msg}, at character {error.pos + 1}"
    except ValueError as error:
        return str(error)
    return ""


def _end_of_lines(file: pa.NativeFile, size: int) -> int:
    """Return where the last whole line ends, looking backwards."""
    stop = size
    while stop:
        start = max(0, stop - LINE_BYTES)
        newline = file.read_at(stop - start, start).rfind(b"\n")
        if newline >= 0:
            return int(start + newline + 1)
        stop = start
    return 0


def _lines_of(file: pa.NativeFile, piece: Piece) -> memoryview:
    """Return the lines that begin in a piece."""
    before = max(0, piece.start - 1)  # whether a line begins at the first byte, the one before it tells
    content: bytes = file.read_at(min(piece.stop + LINE_BYTES, piece.end) - before, before)
    last = piece.stop - 1 - before  # of the piece's bytes
    start = content.find(b"\n", 0, last) + 1 if piece.start else 0
    if piece.start and not start:
        return memoryview(b"")  # it is the middle of a line
    while (newline := content.find(b"\n", last)) < 0:
        content += file.read_at(LINE_BYTES, before + len(content))
    return memoryview(content)[start : newline + 1]
