"""Lines of epochs -> columns.

One writer's lines with the same keys differ in their values alone. Cut at commas they are therefore a table of which
each column begins and ends alike, with ``"train_loss":`` and nothing, and holds a number between. Arrow's reader of
comma-separated values cuts them, three times as fast as its reader of JSON parses them. What cannot be cut so is parsed
as the JSON it is: lines with other keys, all where these are many, and whatever holds anything unusual.

What a writer of JSON has written is read alike both ways. Of a line changed by hand, a number such as +1.5 or 0x2,
which JSON does not know, passes where it is cut: to ask of each whether it is one would cost more than it is worth.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from typing import get_args, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json

from cktf.rows import EpochRow

NAMED = {"terms": "term.", "health": "health."}
"""Keys of an epoch row that hold numbers by name, and what begins the names of the columns that these become."""

ARROW_TYPES = {int: pa.int64(), str: pa.string()} | dict.fromkeys(
    (float, float | None, int | None), pa.float64()
)
"""Of a row's fields. A count that may be missing is a float, as it is in a data frame."""

EPOCH_SCHEMA = pa.schema(
    [(f.name, ARROW_TYPES[get_type_hints(EpochRow)[f.name]]) for f in fields(EpochRow) if f.name not in NAMED]
)
REQUIRED = [
    f.name
    for f in fields(EpochRow)
    if f.default is MISSING
    and f.default_factory is MISSING
    and type(None) not in get_args(get_type_hints(EpochRow)[f.name])
]
"""Columns that every epoch row has, and of which none is null."""

EPOCH_PREFIX = b'{"kind":"epoch",'
LATER_EPOCH = re.compile(rb"\n" + re.escape(EPOCH_PREFIX))

POSITION = "position"
"""Column: which of the lines a row was, from 0."""

MOST_OTHERS = 2000
"""Lines of another shape than the first epoch's that are looked at one by one; where there are more, all are parsed."""

LONGEST = 2**20
"""No value, and no line that is cut, has so many bytes."""

FIELD = re.compile(rb'((?:\{?"[^"]*":)+\{?)("[^"]*"|[^"{}\[\]]*)(\}*)')
"""What stands between two commas: keys, a value that is no list, and what ends with it. Of an empty object the value
is empty."""

Line = tuple[int, bytes]
"""A line's position, from 0, and what it holds, without its newline."""


@dataclass(frozen=True)
class Field:
    """What the lines of one shape have between two of their commas.

    Attributes:
        column: Where its value goes; empty where there is none, and the lines do not differ.
        prefix: What stands before the value, its quote included.
        suffix: What stands after it.
    """

    column: str
    prefix: bytes
    suffix: bytes


def parse_lines(content: memoryview) -> tuple[list[pa.Table], list[Line]]:
    """Return the epochs among some lines, as tables with the rows in any order, and the other lines.

    The tables have the columns of `EPOCH_SCHEMA`, a ``term.<name>`` or ``health.<name>`` for each name that occurs in
    them, and `POSITION`. NaN and Infinity, which Python's json writes, are read as floats.

    Args:
        content: Whole lines.

    Raises:
        ValueError: If an epoch is broken, or lacks what every epoch has.
    """
    first = _first_epoch(content)
    alike = _cut(content, _shape_of(first)) if first else None
    tables, lines = alike or ([], list(enumerate(bytes(content).split(b"\n")[:-1])))
    others = [line for line in lines if not line[1].startswith(EPOCH_PREFIX)]
    left = [line for line in lines if line[1].startswith(EPOCH_PREFIX)]
    if left:
        table = _parse_json(b"\n".join(text for _, text in left))
        tables.append(table.append_column(POSITION, pa.array([position for position, _ in left])))
    return tables, others


def _first_epoch(content: memoryview) -> bytes | None:
    """Return the first line that is an epoch; None if none is."""
    start = 0
    if content[: len(EPOCH_PREFIX)] != EPOCH_PREFIX:
        later = LATER_EPOCH.search(content)
        if later is None:
            return None
        start = later.start() + 1
    return bytes(content[start : start + LONGEST]).partition(b"\n")[0]


def _cut(content: memoryview, shape: list[Field] | None) -> tuple[list[pa.Table], list[Line]] | None:
    """Return the lines of one shape as a table, and the other lines in order; None where all have to be parsed."""
    # What is no ASCII is no writer's of ours, and may be no text at all.
    if shape is None or np.frombuffer(content, np.uint8).max() >= 128:
        return None
    others: list[Line] = []

    def leave(row: pa.csv.InvalidRow) -> str:
        others.append((row.number - 1, row.text.encode()))
        return "skip" if len(others) <= MOST_OTHERS else "error"

    names = list(map(str, range(len(shape))))
    try:
        cut = pa.csv.read_csv(
            pa.BufferReader(content),
            # One block and no threads: pieces are what is parsed at the same time.
            read_options=pa.csv.ReadOptions(
                use_threads=False, block_size=len(content) + 1, column_names=names
            ),
            parse_options=pa.csv.ParseOptions(
                quote_char=False, ignore_empty_lines=False, invalid_row_handler=leave
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=False
            ),
        )
        position = np.delete(np.arange(cut.num_rows + len(others)), [position for position, _ in others])
        is_alike = np.ones(cut.num_rows, bool)
        for part, field in zip(cut.columns, shape, strict=True):
            begins = pc.starts_with if field.column else pc.equal
            is_alike &= begins(part, field.prefix).to_numpy()
            if field.suffix:
                is_alike &= pc.ends_with(part, field.suffix).to_numpy()
        if len(others) + np.count_nonzero(~is_alike) > MOST_OTHERS:
            return None
        if not is_alike.all():
            rest = zip(*cut.filter(pa.array(~is_alike)).to_pydict().values(), strict=True)
            others += zip(position[~is_alike].tolist(), map(b",".join, rest), strict=True)
            cut, position = cut.filter(pa.array(is_alike)), position[is_alike]
        columns = {
            field.column: _values(part.combine_chunks(), field)
            for part, field in zip(cut.columns, shape, strict=True)
            if field.column
        }
    except pa.ArrowInvalid:
        return None
    if any(columns[name].null_count for name in REQUIRED if name in columns):
        return None
    absent = {f.name: pa.nulls(len(position), f.type) for f in EPOCH_SCHEMA if f.name not in columns}
    return [pa.table(columns | absent | {POSITION: pa.array(position)})], sorted(others)


def _shape_of(line: bytes) -> list[Field] | None:
    """Return what stands between the commas of a line; None where it cannot be cut at its commas."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    columns, parts = list(_columns_of(row)), line.split(b",")
    if b"\\" in line or None in columns or len(parts) != len(columns) or not row.keys() >= set(REQUIRED):
        return None
    shape = []
    for column, part in zip(columns, parts, strict=True):
        match = FIELD.fullmatch(part)
        if match is None:
            return None
        prefix, value, suffix = match.groups()
        quote = b'"' if value.startswith(b'"') else b""
        if not column:
            shape.append(Field("", part, b""))
        elif (quote != b"") == (_type_of(column) == pa.string()):
            shape.append(Field(column, prefix + quote, quote + suffix))
        else:
            return None
    return shape


def _columns_of(row: dict[str, object]) -> Iterator[str | None]:
    """Yield the columns of the values of a line in their order.

    It is empty for an object without any, and for the row's kind, which is known; None for what is not known.
    """
    for key, value in row.items():
        if key == "kind" or value == {}:
            yield ""
        elif key in NAMED and isinstance(value, dict):
            yield from (NAMED[key] + name for name in value)
        else:
            yield key if key in EPOCH_SCHEMA.names else None


def _type_of(column: str) -> pa.DataType:
    return EPOCH_SCHEMA.field(column).type if column in EPOCH_SCHEMA.names else pa.float64()


def _values(parts: pa.Array, field: Field) -> pa.Array:
    """Return the values of a field, of the parts between two commas.

    Raises:
        pa.ArrowInvalid: If they cannot be read without parsing their lines.
    """
    # Without an end Arrow 26 reserves too little for some columns, and refuses them.
    texts = pc.binary_slice(parts, len(field.prefix), -len(field.suffix) or LONGEST)
    kind = _type_of(field.column)
    if kind == pa.string():
        if any(pc.any(pc.match_substring(texts, unusual)).as_py() for unusual in (b'"', b"\\")):
            raise pa.ArrowInvalid(f"{field.column}: a text with quotes")
        return texts.cast(kind)
    numbers = texts.view(pa.string())
    is_null = pc.equal(numbers, "null")
    if pc.any(is_null).as_py():  # before any is cast, for which it would be an error: 250 ns each
        numbers = pc.if_else(is_null, pa.scalar(None, pa.string()), numbers)
    return numbers.cast(kind)


def _parse_json(content: bytes) -> pa.Table:
    table = pa.json.read_json(
        pa.BufferReader(content),
        read_options=pa.json.ReadOptions(use_threads=False, block_size=len(content) + 1),
        parse_options=pa.json.ParseOptions(explicit_schema=EPOCH_SCHEMA, unexpected_field_behavior="infer"),
    )
    for name in REQUIRED:
        if name not in table.column_names or table[name].null_count:
            raise ValueError(f"ledger row of kind {EpochRow.kind!r} without {name}")
    columns = {name: table[name] for name in EPOCH_SCHEMA.names}
    for key, prefix in NAMED.items():
        if key in table.column_names:  # rows that were written before there was any health have none
            numbers = table[key].combine_chunks()
            for index in range(numbers.type.num_fields):
                name = f"{prefix}{numbers.type.field(index).name}"
                columns[name] = numbers.field(index).cast(pa.float64())
    return pa.table(columns)
