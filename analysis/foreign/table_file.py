"""A table that another program wrote into a file, as text: separated values, JSON or Parquet."""

import codecs
import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet

from cktf.errors import InputError, naming, shown
from cktf.names import tidy_name
from cktf.storage import open_folder, read

SEPARATORS = ",;\t| "
"""Possible separators of cells; of those that fit equally well, the first is taken."""

MOST_BYTES = 64 * 2**20
"""Largest table that is read, in bytes."""


class Table(NamedTuple):
    """A table of texts, tidied by `tidy_name`: the columns' names, rows of that length, and the place of each row."""

    head: list[str]
    rows: list[list[str]]
    places: Sequence[str]


def read_table(
    place: str, *, columns: Sequence[str] = (), separator: str | None = None, encoding: str | None = None
) -> Table:
    """Return the table in a file.

    Left out are empty lines, and those that begin with ``#`` and do not have as many cells as the head.

    Args:
        place: The file, or its URI.
        columns: Names of expected columns, by which the separator is found.
        separator: Separator of a line's cells; None: the one that fits best.
        encoding: Encoding of the text; None: detected by its first bytes, else UTF-8.

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
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        raise InputError(
            f"--encoding {shown(encoding)}: no such encoding; utf-8, utf-16, cp1252 and latin-1 are some"
        ) from None


def _of_lines(place: str, text: str, sought: set[str], separator: str | None) -> Table:
    """Return the table in lines of separated values."""
    sign = "\t" if separator == "tab" else separator
    if sign is not None and (len(sign) != 1 or sign in '"\r\n\0'):
        raise InputError(f"--separator {shown(separator)}: is one sign, such as ; or |, or tab")
    lines = text.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()[:1] not in ("", "#")), 0)
    try:
        sign = sign or max(SEPARATORS, key=lambda sign: _fit(lines[first], sign, sought))
        table = _parted(lines[first:], sign)
    except csv.Error as error:
        raise InputError(f"{place}: no table of separated values: {error}") from error
    if not table:
        raise InputError(f"{place}: no table: it is empty")
    (_, head), *rows = table
    kept: list[list[str]] = []
    places: list[str] = []
    for number, row in rows:
        while len(row) > len(head) and not row[-1]:
            row.pop()
        if len(row) == len(head):
            kept.append(row)
            places.append(f"line {first + number}")
        elif not row[0].startswith("#"):
            raise InputError(
                f"{place}: line {first + number} has {len(row)} cells under {len(head)} columns "
                f"({shown(', '.join(head))[1:-1]}); {sign!r} parts cells (--separator names another sign), and a cell "
                "that has one in it stands in double quotes"
            )
    return Table(head, kept, places)


def _fit(line: str, sign: str, sought: set[str]) -> tuple[int, int]:
    """Return how many of the sought columns a line names if this sign parts it, and how many cells it has."""
    cells = [cell for _, row in _parted([line], sign) for cell in row]
    return len(sought.intersection(cells)), 0 if sign == " " else len(cells)


def _parted(lines: list[str], sign: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, each with the number of its first line."""
    reader = csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter=sign, skipinitialspace=True)
    found, number = [], 1
    for row in reader:
        if any(cells := [tidy_name(cell) for cell in row]):
            found.append((number, cells))
        number = reader.line_num + 1
    return found


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


def _of_records(place: str, records: list[Any]) -> Table:
    """Return the table of records, each a mapping of column to value."""
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise InputError(f"{place}: row {number} must be a mapping of column to value; got {shown(record)}")
        for name, value in record.items():
            if isinstance(value, dict | list):
                raise InputError(f"{place}: row {number}, {shown(name)}: must be one value; got {shown(value)}")
    if not any(records):
        raise InputError(f"{place}: no table: it is empty")
    return table_of(records, [f"row {number}" for number in range(1, len(records) + 1)])


def table_of(records: Sequence[Mapping[str, Any]], places: Sequence[str]) -> Table:
    """Return records, each a mapping of column to value, as a table; missing values and None are empty."""
    names = list(dict.fromkeys(name for record in records for name in record))
    rows = [
        ["" if (value := record.get(name)) is None else tidy_name(str(value)) for name in names] for record in records
    ]
    return Table([tidy_name(name) for name in names], rows, places)
