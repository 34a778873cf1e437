"""From a study file and the command line's overrides to a checked `StudySpec`, and back."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cktf.names import as_name
from cktf.study import yaml_text
from cktf.study.paths import exists, known_paths, section_at, suggestion
from cktf.study.problems import Location, StudyError, explain, shown, spelled
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig

BY_PATH = ("ablate", "leave_one_out", "grid", "fractional", "search")
"""Sections whose keys are paths, dots and all."""

PLACES = ("root", "checkpoint")
"""Settings whose text is the name of a file or folder, which is taken letter by letter; all other texts are names."""


def load_study(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> StudySpec:
    """Read and check a study file.

    Args:
        path: The YAML file.
        overrides: ``path=value`` each, the value in YAML: a path in the study file (``seeds=3``), or one in a
            trial's configuration, which then means the baseline's (``epochs=2``).

    Raises:
        StudyError: If the file cannot be read or the study is wrong; one line for each problem.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise StudyError(f"{file}: there is no such file") from None
    except IsADirectoryError:
        raise StudyError(f"{file}: is a folder; name the study's YAML file") from None
    except UnicodeDecodeError:
        raise StudyError(f"{file}: is not UTF-8 text") from None
    except OSError as error:
        raise StudyError(f"{file}: cannot be read: {error.strerror}") from None
    return read_study(text, str(file), overrides)


def read_study(text: str, source: str, overrides: Sequence[str] = ()) -> StudySpec:
    """Read and check the text of a study, as `load_study` does; ``source`` is what messages call it.

    Raises:
        StudyError: If the study is wrong; one line for each problem.
    """
    try:
        document = yaml_text.parse(text)
    except ValueError as error:
        raise StudyError(f"{source}, {error}") from None
    if document.value is None:
        raise StudyError(f"{source}: is empty; a study has at least 'baseline:', and what varies around it")
    if not isinstance(document.value, dict):
        raise StudyError(
            f"{source}: must be a mapping with 'baseline:' and others; got {shown(document.value)}"
        )
    values, overridden = _override(document.value, overrides)
    values = _with_names({"name": Path(source).stem, "question": _first_comment(text), **values})
    try:
        return StudySpec.model_validate(values)
    except ValidationError as error:
        problems = []
        for location, said in explain(error, StudySpec):
            place = _place(source, location, document.lines, overridden)
            problems.append(": ".join(filter(None, (place, spelled(location), said))))
        raise StudyError("\n".join(problems)) from None


def dump_study(spec: StudySpec) -> str:
    """Return the text of a study file, overrides applied, that reads back to an equal spec."""
    values = spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"question"})
    if spec.seeds == tuple(range(len(spec.seeds))):
        values["seeds"] = len(spec.seeds)
    comment = f"# {spec.question}\n" if spec.question else ""
    return comment + yaml_text.dump(values)


def _with_names(value: Any, key: str = "") -> Any:
    """Return a part of a study with every text as `as_name` has it, but those that say where files are."""
    if key.rpartition(".")[2] in PLACES:
        return value
    if isinstance(value, dict):
        return {below: _with_names(each, below) for below, each in value.items()}
    if isinstance(value, list):
        return [_with_names(each, key) for each in value]
    return as_name(value) if isinstance(value, str) else value


def _first_comment(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""


def _override(values: dict[str, Any], overrides: Iterable[str]) -> tuple[dict[str, Any], dict[Location, str]]:
    """Return the study with the overrides laid over it, and the path given for each key they set."""
    overridden: dict[Location, str] = {}
    for override in overrides:
        path, sign, text = override.partition("=")
        path = as_name(path)
        if not sign or not path:
            raise StudyError(f"--set {override}: must be path=value, such as seeds=3")
        try:
            value = yaml_text.parse(text).value
        except ValueError as error:
            raise StudyError(f"--set {override}: {error}") from None
        keys = _keys(path, values, override)
        values = _replaced(values, keys, value)
        overridden[keys] = path
    return values, overridden


def _keys(path: str, values: dict[str, Any], override: str) -> tuple[str, ...]:
    """Return the keys, from the top of the study file, that an override's path means."""
    first = path.partition(".")[0]
    if first not in StudySpec.model_fields:
        if not exists(path, TrialConfig):
            known = known_paths(TrialConfig) | StudySpec.model_fields.keys()
            beginnings = ", ".join([*StudySpec.model_fields, *section_at((), TrialConfig)])
            close = suggestion(path, known) or f"; a path begins with one of {beginnings}"
            raise StudyError(f"--set {override}: no such path{close}")
        path = f"baseline.{path}"
    keys: tuple[str, ...] = ()
    here: Any = values
    while path:
        # A key of the file may have dots itself; the longest one that is there is meant.
        there = [key for key in (here if isinstance(here, dict) else {}) if f"{path}.".startswith(f"{key}.")]
        if there:
            key = max(there, key=len)
        elif keys and keys[0] in BY_PATH:
            key = path
        else:
            key = path.partition(".")[0]
        keys, path = (*keys, key), path[len(key) + 1 :]
        here = here.get(key) if isinstance(here, dict) else None
    return keys


def _replaced(values: Any, keys: tuple[str, ...], value: Any) -> Any:
    if not keys:
        return value
    below = values if isinstance(values, dict) else {}
    return {**below, keys[0]: _replaced(below.get(keys[0]), keys[1:], value)}


def _place(
    source: str, location: Location, lines: dict[Location, int], overridden: dict[Location, str]
) -> str:
    """Return where a problem stands: the override or line of the key, or of the nearest section above."""
    above = [location[:length] for length in range(len(location), 0, -1)]
    if found := next((keys for keys in above if keys in overridden), None):
        return f"{source}, --set {overridden[found]}"
    if found := next((keys for keys in above if keys in lines), None):
        return f"{source}, line {lines[found]}"
    return source
