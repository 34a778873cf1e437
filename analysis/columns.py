"""Columns of the tables: texts that repeat, moments, and values whose type is found out."""

import json
from typing import Any

import numpy as np
import pyarrow as pa


def repeated(values: list[str], indices: pa.Array) -> pa.Array:
    """Return ``values[indices]``, each text held once however often it occurs."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.take(indices), encoded.dictionary)


def timestamps(seconds: Any) -> pa.Array:
    """Return seconds since the epoch as UTC timestamps, to the microsecond; missing ones stay missing."""
    floats = np.array(seconds, dtype=np.float64)
    return (
        pa.array(np.round(floats * 1e6), mask=np.isnan(floats))
        .cast(pa.int64())
        .cast(pa.timestamp("us", tz="UTC"))
    )


def typed_column(values: list[Any]) -> pa.Array:
    """Return values as an array of the narrowest type that holds them all: bool, int, float or else string.

    In a column of strings, whatever is no string stands as JSON.
    """
    kinds = set(map(type, values)) - {type(None)}
    for held, arrow_type in (({bool}, pa.bool_()), ({int}, pa.int64()), ({int, float}, pa.float64())):
        if kinds and kinds <= held:
            return pa.array(values, arrow_type)
    if not kinds <= {str}:
        values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array(values, pa.string())
