"""Plug-ins of a study put beside the built-in parts, so that configurations may name them."""

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cktf.data import DATASETS
from cktf.errors import InputError, shown
from cktf.models import MODELS
from cktf.objectives import OBJECTIVES, Objective, ObjectivesConfig, ObjectiveSettings
from cktf.plugins import KINDS, ORIGINS, Plugin, together
from cktf.trainer.config import TrialConfig

_TABLES: dict[str, MutableMapping[str, Any]] = {
    "OBJECTIVES": OBJECTIVES,
    "MODELS": MODELS,
    "DATASETS": DATASETS,
}


def register(plugins: Iterable[Plugin]) -> None:
    """Import plug-ins and put their parts beside the built-in ones.

    A part of an earlier plug-in with the same name, such as that of a file that has changed, is replaced; built-in
    parts never are.

    Raises:
        InputError: If a plug-in cannot be imported, has a part that does not keep to its contract, or redefines a name.
    """
    parts = together(plugins)
    for kind, named in parts.items():
        for name, (part, plugin) in named.items():
            if name in _TABLES[kind] and (kind, name) not in ORIGINS:
                raise InputError(f"{plugin.name}: {kind}: {shown(name)} is the name of a built-in {KINDS[kind]}")
            if (reason := _CONTRACTS[kind](part)) is not None:
                raise InputError(f"{plugin.name}: {kind}: {name}: must be {reason}; got {shown(part)}")
    for kind, named in parts.items():
        for name, (part, plugin) in named.items():
            _TABLES[kind][name] = part
            ORIGINS[kind, name] = plugin
    if parts["OBJECTIVES"]:
        _add_fields(ObjectivesConfig, {name: part.Config for name, (part, _) in parts["OBJECTIVES"].items()})


def _add_fields(section: type[BaseModel], settings: dict[str, type[BaseModel]]) -> None:
    """Give a section of a trial's configuration optional subsections, by name."""
    for name, own in settings.items():
        section.__pydantic_fields__[name] = FieldInfo.from_annotated_attribute(own | None, None)
    for model in (section, TrialConfig):  # the latter's validator contains the former's
        model.model_rebuild(force=True)


def _is_no_objective(part: Any) -> str | None:
    if not (isinstance(part, type) and issubclass(part, Objective)):
        return "a subclass of cktf.objectives.Objective"
    settings = getattr(part, "Config", None)
    if not (isinstance(settings, type) and issubclass(settings, ObjectiveSettings)):
        return "a class whose Config is a subclass of cktf.objectives.ObjectiveSettings"
    return None


def _is_not_callable(what: str) -> Callable[[Any], str | None]:
    return lambda part: None if callable(part) else what


_CONTRACTS: dict[str, Callable[[Any], str | None]] = {
    "OBJECTIVES": _is_no_objective,
    "MODELS": _is_not_callable("a function of the numbers of classes and of channels that returns a network"),
    "DATASETS": _is_not_callable("a function of a cktf.data.DataPlace that returns a cktf.data.Dataset"),
}
"""Name of a plug-in's dict to a check of one part, which returns what it must be, or None if it is."""
