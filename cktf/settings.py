"""The base of every settings model: frozen, hashable, closed to unknown keys."""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

Epochs = Annotated[int, Field(ge=1, le=100_000)]
"""Passes over the samples that are learnt from; more is a slip of the keyboard."""

BatchSize = Annotated[int, Field(ge=2, le=1_000_000)]
"""Samples of one step; batch-norm has no variance to train on in a batch of one."""

Precision = Literal["auto", "float32", "bfloat16"]
"""Precision of a forward pass in training; `auto` is bfloat16 on a GPU and float32 elsewhere."""

LARGEST_SEED = 2**31 - 1
"""Of a replicate."""

Seed = Annotated[int, Field(ge=0, lt=LARGEST_SEED + 1, strict=True)]
"""What a generator is made of, beside what it is for."""


class Settings(BaseModel):
    """Settings of one part, declared beside the part.

    A value is checked when the study is loaded, so a wrong one never reaches a worker. Frozen models are hashable,
    which lets a warm worker remember what it has already loaded for equal settings.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is meant; Python, and so pydantic, takes them for 1 and 0."""
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
        """Turn -0.0 into 0.0: they are equal, but neither their names nor their bits are."""
        return _without_minus_zero(value)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, with some fields changed, that has derived nothing yet: cached properties are not copied."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


def _without_minus_zero(value: Any) -> Any:
    if isinstance(value, float):
        return value + 0.0  # which is 0.0 for -0.0, and any other number itself
    if isinstance(value, list | tuple):
        return type(value)(_without_minus_zero(entry) for entry in value)
    if isinstance(value, dict):
        return {key: _without_minus_zero(entry) for key, entry in value.items()}
    return value


def union_members(annotation: Any) -> list[Any]:
    """Return the members of a union, the bare type of an annotated one, and the type itself otherwise; never None."""
    if annotation is None or annotation is type(None):
        return []
    origin = get_origin(annotation)
    if origin is Annotated:
        return union_members(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [part for member in get_args(annotation) for part in union_members(member)]
    return [annotation]
