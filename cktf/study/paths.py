"""Dotted paths into a configuration (``objective.cktf.temperature``): which exist, and their values."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from cktf.errors import SHOWN, shown
from cktf.settings import union_members

Location = tuple[str | int, ...]
"""Keys and list indices from the top of a configuration to a place in it."""


def known_paths(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Return every path in a settings model, to sections and to fields, each after a prefix."""
    found = set()
    for name, annotation in _fields(model).items():
        found.add(f"{prefix}{name}")
        for part in filter(_is_model, union_members(annotation)):
            found |= known_paths(part, f"{prefix}{name}.")
    return found


def exists(path: str, model: type[BaseModel]) -> bool:
    """Return whether a settings model has a field at a path; in a free mapping every key exists."""
    return bool(types_at(tuple(path.split(".")), model))


def types_at(location: Location, model: type[BaseModel]) -> list[Any]:
    """Return the types that are allowed at a location of a model; empty if it does not exist."""
    here: list[Any] = [model]
    for key in location:
        below: list[Any] = []
        for part in here:
            if _is_model(part):
                below += union_members(_fields(part).get(str(key)))
            elif part is Any or part is dict:
                below.append(Any)
            elif get_origin(part) is dict:
                below += union_members(get_args(part)[1])
            elif get_origin(part) in (tuple, list) and isinstance(key, int):
                below += union_members(get_args(part)[0])
        here = below
    return here


def section_at(location: Location, model: type[BaseModel]) -> list[str]:
    """Return the names of a section's fields; empty if the location is no section."""
    names = [name for part in types_at(location, model) if _is_model(part) for name in _fields(part)]
    return list(dict.fromkeys(names))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``. Did you mean 'x'?`` with the closest known words, empty if none is close."""
    if len(word) > SHOWN:
        return ""
    candidates = sorted(known, key=lambda path: (path.count("."), path))
    close = [path for path in candidates if word.endswith(f".{path}")]
    close += get_close_matches(word, candidates, n=1, cutoff=0.6)
    close += [path for path in candidates if path.rpartition(".")[2] == word.rpartition(".")[2]]
    return f". Did you mean {' or '.join(map(repr, list(dict.fromkeys(close))[:3]))}?" if close else ""


def no_such_path(path: str, *models: type[BaseModel]) -> str:
    """Return the message that a path is in none of the settings models, with the closest known paths."""
    beginnings = ", ".join(name for model in models for name in section_at((), model))
    known = set[str]().union(*map(known_paths, models))
    return f"no such path{suggestion(path, known) or f'; a path begins with one of {beginnings}'}"


def spelled(location: Location) -> str:
    """Return a location as text: ``ablate.objective.cktf.theta[0]``."""
    words = []
    for key in location:
        if isinstance(key, int):
            words.append(f"[{key}]")
        else:
            is_plain = key and key.isprintable() and len(key) <= SHOWN
            words.append(f".{key if is_plain else shown(key)}")
    return "".join(words).removeprefix(".")


def value_at(configuration: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path of a nested mapping, None if there is none."""
    value: Any = configuration
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def stands_in(location: Location, configuration: Any) -> bool:
    """Return whether a configuration has a key or entry at a location; False for the empty one."""
    here = configuration
    for key in location:
        is_key = key in here if isinstance(here, Mapping) else isinstance(here, list) and isinstance(key, int)
        if not is_key:
            return False
        here = here[key]
    return bool(location)


def lay_over(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` merged with a partial configuration, section by section; None removes an optional section."""
    merged = dict(base)
    for key, value in patch.items():
        below = merged.get(key)
        merged[key] = lay_over(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged


def overlay(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``base`` with a value at each path; missing sections are created."""
    result = dict(base)
    for path, value in values.items():
        *sections, last = path.split(".")
        here = result
        for section in sections:
            below = here.get(section)
            here[section] = dict(below) if isinstance(below, Mapping) else {}
            here = here[section]
        here[last] = value
    return result


def leaves(configuration: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return path to value of everything in a nested mapping except sections."""
    found: dict[str, Any] = {}
    for key, value in configuration.items():
        if isinstance(value, Mapping) and value:
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return each path at which two nested mappings differ, with both values; what one lacks is None there."""
    first, second = leaves(one), leaves(other)
    paths = dict.fromkeys([*first, *second])
    return [(path, *both) for path in paths if (both := (first.get(path), second.get(path)))[0] != both[1]]


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
