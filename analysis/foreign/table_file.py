"""A table that another program wrote into a file, as text: separated values, JSON or Parquet."""

import codecs
import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from cktf.errors import InputError, naming, shown
from cktf.names import tidy_name
from cktf.storage import open_folder, read

SEPARATORS = ",;\t| "
"""Signs that may part cells; of those that fit alike, the first is taken."""

MOST_BYTES = 64 * 2**20
"""Largest table that is read, in bytes."""

Rows = list[list[str]]


def table_rows(
    place: str, *, columns: Sequence[str], separator: str | None, encoding: str | None
) -> tuple[list[str], Rows]:
    """Return the head of a table and its rows, each as long as the head; names and cells as `tidy_name` has them.

    Empty lines are left out, and lines that begin with ``#`` and are none of the table.

    Args:
        place: The file, or its URI.
        columns: Those that are sought; they tell what parts the cells.
        separator: What parts the cells of a line; None: what fits.
        encoding: Of the text; None: its first bytes say it, or it is UTF-8.

    Raises:
        InputError: If the file cannot be read, is no table, is too large, or a row has more or fewer cells than the
            head.
    """
    above, slash, file = place.rpartition("/")
    with naming(place):
        content = read(open_folder(above or slash or "."), file)
    if len(content) > MOST_BYTES:
        raise InputError(f"{place}: is larger than {MOST_BYTES >> 20} MiB, which is the most that is read as a table")
    if content.startswith(b"PAR1"):
        return _of_records(place, _parquet_records(place, content))
    text = _text(place, content, encoding)
    if text.lstrip()[:1] in ("[", "{"):
        return _of_records(place, _json_records(place, text))
    return _of_lines(place, text, {tidy_name(name) for name in columns}, separator)


def _text(place: str, content: bytes, encoding: str | None) -> str:
    marked = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    name = encoding or marked
    try:
        return content.decode(name).removeprefix("\ufeff")
    except UnicodeError as error:
        at = f" at byte {error.start + 1}" if isinstance(error, UnicodeDecodeError) else ""
        hint = "" if encoding else "; --encoding names another, such as cp1252, latin-1 or utf-16-le"
        raise InputError(f"{place}: is not text in {name.removesuffix('-sig')}{at}{hint}") from None
    except (LookupError, ValueError):  # the latter for a NUL in it
        raise InputError(
            f"--encoding {shown(encoding)}: no such encoding; utf-8, utf-16, cp1252 and latin-1 are some"
        ) from None


def _of_lines(place: str, text: str, sought: set[str], separator: str | None) -> tuple[list[str], Rows]:
    """Return the table in lines of separated values."""
    sign = "\t" if separator == "tab" else separator
    if sign is not None and (len(sign) != 1 or sign in '"\r\n\0'):
        raise InputError(f"--separator {shown(separator)}: is one sign, such as ; or |, or tab")
    lines = text.split("\n")
    while lines[1:] and lines[0].strip()[:1] in ("", "#"):
        del lines[0]
    try:
        sign = sign or max(SEPARATORS, key=lambda sign: len(sought.intersection(*_parted(lines[:1], sign))))
        table = [row for row in _parted(lines, sign) if any(row)]
    except csv.Error as error:
        raise InputError(f"{place}: no table of separated values: {error}") from error
    if not table:
        raise InputError(f"{place}: no table: it is empty")
    head, *rows = table
    kept = []
    for row in rows:
        while len(row) > len(head) and not row[-1]:
            row.pop()
        if len(row) == len(head):
            kept.append(row)
        elif not row[0].startswith("#"):
            raise InputError(
                f"{place}: row {len(kept) + 1} has {len(row)} cells under {len(head)} columns "
                f"({shown(', '.join(head))[1:-1]}); {sign!r} parts cells (--separator names another sign), and a cell "
                "that has one in it stands in double quotes"
            )
    return head, kept


def _parted(lines: list[str], sign: str) -> Rows:
    text = io.StringIO("\n".join(lines), newline="")
    return [[tidy_name(cell) for cell in row] for row in csv.reader(text, delimiter=sign, skipinitialspace=True)]


def _parquet_records(place: str, content: bytes) -> list[dict[str, Any]]:
    try:
        records: list[dict[str, Any]] = pa.parquet.read_table(pa.BufferReader(content)).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{place}: no Parquet file that can be read: {error}") from error
    return records


def _json_records(place: str, text: str) -> list[Any]:
    """Return the entries of a JSON list, or of lines of JSON."""
    try:
        if text.lstrip().startswith("["):
            found = parsed_json(text)
            return found if isinstance(found, list) else [found]
        return [parsed_json(line) for line in text.split("\n") if line.strip()]
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{place}: is neither a list nor lines of JSON: {error}") from error


def parsed_json(text: str | bytes) -> Any:
    """Return the value of JSON text; integers of 30 digits or more become floats, perhaps infinite."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 30 else float(digits))


def _of_records(place: str, records: list[Any]) -> tuple[list[str], Rows]:
    """Return the table of records, each a mapping of column to value."""
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise InputError(f"{place}: row {number} must be a mapping of column to value; got {shown(record)}")
        for name, value in record.items():
            if isinstance(value, dict | list):
                raise InputError(f"{place}: row {number}, {shown(name)}: must be one value; got {shown(value)}")
    names = list(dict.fromkeys(name for record in records for name in record))
    if not names:
        raise InputError(f"{place}: no table: it is empty")
    rows = [
        ["" if (value := record.get(name)) is None else tidy_name(str(value)) for name in names] for record in records
    ]
    return [tidy_name(name) for name in names], rows
