"""A file of a table that another program wrote, as text: separated values, JSON or Parquet, plain or gzip."""

import codecs
import csv
import gzip
import io
import itertools
import json
import zlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from cktf.errors import InputError, naming, shown
from cktf.names import tidy_name
from cktf.storage import open_folder, read

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar", " ": "a blank"}
"""What may part cells, and how it is called; of those that fit alike, the first is taken."""

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Bytes that a file of text may begin with, and the encoding that they speak of."""

MOST_BYTES = 64 * 2**20
"""Largest table that is read, in bytes, unpacked."""

GZIP, PARQUET, ZIP = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"
"""First bytes of files that are no text."""

Rows = list[list[str]]


def table_rows(
    place: str, *, columns: Sequence[str], separator: str | None, encoding: str | None
) -> tuple[list[str], Rows]:
    """Return the head of a table and its rows, each as long as the head; names and cells as `tidy_name` has them.

    Empty lines are left out, and lines that begin with ``#`` and are none of the table.

    Args:
        place: The file, or its URI.
        columns: Those that are sought; they tell what parts the cells, and which line is the head.
        separator: What parts the cells of a line; None: a line ``sep=...`` says it, or it is found out.
        encoding: Of the text; None: its first bytes say it, or it is UTF-8.

    Raises:
        InputError: If the file cannot be read, is no table, is too large, or a row has more or fewer cells than the
            head.
    """
    content = _content(place)
    if content.startswith(PARQUET):
        return _of_records(place, _parquet_records(place, content))
    text = _text(place, content, encoding)
    if text.lstrip()[:1] in ("[", "{"):
        return _of_records(place, _json_records(place, text))
    return _of_lines(place, text, [tidy_name(name) for name in columns], _sign(separator))


def _content(place: str) -> bytes:
    """Return the bytes of a file, unpacked."""
    above, slash, file = place.rpartition("/")
    with naming(place):
        content = read(open_folder(above or slash or "."), file)
    if content.startswith(GZIP):
        try:
            with gzip.open(io.BytesIO(content)) as unpacked:
                content = unpacked.read(MOST_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{place}: cannot be unpacked as gzip: {error}") from error
    if content.startswith(ZIP):
        raise InputError(f"{place}: is a zip archive, as a spreadsheet is; save its table as CSV")
    if len(content) > MOST_BYTES:
        raise InputError(f"{place}: is larger than {MOST_BYTES >> 20} MiB, which is the most that is read as a table")
    return content


def _text(place: str, content: bytes, encoding: str | None) -> str:
    marked = next((name for mark, name in MARKS.items() if content.startswith(mark)), None)
    name = encoding or marked or "utf-8"
    if not _is_encoding(name):
        raise InputError(f"--encoding {shown(name)}: no such encoding; utf-8, utf-16, cp1252 and latin-1 are some")
    try:
        text = content.decode(name)
    except UnicodeError as error:
        at = f" at byte {error.start + 1}" if isinstance(error, UnicodeDecodeError) else ""
        hint = "" if encoding else "; --encoding names another: cp1252 or latin-1 for a byte a letter"
        raise InputError(f"{place}: is not text in {name}{at}{hint}") from None
    text = text.removeprefix("\ufeff")
    if not encoding and text.count("\0") > len(text) // 4:
        little = content[1:2] == b"\0"
        raise InputError(
            f"{place}: every second byte is 0, as in UTF-16 without its mark; --encoding "
            f"{'utf-16-le' if little else 'utf-16-be'} reads it"
        )
    return text


def _is_encoding(name: str) -> bool:
    try:
        return codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):  # the latter for a NUL in it
        return False


def _sign(separator: str | None) -> str | None:
    """Return a separator as it stands in a file."""
    sign = {"tab": "\t", "\\t": "\t", "space": " ", "blank": " "}.get(separator or "", separator)
    if sign is not None and (len(sign) != 1 or sign in '"\r\n\0'):
        raise InputError(f"--separator {shown(separator)}: is one sign, such as ; or |, or tab")
    return sign


def _of_lines(place: str, text: str, sought: list[str], separator: str | None) -> tuple[list[str], Rows]:
    """Return the table in lines of separated values."""
    if text[:4].lower() == "sep=" and text[4:6].strip("\r\n"):
        separator = separator or text[4]
        text = text[5:].lstrip("\r\n")
    lines = text.split("\n")
    above = itertools.takewhile(lambda line: line.strip()[:1] in ("", "#"), lines)
    may_be_head = lines[: sum(1 for _ in above) + 1]
    # NumPy writes a head behind the sign of a comment. Of lines that fit alike, the last one is the head.
    fits = [_fits(line.lstrip().removeprefix("#"), sought, separator) for line in may_be_head]
    first = max(range(len(fits)), key=lambda number: (fits[number], number))
    lines = lines[first:]
    if fits[first]:
        lines[0] = lines[0].lstrip().removeprefix("#")
    sign = separator or max(SEPARATORS, key=lambda sign: _fits(lines[0], sought, sign))
    try:
        table = list(_reader("\n".join(lines), sign))
    except csv.Error as error:
        raise InputError(f"{place}: no table of separated values: {error}") from error
    rows = [row for line in table if any(row := [tidy_name(cell) for cell in line])]
    if not rows:
        raise InputError(f"{place}: no table: it is empty")
    head, *rows = rows
    kept = []
    for row in rows:
        while len(row) > len(head) and not row[-1]:
            row.pop()
        if len(row) == len(head):
            kept.append(row)
        elif not row[0].startswith("#"):
            parted = SEPARATORS.get(sign, shown(sign))
            raise InputError(
                f"{place}: row {len(kept) + 1} has {len(row)} cells under {len(head)} columns "
                f"({shown(', '.join(head))[1:-1]}); {parted} parts cells (--separator names another sign), and a cell "
                "that has one in it stands in double quotes"
            )
    return head, kept


def _reader(text: str, sign: str) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=sign, skipinitialspace=True)


def _fits(line: str, sought: list[str], sign: str | None) -> int:
    """Return how many columns that are sought a line names, however written, where a sign, or any, parts its cells."""
    most = 0
    for each in [sign] if sign else SEPARATORS:
        try:
            names = {tidy_name(cell).casefold() for cell in next(_reader(line, each), [])}
        except csv.Error:
            continue
        most = max(most, sum(name.casefold() in names for name in sought))
    return most


def _parquet_records(place: str, content: bytes) -> list[dict[str, Any]]:
    try:
        table = pa.parquet.read_table(pa.BufferReader(content))
        if table.nbytes > MOST_BYTES:
            raise InputError(f"{place}: holds more than {MOST_BYTES >> 20} MiB, the most that is read as a table")
        records: list[dict[str, Any]] = table.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{place}: no Parquet file that can be read: {error}") from error
    return records


def _json_records(place: str, text: str) -> list[Any]:
    """Return what a list of JSON holds, or lines of JSON."""
    try:
        if text.lstrip().startswith("["):
            found = parsed_json(text)
            return found if isinstance(found, list) else [found]
        return [parsed_json(line) for line in text.split("\n") if line.strip()]
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{place}: is neither a list nor lines of JSON: {error}") from error


def parsed_json(text: str | bytes) -> Any:
    """Return what JSON holds; an integer that is long beyond 64 bits is a float, be it infinite."""
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
