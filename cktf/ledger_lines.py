"""Parsing a ledger's lines into rows: each by itself, or in order and checked against earlier rows."""

import codecs
import re
from collections.abc import Iterator

from pydantic_core import from_json

from cktf.errors import InputError, shown
from cktf.rows import ROWS, EndRow, EpochRow, PlannedRow, Row, StudyRow

SEGMENT = re.compile(r"[0-9]{6}(-[0-9a-f]{8})?\.jsonl")
"""Names of a ledger's segment files, in a bucket with the session's name; other files beside them are ignored."""


def parse_row(line: str | bytes) -> Row:
    """Return the row of a ledger line; spaces and the order of its keys do not matter.

    Raises:
        InputError: If it is no JSON object, its kind is unknown, a key is missing, or a value is not of the type of
            its field.
    """
    try:  # some programs begin a file with a byte order mark
        values = from_json(line.removeprefix(codecs.BOM_UTF8) if isinstance(line, bytes) else line)
    except ValueError as error:
        raise InputError(f"is not JSON: {error}") from None
    kind = values.get("kind") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in ROWS:
        raise InputError(f"a row of unknown kind {shown(kind)}; known: {', '.join(ROWS)}")
    return ROWS[kind].from_dict(values)


class RowReader:
    """Reads a ledger's lines in order; refuses a row that contradicts earlier rows, or needs one that is missing."""

    def __init__(self) -> None:
        self._is_begun = False
        self._planned: dict[str, tuple[str, int]] = {}  # trial id -> arm id and seed
        self._replicates: dict[tuple[str, int, str], str] = {}  # arm id, seed and teacher id -> trial id

    def read(self, line: str | bytes, place: str) -> Row:
        """Return the row of the next line, without its newline; ``place`` is file and line, for messages.

        Raises:
            InputError: If it is no row, comes before the first study row or its trial's planned row, or plans another
                trial under the id, or the arm, seed and teacher, of an earlier one.
        """
        try:
            row = parse_row(line)
            self._check_order(row)
        except ValueError as error:
            raise InputError(f"{place}: {error}") from error
        return row

    def _check_order(self, row: Row) -> None:
        if isinstance(row, StudyRow):
            self._is_begun = True
        elif not self._is_begun:
            raise InputError(f"a row of kind {row.kind!r} stands before the first study row")
        elif isinstance(row, PlannedRow):
            replicate = row.arm_id, row.seed
            if self._planned.setdefault(row.trial_id, replicate) != replicate:
                raise InputError(f"plans trial {shown(row.trial_id)} anew, with another arm_id or seed than before")
            # Where teachers are crossed with seeds, an arm has a trial with each of them at each seed.
            if (other := self._replicates.setdefault((*replicate, row.teacher_id), row.trial_id)) != row.trial_id:
                raise InputError(
                    f"plans trial {shown(row.trial_id)} with the arm_id and the seed {row.seed} of trial {shown(other)}"
                )
        elif isinstance(row, EpochRow | EndRow) and row.trial_id not in self._planned:
            raise InputError(
                f"a row of kind {row.kind!r} tells of trial {row.trial_id!r}, which no row before it has planned"
            )


def whole_lines(content: bytes) -> Iterator[bytes]:
    """Yield the lines of a segment without a torn last line, which a killed writer leaves.

    A last line that is a row counts even without a newline, because other programs may end a file so.
    """
    start = 0
    while (end := content.find(b"\n", start)) >= 0:  # not split: a segment may have a million lines
        yield content[start:end]
        start = end + 1
    if is_row(last := content[start:]):
        yield last


def is_row(line: bytes) -> bool:
    """Return whether a line is a whole row."""
    try:
        parse_row(line)
    except ValueError:
        return False
    return True
