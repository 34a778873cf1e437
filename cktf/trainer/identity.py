"""The identity of a trial, an arm or a teacher: a hash of what its settings change of the frozen defaults.

A setting that has its default is left out, and so is an optional section that is not there. Therefore an objective, a
network or a data set that is added to a registry, and a new setting with a default, give no existing trial another
identity: a run can be resumed, and its teachers found, with a newer version. The defaults are those of
`cktf.trainer.frozen_defaults`, not those of today's code. For where a default of the code changes, what a study file
means changes with it, and the trial is another one.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from cktf.trainer.frozen_defaults import FROZEN_DEFAULTS

IDENTITY_VERSION = 1
"""Of the rule by which identities are made; part of each, so that a new rule makes no old one by chance."""

ID_LENGTH = 12
"""Hexadecimal digits of an identity: 48 bits, no collision to be expected below a million trials."""


def identity(settings: BaseModel, *, outside: Collection[str] = (), **beside: Any) -> str:
    """Return the identity of settings.

    Args:
        settings: A trial's configuration.
        outside: Paths in it that are no part of the identity.
        beside: What the identity is of besides, by name, whatever its default.
    """
    return identity_of(differing(settings, outside=outside), **beside)


def identity_of(differs: Mapping[str, Any], **beside: Any) -> str:
    """Return the identity of what differs from the frozen defaults, as `differing` has it.

    Args:
        differs: Path to value.
        beside: What the identity is of besides, by name, whatever its default.
    """
    what = {"version": IDENTITY_VERSION, "differs": differs, **beside}
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def differing(settings: BaseModel, *, outside: Collection[str] = ()) -> dict[str, Any]:
    """Return path to value, as JSON has it, of everything that differs from the frozen defaults.

    An optional section that is there counts even where all in it has its default: it stands as ``{}``. A setting that
    the frozen defaults do not know differs where it is not the default of its own field.

    Args:
        settings: A trial's configuration.
        outside: Paths that are left out.
    """
    return dict(_differing(settings, "", None, outside))


def _differing(
    settings: BaseModel, above: str, defaults: BaseModel | None, outside: Collection[str]
) -> Iterator[tuple[str, Any]]:
    """Yield path and value; ``defaults`` is the section that stands here by the default of the section above."""
    for name, field in type(settings).model_fields.items():
        path = f"{above}{name}"
        if path in outside:
            continue
        value = getattr(settings, name)
        if path in FROZEN_DEFAULTS and not isinstance(value, BaseModel):
            default = FROZEN_DEFAULTS[path]
        else:
            of_code = getattr(defaults, name, None) if defaults else _default_of(field)
            default = FROZEN_DEFAULTS.get(path, of_code)
        if isinstance(value, BaseModel):
            if default is None:
                yield path, {}
            section = of_code if isinstance(of_code, BaseModel) else None
            yield from _differing(value, f"{path}.", section, outside)
        elif value is not default and not _are_equal(value, default):
            yield path, _plain(value, path)


def _default_of(field: FieldInfo) -> Any:
    return field.default if field.default_factory is None else field.get_default(call_default_factory=True)


def _are_equal(value: Any, default: Any) -> bool:
    if type(value) is type(default) and isinstance(value, str | int | float | None):
        return bool(value == default)
    if default is PydanticUndefined or isinstance(default, BaseModel):
        return False
    # As JSON has them, 1 and true differ, and a list and a tuple do not.
    spelled = (json.dumps(_plain(each, ""), sort_keys=True) for each in (value, default))
    return next(spelled) == next(spelled)


def _plain(value: Any, path: str) -> Any:
    """Return a value as JSON has it, with one spelling of each number: 4 and 4.0 are one, 0.0 and -0.0 too."""
    if isinstance(value, BaseModel):  # in a list or mapping, where every one was written by somebody
        return dict(_differing(value, f"{path}[].", None, ()))
    if isinstance(value, Mapping):
        return {str(key): _plain(below, path) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below, path) for below in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return to_jsonable_python(value)
