"""The identity of a trial, an arm or a teacher: a hash of its settings that differ from the frozen defaults.

Settings at their default and absent optional sections are left out, so a new objective, network, data set or defaulted
setting changes no existing identity: a run can be resumed, and its teachers found, with a newer version. The defaults
are those of `cktf.trainer.frozen_defaults`, not of today's code: if a default of the code changes, a study file means
another trial.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from cktf.trainer.frozen_defaults import FROZEN_DEFAULTS

IDENTITY_VERSION = 1
"""Version of the rule by which identities are made; part of each identity."""

ID_LENGTH = 12
"""Hexadecimal digits of an identity: 48 bits, no collision to be expected below a million trials."""


def identity(settings: BaseModel, *, outside: Collection[str] = (), **beside: Any) -> str:
    """Return the identity of settings without the paths ``outside``, and of further values ``beside`` them by name."""
    return identity_of(differing(settings, outside=outside), **beside)


def identity_of(differs: Mapping[str, Any], **beside: Any) -> str:
    """Return the identity of the settings that `differing` returns, and of further values by name."""
    what = {"version": IDENTITY_VERSION, "differs": differs, **beside}
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def differing(
    settings: BaseModel, *, outside: Collection[str] = (), above: str = "", defaults: BaseModel | None = None
) -> dict[str, Any]:
    """Return path to JSON value of every setting that differs from the frozen defaults.

    An optional section that is present counts as ``{}`` even if all its settings have their defaults. A setting without
    a frozen default is compared with the default of its field. The paths ``outside`` are left out. Of a section,
    ``above`` is its path with a dot, and ``defaults`` its default in the section above.
    """
    differs: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        path = f"{above}{name}"
        if path in outside:
            continue
        value = getattr(settings, name, None)  # a plug-in may have added a field since
        if path in FROZEN_DEFAULTS and not isinstance(value, BaseModel):
            default = FROZEN_DEFAULTS[path]
        else:
            of_code = getattr(defaults, name, None) if defaults else field.get_default(call_default_factory=True)
            default = FROZEN_DEFAULTS.get(path, of_code)
        if isinstance(value, BaseModel):
            if default is None:
                differs[path] = {}
            section = of_code if isinstance(of_code, BaseModel) else None
            differs |= differing(value, outside=outside, above=f"{path}.", defaults=section)
        elif value is not default and not _are_equal(value, default):
            differs[path] = _plain(value, path)
    return differs


def _are_equal(value: Any, default: Any) -> bool:
    if type(value) is type(default) and isinstance(value, str | int | float | None):
        return bool(value == default)
    if default is PydanticUndefined or isinstance(default, BaseModel):
        return False
    # In JSON 1 and true differ, and a list and a tuple do not.
    spelled = (json.dumps(_plain(each, ""), sort_keys=True) for each in (value, default))
    return next(spelled) == next(spelled)


def _plain(value: Any, path: str) -> Any:
    """Return a value for JSON, with one spelling of equal numbers: of 4 and 4.0, and of 0.0 and -0.0."""
    if isinstance(value, BaseModel):  # an entry of a list or mapping, which has no default
        return differing(value, above=f"{path}[].")
    if isinstance(value, Mapping):
        return {str(key): _plain(below, path) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below, path) for below in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return to_jsonable_python(value)
