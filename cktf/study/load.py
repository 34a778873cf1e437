"""Study files: read, with the command line's overrides, into a checked `Study`, and written from one."""

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler  # pydantic itself exports it from 2.11 on

from cktf.errors import InputError, shown, visible
from cktf.names import as_name
from cktf.plugins import Plugin, find_plugin
from cktf.study import yaml_text
from cktf.study.consistency import find_problems
from cktf.study.designs import arm_named
from cktf.study.paths import Location, exists, known_paths, section_at, spelled, suggestion
from cktf.study.problems import StudyError, explain
from cktf.study.spec import StudySpec, registered
from cktf.trainer.config import TrialConfig

PLACES = ("root", "checkpoint", "weights", "plugins")
"""Settings whose text is the name of a file or folder, which is taken letter by letter; all other texts are names."""


class Study(StudySpec):
    """One study that is checked as a whole: its keys go together, and every arm is a valid trial.

    Raises:
        StudyError: If it is wrong; one line for each problem.
    """

    name: str = "study"
    """Name of the study; that of its file where the file gives none."""

    def arm(self, name: str, context: str | None = None) -> TrialConfig:
        """Return the configuration of an arm's trial, at seed 0; ``context`` is needed if the study has several.

        Raises:
            StudyError: If there is no such arm or context.
        """
        return arm_named(self, name, context).config

    @model_validator(mode="wrap")
    @classmethod
    def _goes_together(cls, values: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            study = check(_with_names(values))
            problems = find_problems(study)
        except ValidationError as error:
            problems = explain(error, StudySpec)
        if problems:
            raise StudyError.of(problems)
        return study


def _with_names(value: Any, key: str = "") -> Any:
    """Return a part of a study with every text as `as_name` has it, but those that say where files are."""
    if key.rpartition(".")[2] in PLACES:
        return value
    if isinstance(value, dict):
        return {below: _with_names(each, below) for below, each in value.items()}
    if isinstance(value, list):
        return [_with_names(each, key) for each in value]
    return as_name(value) if isinstance(value, str) else value


BY_PATH = ("ablate", "leave_one_out", "grid", "fractional", "search")
"""Sections whose keys are dotted paths."""

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
    place = visible(str(file))
    try:
        kind = file.stat().st_mode
        if stat.S_ISDIR(kind):
            raise StudyError(f"{place}: is a folder; name the study's YAML file")
        if not stat.S_ISREG(kind):  # reading it might never end
            raise StudyError(f"{place}: is no regular file; name the study's YAML file")
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise StudyError(f"{place}: is larger than {MOST_BYTES // 1000:,} kB; a study has a few")
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise StudyError(f"{place}: there is no such file") from None
    except UnicodeDecodeError:
        raise StudyError(f"{place}: is not UTF-8 text") from None
    except OSError as error:
        raise StudyError(f"{place}: cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL in the name
        raise StudyError(f"{place}: is no file's name") from None
    return read_study(text, str(file), overrides, find=partial(find_plugin, folder=file.parent))


def read_study(
    text: str, source: str, overrides: Sequence[str] = (), *, find: Callable[[str], Plugin] | None = None
) -> Study:
    """Read and check the text of a study, as `load_study` does.

    Args:
        text: The YAML.
        source: What messages call it.
        overrides: As for `load_study`.
        find: Returns the plug-in of a name; None: files are in the current folder.

    Raises:
        StudyError: If the study is wrong; one line for each problem.
    """
    try:
        document = yaml_text.parse(text)
    except InputError as error:
        raise StudyError(f"{source}, {error}") from None
    if document.value is None:
        raise StudyError(f"{source}: is empty; a study has at least 'baseline:', and what varies around it")
    if not isinstance(document.value, dict):
        raise StudyError(f"{source}: must be a mapping with 'baseline:' and others; got {shown(document.value)}")
    context = {"find_plugin": find}
    with suppress(InputError):  # which is said later; overrides may name what plug-ins have
        registered(document.value.get("plugins", []), find)
    values, overridden = _override(document.value, overrides)
    first = text.lstrip().partition("\n")[0]
    own = {"name": Path(source).stem, "question": first.lstrip("# ").strip() if first.startswith("#") else ""}
    try:
        return Study.model_validate({**own, **values}, context=context)
    except StudyError as error:
        problems = error.problems
    of_the_file = _problems({**own, **document.value}, context) if overridden else problems
    raise StudyError(
        "\n".join(
            ": ".join(filter(None, (_place(source, where, document.lines, options), spelled(where), said)))
            for where, said in problems
            for options in [overridden if (where, said) not in of_the_file else {}]
        )
    )


def _problems(values: dict[str, Any], context: dict[str, Any]) -> Sequence[tuple[Location, str]]:
    try:
        Study.model_validate(values, context=context)
    except StudyError as error:
        return error.problems
    return ()


def dump_study(spec: StudySpec) -> str:
    """Return the text of a study file that reads back to an equal spec."""
    values = spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"question"})
    if spec.seeds == tuple(range(len(spec.seeds))):
        values["seeds"] = len(spec.seeds)
    comment = f"# {spec.question}\n" if spec.question else ""
    return comment + yaml_text.dump(values)


def _override(values: dict[str, Any], overrides: Iterable[str]) -> tuple[dict[str, Any], dict[Location, str]]:
    """Return the study with overrides, and the option that set each key."""
    overridden: dict[Location, str] = {}
    for override in overrides:
        path, sign, text = override.partition("=")
        path = as_name(path)
        if not sign or not path:
            raise StudyError(f"{_option(override)}: must be path=value, such as seeds=3")
        try:
            value = yaml_text.parse(text).value
        except InputError as error:
            raise StudyError(f"{_option(override)}: {error}") from None
        keys = _keys(path, values, override)
        values = _replaced(values, keys, value)
        overridden[keys] = _option(override)
    return values, overridden


def _keys(path: str, values: dict[str, Any], override: str) -> tuple[str, ...]:
    """Return the keys of an override's path, from the top of the study file."""
    first = path.partition(".")[0]
    if first not in StudySpec.model_fields:
        if not exists(path, TrialConfig):
            known = known_paths(TrialConfig) | StudySpec.model_fields.keys()
            beginnings = ", ".join([*StudySpec.model_fields, *section_at((), TrialConfig)])
            close = suggestion(path, known) or f"; a path begins with one of {beginnings}"
            raise StudyError(f"{_option(override)}: no such path{close}")
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


def _option(override: str) -> str:
    """Return an override as an option of the command line, in quotes or cut if needed."""
    return f"--set {spelled((override,))}"


def _place(source: str, location: Location, lines: dict[Location, int], overridden: dict[Location, str]) -> str:
    """Return the place of a problem: the overrides that cause it, or the line of its key or of the nearest above.

    ``overridden`` maps keys to the options that set them; it is empty if the file alone has the problem.
    """
    at_or_above = [location[:depth] for depth in range(len(location), 0, -1)]
    if found := next((keys for keys in at_or_above if keys in overridden), None):
        return f"{source}, {overridden[found]}"
    below = [option for keys, option in overridden.items() if keys[: len(location)] == location]
    if below or overridden:  # an override elsewhere, such as a setting that an arm does not fit
        return f"{source}, {' '.join(below or overridden.values())}"
    found = next((keys for keys in at_or_above if keys in lines), None)
    return f"{source}, line {lines[found]}" if found else source
