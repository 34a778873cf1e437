"""Lines of a ledger -> a table of the epochs, and the lines of all other rows.

Nearly all lines are epochs, so these are parsed in compiled code, by Arrow's reader of JSON. It accepts no row that
`cktf.ledger_lines.parse_row` would refuse: whatever it cannot read as numbers and texts of the expected types is read
by `parse_row`, line by line.
"""

import math
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import get_type_hints

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from cktf.epoch_result import MEASURE
from cktf.ledger_lines import parse_row
from cktf.row_values import LARGEST_INTEGER, LAST_MOMENT, required
from cktf.rows import EpochRow

NAMED = {"terms": "term.", "health": "health.", "measures": MEASURE}
"""Nested keys of an epoch row -> prefix of their flat columns (``terms.kd`` -> ``term.kd``)."""

ARROW_TYPES = {int: pa.int64(), str: pa.string()} | dict.fromkeys((float, float | None, int | None), pa.float64())
"""Type of a row's field to its Arrow type. A count that may be missing is a float, as it is in a data frame."""

TYPES = {f.name: get_type_hints(EpochRow)[f.name] for f in fields(EpochRow) if f.name not in NAMED}
EPOCH_SCHEMA = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in TYPES.items()])
COUNTS = [name for name, kind in TYPES.items() if kind == int | None]
NEVER_NULL = [name for name in required(EpochRow) if TYPES.get(name) in (int, str)]

DEFAULTS = {f.name: f.default for f in fields(EpochRow) if f.default not in (MISSING, None)}
"""Key -> its value in rows that lack it."""

POSITION = "position"
"""Column: the index of a row's line, from 0."""

LOOKS_LIKE_AN_EPOCH = (
    r"^\s*\{[^{}\[\]]*(?:\{[^{}\[\]]*\}[^{}\[\]]*)*\}\s*$",  # one object, with flat objects in it
    r'"kind"\s*:\s*"epoch"',
)
"""Patterns of the lines that Arrow parses; all others are parsed one by one."""


def parse_lines(lines: Sequence[bytes]) -> tuple[list[pa.Table], list[tuple[int, bytes]]]:
    """Return the epochs among some lines, as tables with the rows in any order, and the other lines with their indices.

    The tables have the columns of `EPOCH_SCHEMA`, a ``term.<name>``, ``health.<name>`` or ``measure.<name>`` for each
    name that occurs in them, and `POSITION`. NaN becomes a missing value.

    Raises:
        ValueError: If an epoch is broken, or lacks a key that every epoch has.
    """
    texts = pa.array(lines, pa.binary())
    is_alike = pa.array([True] * len(lines), pa.bool_())
    for pattern in LOOKS_LIKE_AN_EPOCH:
        is_alike = pc.and_(is_alike, pc.match_substring_regex(texts, pattern))
    table = _in_columns(texts.filter(is_alike))
    if table is None:  # each line is parsed by itself
        is_alike = pa.array([False] * len(lines), pa.bool_())
    tables = [] if table is None else [_at(table, pc.indices_nonzero(is_alike))]
    rows, others = [], []
    for position in pc.indices_nonzero(pc.invert(is_alike)).to_pylist():
        line = lines[position]
        # Only an escape can hide this word in an epoch.
        if b'"epoch"' in line or b"\\u" in line:
            row = parse_row(line)
            if isinstance(row, EpochRow):
                rows.append((position, row))
                continue
        others.append((position, line))
    if rows:
        positions, epochs = zip(*rows, strict=True)
        tables.append(_at(_table_of(epochs), pa.array(positions, pa.int64())))
    return tables, others


def _at(table: pa.Table, positions: pa.Array) -> pa.Table:
    return table.append_column(POSITION, positions.cast(pa.int64()))


def _in_columns(texts: pa.Array) -> pa.Table | None:
    """Return the lines of epochs as a table; None if one of them has to be parsed by itself."""
    if not len(texts):
        return None
    content = b"\n".join(texts.to_pylist())
    try:
        content.decode()
        table = pa.json.read_json(
            pa.BufferReader(content),
            # One block and no threads: pieces are parsed in parallel.
            read_options=pa.json.ReadOptions(use_threads=False, block_size=len(content) + 1),
            parse_options=pa.json.ParseOptions(
                explicit_schema=pa.schema([("kind", pa.string()), *EPOCH_SCHEMA]), unexpected_field_behavior="infer"
            ),
        )
    except ValueError:  # pa.ArrowInvalid is one
        return None
    if table.num_rows != len(texts) or not pc.all(pc.equal(table["kind"], EpochRow.kind), skip_nulls=False).as_py():
        return None
    if any(table[name].null_count for name in NEVER_NULL):
        return None
    for name in required(EpochRow):
        # A missing key and a null look alike in the table.
        may_be_missing = name not in table.column_names or table[name].null_count
        if may_be_missing and not pc.all(pc.match_substring(texts, f'"{name}"')).as_py():
            return None
    columns = {name: table[name].combine_chunks() for name in EPOCH_SCHEMA.names}
    for key, prefix in NAMED.items():
        if key not in table.column_names:  # rows that were written before there was any health have none
            continue
        numbers = table[key].combine_chunks()
        if not pa.types.is_struct(numbers.type) or (key in required(EpochRow) and numbers.null_count):
            return None
        for index in range(numbers.type.num_fields):
            values = numbers.field(index)
            if not (_is_number(values.type) or pa.types.is_null(values.type)):
                return None
            columns[f"{prefix}{numbers.type.field(index).name}"] = values.cast(pa.float64(), safe=False)
    if pc.any(pc.or_(pc.less(columns["time"], 0), pc.greater(columns["time"], LAST_MOMENT))).as_py():
        return None
    # A number too large for a float is infinite here; only the line itself tells it from one written as infinite.
    if any(pc.any(pc.is_inf(values)).as_py() for values in columns.values() if _is_number(values.type)):
        return None
    for name in COUNTS:
        is_whole = pc.and_(
            pc.equal(columns[name], pc.floor(columns[name])), pc.less(pc.abs(columns[name]), float(LARGEST_INTEGER))
        )
        if pc.any(pc.invert(is_whole)).as_py():
            return None
    for name, default in DEFAULTS.items():
        columns[name] = columns[name].fill_null(default)
    return pa.table({name: _without_nan(values) for name, values in columns.items()})


def _table_of(rows: Sequence[EpochRow]) -> pa.Table:
    """Return epochs as a table."""
    columns = {field.name: pa.array([getattr(row, field.name) for row in rows], field.type) for field in EPOCH_SCHEMA}
    for key, prefix in NAMED.items():
        numbers = [getattr(row, key) for row in rows]
        for name in dict.fromkeys(name for named in numbers for name in named):
            columns[f"{prefix}{name}"] = pa.array([named.get(name, math.nan) for named in numbers], pa.float64())
    return pa.table({name: _without_nan(values) for name, values in columns.items()})


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _without_nan(values: pa.Array) -> pa.Array:
    """Return an array with missing values in place of NaN."""
    if not pa.types.is_floating(values.type) or not pc.any(pc.is_nan(values)).as_py():
        return values
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
