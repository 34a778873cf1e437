"""Columns of the tables (repeated texts, timestamps, values of inferred type), their metadata and Parquet files."""

import json
from collections.abc import Mapping
from enum import StrEnum
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from analysis.facts import Facts
from cktf.rows import FACTS_KEY, SCHEMA_VERSION


def repeated(values: list[str], indices: pa.Array) -> pa.Array:
    """Return ``values[indices]`` as a dictionary-encoded array, which stores each text once."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(indices), encoded.dictionary)


def timestamps(seconds: Any) -> pa.Array:
    """Return seconds since the epoch as UTC timestamps, to the microsecond; missing ones stay missing."""
    floats = np.array(seconds, dtype=np.float64)
    return pa.array(np.round(floats * 1e6), mask=np.isnan(floats)).cast(pa.int64()).cast(pa.timestamp("us", tz="UTC"))


class Null(StrEnum):
    """Texts of a level that is null; None in a column says that a trial does not have the factor."""

    YAML = "null"
    PYTHON = "None"


def typed_column(values: list[Any]) -> pa.Array:
    """Return values as an array of the narrowest type that holds them all: bool, int, float or else string.

    In a column of strings they stand as `levels_apart` writes them.
    """
    values = levels_apart(values)
    kinds = set(map(type, values)) - {type(None)}
    for held, arrow_type in (({bool}, pa.bool_()), ({int}, pa.int64()), ({int, float}, pa.float64())):
        if kinds and kinds <= held:
            return pa.array(values, arrow_type)
    return pa.array(values, pa.string())


def levels_apart(values: list[Any]) -> list[Any]:
    """Return values of one column so that equal ones, and only these, are written alike.

    A column of only booleans, only numbers or only texts stays as it is, but -0.0 becomes 0.0. In a column of mixed
    kinds all become texts: 1 and 1.0 are ``1``, the text 1 is ``"1"``, and True is ``True``. None is a missing value,
    `Null` a value that is null.
    """
    values = [value + 0.0 if isinstance(value, float) else value for value in values]
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if kinds <= {int, float}:
        largest = 2**53 if float in kinds else 2**63 - 1
        is_plain = all(abs(value) <= largest if type(value) is int else isfinite(value) for value in present)
    else:
        is_plain = kinds in ({bool}, {str})
    return values if is_plain else [None if value is None else level_text(value) for value in values]


def level_text(value: Any) -> str:
    """Return a value as it is written in a column of several kinds; no two different values are written alike."""
    if isinstance(value, bool | Null):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str) and not _reads_as_another_kind(value):
        return value
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _reads_as_another_kind(text: str) -> bool:
    if text.casefold() in ("true", "false", "null", "none", "nan"):
        return True
    try:
        json.loads(text)
    except (RecursionError, ValueError):
        return False
    return True


def flat(values: Mapping[str, Any], separator: str = ".", prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one level, keys joined."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, separator, f"{prefix}{key}{separator}")
        else:
            found[f"{prefix}{key}"] = value
    return found


def data_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a data frame whose integers and truth values stay such beside missing ones."""
    frame: pd.DataFrame = table.to_pandas()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count and pa.types.is_integer(column.type):
            frame[name] = pd.array(column.to_pylist(), dtype="Int64")
        elif column.null_count and pa.types.is_boolean(column.type):
            frame[name] = pd.array(column.to_pylist(), dtype="boolean")
    return frame


VERSION_KEY = b"cktf.schema_version"

SCHEMA_METADATA = {VERSION_KEY: str(SCHEMA_VERSION).encode()}
"""Metadata of every table: the version of its schema."""


def metadata_of(facts: Facts) -> dict[bytes, bytes]:
    """Return the metadata of a table that carries the facts of its run."""
    return {**SCHEMA_METADATA, FACTS_KEY: facts.to_json().encode()}


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file, which do not depend on the table's chunks in memory.

    Floats and timestamps hardly repeat, so they are stored by byte stream split and not by a dictionary.
    """
    table = table.combine_chunks()  # a page of the file would end where a chunk does
    hardly = [
        field.name for field in table.schema if pa.types.is_floating(field.type) or pa.types.is_timestamp(field.type)
    ]
    others = [name for name in table.column_names if name not in hardly]
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink, compression="zstd", use_dictionary=others, use_byte_stream_split=hardly)
    content: bytes = sink.getvalue().to_pybytes()
    return content
