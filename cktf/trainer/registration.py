"""Adds the parts of a study's plug-ins to the built-in ones, so that configurations may name them."""

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cktf.data import DATASETS
from cktf.data.augmentation.changes import ImageChange
from cktf.data.augmentation.config import AUGMENTATIONS, AugmentationConfig
from cktf.errors import InputError, shown
from cktf.measures import OfPredictions, OfStudent
from cktf.measures.registry import MEASURES, TAKEN
from cktf.models import MODELS
from cktf.objectives import OBJECTIVES, Objective, ObjectivesConfig, ObjectiveSettings
from cktf.plugins import CACHES, KINDS, ORIGINS, Plugin, together
from cktf.trainer.config import TrialConfig
from cktf.trainer.probe import ProbeConfig

_TABLES: dict[str, MutableMapping[str, Any]] = {
    "OBJECTIVES": OBJECTIVES,
    "MODELS": MODELS,
    "DATASETS": DATASETS,
    "AUGMENTATIONS": AUGMENTATIONS,
    "METRICS": MEASURES,
}


def register(plugins: Iterable[Plugin]) -> None:
    """Import plug-ins and add their parts to the built-in ones.

    A part of an earlier plug-in with the same name, such as of a changed file, is replaced; built-in ones never.

    Raises:
        InputError: If a plug-in cannot be imported, has a part that does not keep to its contract, or redefines a name.
    """
    parts = [(kind, name, *found) for kind, named in together(plugins).items() for name, found in named.items()]
    for kind, name, part, plugin in parts:
        if _is_taken(kind, name) and (kind, name) not in ORIGINS:
            raise InputError(f"{plugin.name}: {kind}: {shown(name)} is the name of a built-in {KINDS[kind]}")
        is_kept, contract = _CONTRACTS[kind]
        if not is_kept(part):
            raise InputError(f"{plugin.name}: {kind}: {name}: must be {contract}; got {shown(part)}")
    sections: dict[str, dict[str, type[BaseModel]]] = {kind: {} for kind in KINDS}
    for kind, name, part, plugin in parts:
        if ORIGINS.get((kind, name)) != plugin:  # registering takes a tenth of a second, and each trial asks for it
            sections[kind][name] = getattr(part, "Config", part)
            for cached in CACHES:
                cached.cache_clear()
        _TABLES[kind][name] = part
        ORIGINS[kind, name] = plugin
    _add_sections(ObjectivesConfig, sections["OBJECTIVES"])
    _add_sections(AugmentationConfig, sections["AUGMENTATIONS"])


def _is_taken(kind: str, name: str) -> bool:
    is_column = kind == "METRICS" and (name in TAKEN or name.startswith(("validation_", "test_")))
    is_setting = kind == "AUGMENTATIONS" and name in AugmentationConfig.model_fields
    return is_column or is_setting or name in _TABLES[kind]


def _add_sections(settings: type[BaseModel], sections: dict[str, type[BaseModel]]) -> None:
    """Give a part of a trial's settings optional sections, by name."""
    for name, section in sections.items():
        settings.__pydantic_fields__[name] = FieldInfo(annotation=section | None, default=None)  # type: ignore[arg-type]
    if sections:
        for model in (settings, ProbeConfig, TrialConfig):  # the validators of the latter contain those of the former
            model.model_rebuild(force=True)


def _is_subclass(part: Any, of: Any) -> bool:
    return isinstance(part, type) and issubclass(part, of)


_CONTRACTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "OBJECTIVES": (
        lambda part: _is_subclass(part, Objective) and _is_subclass(getattr(part, "Config", None), ObjectiveSettings),
        "a subclass of cktf.objectives.Objective whose Config is a subclass of cktf.objectives.ObjectiveSettings",
    ),
    "MODELS": (callable, "a function of the numbers of classes and of channels that returns a network"),
    "DATASETS": (callable, "a function of a cktf.data.DataPlace that returns a cktf.data.Dataset"),
    "AUGMENTATIONS": (lambda part: _is_subclass(part, ImageChange), "a subclass of cktf.data.ImageChange"),
    "METRICS": (
        lambda part: _is_subclass(part, OfPredictions | OfStudent),
        "a subclass of cktf.measures.OfPredictions or OfStudent",
    ),
}
"""Name of a plug-in's dict to a check of one part, and what the part must be."""
