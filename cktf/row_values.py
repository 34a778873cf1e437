"""The base class of a ledger's rows: written as JSON, and read strictly from JSON that any program may have written."""

import json
import math
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, NotRequired, Self, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic takes typing's from Python 3.12 on

from cktf.errors import InputError, shown

LARGEST_INTEGER = 2**63 - 1
"""Largest integer that tables can hold."""

LAST_MOMENT = 253402300799
"""Latest time that a date can express, in seconds since the epoch."""

DEEPEST = 50
"""Largest depth of nested objects and lists in a value of another program."""

_Whole = Annotated[
    int,
    Field(ge=-LARGEST_INTEGER - 1, le=LARGEST_INTEGER),
    BeforeValidator(lambda value: int(value) if isinstance(value, float) and value.is_integer() else value),
]
_READ_AS: dict[Any, Any] = {
    int: _Whole,
    int | None: _Whole | None,
    float: Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)],
}
"""Type of a field to the type that validates its values: some programs write 1.0 for 1; NaN is written as null."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a ledger. NaN and infinity, which JSON lacks, are written as null and read as missing."""

    kind: ClassVar[str]

    def to_json(self) -> str:
        """Return the row as one line, ``kind`` first, without the newline."""
        values = {"kind": self.kind, **finite(asdict(self))}
        return json.dumps(values, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the row of a parsed line; unknown keys are dropped.

        A null value becomes the field's default, or NaN for a float without default.

        Raises:
            InputError: If a key without default is missing, or a value is not of the type of its field.
        """
        always = required(cls)
        given = {name: value for name, value in values.items() if value is not None or name in always}
        try:
            return cls(**_reader_of(cls).validate_python(given))  # type: ignore[arg-type]  # a class is hashable
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            said = f"{first['msg'].replace('Input should be', 'must be')}; got {shown(first['input'])}"
            name = ".".join(map(str, first["loc"]))
            what = "is missing" if first["type"] == "missing" else said
            raise InputError(f"{name!r} of a row of kind {cls.kind!r} {what}") from None


@cache
def _reader_of(row: Any) -> TypeAdapter[dict[str, Any]]:
    """Return the validator of a kind of row, made from the types of its fields; it drops unknown keys."""
    types, keys = get_type_hints(row), {}
    for field in fields(row):
        read = _READ_AS.get(types[field.name], types[field.name])
        if "allowed" in field.metadata:
            read = Literal[tuple(map(str, field.metadata["allowed"]))]
        if field.name == "time":
            read = Annotated[float, Field(ge=0, le=LAST_MOMENT)]
        keys[field.name] = read if field.name in required(row) else NotRequired[read]
    return TypeAdapter(with_config(ConfigDict(strict=True))(TypedDict(row.__name__, keys)))  # type: ignore[operator]


def required(row: Any) -> list[str]:
    """Return the names of the fields without a default, which every row of a kind has."""
    return [field.name for field in fields(row) if field.default is MISSING and field.default_factory is MISSING]


def finite(value: Any) -> Any:
    """Return a value for JSON: None for a number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(below) for key, below in value.items()}
    return [finite(below) for below in value] if isinstance(value, list | tuple) else value


def depth(value: Any) -> int:
    """Return the depth of nested objects and lists, without recursion."""
    depth, level = 0, [value]
    while level := [entry for entry in level if isinstance(entry, dict | list)]:
        depth += 1
        level = [below for entry in level for below in (entry.values() if isinstance(entry, dict) else entry)]
    return depth
