"""Study files: read into a checked `Study`, with the command line's overrides, and written from one."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler  # pydantic itself exports it from 2.11 on

from cktf.errors import InputError, file_content, shown, visible
from cktf.plugins import Plugin, find_plugin
from cktf.study import yaml_text
from cktf.study.consistency import find_problems
from cktf.study.designs import arm_named
from cktf.study.named_parts import registered
from cktf.study.paths import Location, exists, no_such_path, spelled
from cktf.study.problems import StudyError, explain
from cktf.study.spec import BY_PATH, StudySpec
from cktf.trainer.config import TrialConfig


class Study(StudySpec):
    """One study that is checked as a whole: its keys go together, and every arm is a valid trial.

    Raises:
        StudyError: If it is wrong; one line for each problem.
    """

    name: str = "study"
    """Name of the study; that of its file where the file gives none."""

    def arm(self, name: str, context: str | None = None) -> TrialConfig:
        """Return the configuration of an arm's trial, at seed 0; ``context`` is needed if the study has several."""
        return arm_named(self, name, context).config

    @model_validator(mode="wrap")
    @classmethod
    def _goes_together(cls, values: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            study = check(values)
            problems = find_problems(study)
        except ValidationError as error:
            problems = explain(error, StudySpec)
        except InputError as error:  # raised by a part of a trial; its message names the key
            problems = [(("baseline",), str(error))]
        if problems:
            raise StudyError.of(problems)
        return study


MOST_BYTES = 500_000
"""Largest size of a study file, which is a hundred times that of a large one."""


def load_study(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Study:
    """Read and check a study file.

    Args:
        path: The YAML file.
        overrides: ``path=value`` each, the value in YAML: a path in the study file (``seeds=3``), or one in the
            baseline's configuration (``epochs=2``).

    Raises:
        StudyError: If the file cannot be read or the study is wrong; one line for each problem.
    """
    file = Path(path)
    try:
        content = file_content(file, MOST_BYTES)
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except InputError as error:
        raise StudyError(f"{error}") from None
    except UnicodeDecodeError:
        raise StudyError(f"{visible(str(file))}: is not UTF-8 text") from None
    return read_study(text, str(file), overrides, find=partial(find_plugin, folder=file.parent))


def read_study(
    text: str, source: str, overrides: Sequence[str] = (), *, find: Callable[[str], Plugin] | None = None
) -> Study:
    """Read and check the text of a study, as `load_study` does; messages call it ``source``.

    ``find`` returns the plug-in of a name; None: files are in the current folder.
    """
    try:
        document = yaml_text.parse(text)
    except InputError as error:
        raise StudyError(f"{source}, {error}") from None
    if document.value is None:
        raise StudyError(f"{source}: is empty; a study has at least 'baseline:', and what varies around it")
    if not isinstance(document.value, dict):
        raise StudyError(f"{source}: must be a mapping with 'baseline:' and others; got {shown(document.value)}")
    with suppress(InputError):  # it is reported later; overrides may name parts of plug-ins
        registered(document.value.get("plugins", []), find)
    values, options = _override(document.value, overrides)
    first = re.sub(r"\A\s*#\s*yaml-language-server:.*\n", "", text).lstrip().partition("\n")[0]
    own = {"name": Path(source).stem, "question": first.lstrip("# ").strip() if first.startswith("#") else ""}
    try:
        return Study.model_validate({**own, **values}, context={"find_plugin": find})
    except StudyError as error:
        raise StudyError.of(error.problems, partial(_place, source, document.lines, options)) from None


def dump_study(spec: StudySpec) -> str:
    """Return the text of a study file that reads back to an equal spec."""
    values = spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"question"})
    if spec.seeds == tuple(range(len(spec.seeds))):
        values["seeds"] = len(spec.seeds)
    comment = f"# {spec.question}\n" if spec.question else ""
    return comment + yaml_text.dump(values)


def _override(values: dict[str, Any], overrides: Iterable[str]) -> tuple[dict[str, Any], dict[Location, str]]:
    """Return the study's values with overrides, and the keys of each override to its command-line option."""
    options: dict[Location, str] = {}
    for override in overrides:
        path, sign, text = override.partition("=")
        option = f"--set {spelled((override,))}"
        if not sign or not path:
            raise StudyError(f"{option}: must be path=value, such as seeds=3")
        try:
            value = yaml_text.parse(text).value
            keys = _keys(path, values)
        except InputError as error:
            raise StudyError(f"{option}: {error}") from None
        values = _replaced(values, keys, value)
        options[keys] = option
    return values, options


def _keys(path: str, values: dict[str, Any]) -> tuple[str, ...]:
    """Return the keys of an override's path, from the top of the study file."""
    if path.partition(".")[0] not in StudySpec.model_fields:
        if not exists(path, TrialConfig):
            raise InputError(no_such_path(path, StudySpec, TrialConfig))
        path = f"baseline.{path}"
    keys: tuple[str, ...] = ()
    here: Any = values
    while path:
        # A key of the file may have dots itself; the longest one that exists is meant.
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


def _place(source: str, lines: dict[Location, int], options: dict[Location, str], location: Location) -> str:
    """Return the file, and the option that set a key or one above or below it, else the line of it or of one above."""
    at_or_above = [location[:depth] for depth in range(len(location), 0, -1)]
    said = [options[keys] for keys in at_or_above if keys in options][:1]
    # A missing key of a section may be required by an option that set another key of it.
    within = location if location in lines or len(location) < 3 else location[:-1]
    said += [option for keys, option in options.items() if within and keys[: len(within)] == within and not said]
    if said:
        return f"{source}, {' '.join(said)}"
    return next((f"{source}, line {lines[keys]}" for keys in at_or_above if keys in lines), source)
