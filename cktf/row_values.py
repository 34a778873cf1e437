"""Reads the values of a ledger's rows strictly, from JSON that any program may have written.

This module needs only the standard library.
"""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import cache, partial
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from cktf.errors import InputError

LARGEST_INTEGER = 2**63 - 1
"""Largest integer that tables can hold."""

LAST_MOMENT = 253402300799
"""Latest time that a date can express, in seconds since the epoch."""

DEEPEST = 50
"""Largest depth of nested objects and lists in a row."""


class Field(NamedTuple):
    """Default and reader of a field of a row."""

    default: Any
    """Value if a line does not have the field; `MISSING` if every line must have it."""

    read: Callable[[Any], Any]
    """Converts a JSON value to the field's type; raises a TypeError or ValueError that says what is allowed."""


@cache
def fields_of(row: Any) -> dict[str, Field]:
    """Return the fields of a kind of row by name."""
    types = get_type_hints(row)
    found = {}
    for f in fields(row):
        default = f.default if f.default_factory is MISSING else f.default_factory()
        read = partial(_one_of, f.metadata["allowed"]) if "allowed" in f.metadata else _reader(types[f.name])
        found[f.name] = Field(default, _moment if f.name == "time" else read)
    return found


def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return the function that reads a JSON value as a type."""
    within, arguments = get_origin(kind), get_args(kind)
    if within is list:
        return partial(_list, _reader(arguments[0]))
    if within is dict:
        return partial(_object, _reader(arguments[1]))
    if type(None) in arguments:
        read = _reader(next(option for option in arguments if option is not type(None)))
        return lambda value: None if value is None else read(value)
    return READERS[kind]


def _whole_number(value: Any) -> int:
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if not is_whole or isinstance(value, bool) or not -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER:
        raise InputError("a whole number of at most 64 bits")
    return int(value)


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    raise InputError("a number")


def _moment(value: Any) -> float:
    seconds = _number(value)
    if seconds < 0 or seconds > LAST_MOMENT:
        raise InputError(f"seconds from 0 to {LAST_MOMENT}, the end of the year 9999")
    return seconds


def _instance_of(kind: type, words: str, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(words)
    return value


READERS: dict[Any, Callable[[Any], Any]] = {
    int: _whole_number,
    float: _number,
    str: partial(_instance_of, str, "a text"),
    bool: partial(_instance_of, bool, "true or false"),
    Any: lambda value: value,
}
"""Type of a field to the function that reads a JSON value as one."""


def _one_of(allowed: tuple[str, ...], value: Any) -> str:
    if value not in allowed:
        raise InputError(f"one of {', '.join(allowed)}")
    return str(value)


def _list(read_entry: Callable[[Any], Any], value: Any) -> list[Any]:
    return [read_entry(entry) for entry in _instance_of(list, "a list", value)]


def _object(read_entry: Callable[[Any], Any], value: Any) -> dict[str, Any]:
    found = {}
    for key, entry in _instance_of(dict, "an object", value).items():
        try:
            found[key] = read_entry(entry)
        except (TypeError, ValueError) as error:
            raise InputError(f"an object, and {key!r} in it {error}") from None
    return found


def json_value(line: str | bytes) -> Any:
    """Return the value of a line of JSON.

    Raises:
        InputError: If it is not JSON in UTF-8, has a key twice, or a value that no row may have.
    """
    try:
        # Some programs begin a file with a byte order mark.
        text = line.decode("utf-8-sig") if isinstance(line, bytes) else line
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text: {error.reason} at byte {error.start + 1}") from None
    try:
        values = json.loads(text, object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        raise InputError(f"is not JSON: {error.msg}, at character {error.pos + 1}") from None
    except KeyError as error:
        raise InputError(f"key {error} stands twice") from None
    except RecursionError:
        raise InputError(f"is nested more than {DEEPEST} deep") from None
    except ValueError:  # Python's own limit
        raise InputError("holds an integer of thousands of digits") from None
    if text.count("{") + text.count("[") > DEEPEST and depth(values) > DEEPEST:
        raise InputError(f"is nested more than {DEEPEST} deep")
    if "\\u" in text:
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise InputError("holds half of a surrogate pair, which is no character") from None
    return values


def finite(value: Any) -> Any:
    """Return a value for JSON: None for a number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(below) for key, below in value.items()}
    return [finite(below) for below in value] if isinstance(value, list | tuple) else value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise KeyError(next(key for key in counts if counts[key] > 1))
    return values


def depth(value: Any) -> int:
    """Return the depth of nested objects and lists, without recursion."""
    depth, level = 0, [value]
    while level := [entry for entry in level if isinstance(entry, dict | list)]:
        depth += 1
        level = [below for entry in level for below in (entry.values() if isinstance(entry, dict) else entry)]
    return depth
