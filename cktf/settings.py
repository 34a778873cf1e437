"""Base class of all settings: frozen, hashable, without unknown keys."""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

Epochs = Annotated[int, Field(ge=1, le=100_000)]
"""Passes over the training samples; the bound catches typing errors."""

BatchSize = Annotated[int, Field(ge=2, le=1_000_000)]
"""Samples per step; batch-norm needs two for a variance."""

Precision = Literal["auto", "float32", "bfloat16"]
"""Precision of a forward pass in training; `auto` is bfloat16 on a GPU that computes in it, and float32 elsewhere."""

LARGEST_SEED = 2**31 - 1
"""Largest seed of a replicate."""

Seed = Annotated[int, Field(ge=0, lt=LARGEST_SEED + 1, strict=True)]
"""Seed of a replicate, a teacher or a sampler."""


class Settings(BaseModel):
    """Settings of one part, declared beside it.

    Values are checked when the study is loaded. Frozen models are hashable, so that they can be keys of caches.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false for a number; Python, and so pydantic, takes them for 1 and 0."""
        if isinstance(value, bool) and info.field_name:
            members = union_members(cls.model_fields[info.field_name].annotation)
            if not {bool, Any}.intersection(members):
                if float in members:
                    raise PydanticKnownError("float_type")
                if int in members:
                    raise PydanticKnownError("int_type")
        return value

    @field_validator("*")
    @classmethod
    def _has_one_zero(cls, value: Any) -> Any:
        """Turn -0.0 into 0.0, so that equal values have the same text and bits."""
        return _without_minus_zero(value)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed; cached properties are computed anew."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


def _without_minus_zero(value: Any) -> Any:
    if isinstance(value, float):
        return value + 0.0  # 0.0 for -0.0, any other number unchanged
    if isinstance(value, list | tuple):
        return type(value)(_without_minus_zero(entry) for entry in value)
    if isinstance(value, dict):
        return {key: _without_minus_zero(entry) for key, entry in value.items()}
    return value


def union_members(annotation: Any) -> list[Any]:
    """Return the types of an annotation without None: a union's members, else the type itself without metadata."""
    if annotation is None or annotation is type(None):
        return []
    origin = get_origin(annotation)
    if origin is Annotated:
        return union_members(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [part for member in get_args(annotation) for part in union_members(member)]
    return [annotation]
