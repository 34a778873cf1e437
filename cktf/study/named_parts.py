"""Plug-ins and measures that a study, or a command, names: found, registered and checked."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cktf.errors import InputError, shown
from cktf.measures.registry import MEASURES
from cktf.plugins import Plugin, find_plugin
from cktf.study.paths import Location, suggestion
from cktf.study.problems import explain
from cktf.trainer.registration import register


def registered(plugins: Any, find: Callable[[str], Plugin] | None = None) -> tuple[Plugin, ...]:
    """Return the plug-ins that a study names, imported and registered; a `Plugin` in place of a name stays as it is.

    ``find`` returns the plug-in of a name; None: files are in the current folder.
    """
    if not isinstance(plugins, list | tuple) or not all(isinstance(each, str | Plugin) for each in plugins):
        raise InputError(f"must be a list of files that end in .py, and of modules; got {shown(plugins)}")
    find = find or partial(find_plugin, folder=Path())
    found = tuple(find(each) if isinstance(each, str) else each for each in plugins)
    names = [plugin.name for plugin in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two are called {twice[0]}; names tell them apart in the run directory")
    if found:
        register(found)
    return found


def measure_problems(measures: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """Yield location and message of each problem with the settings of measures by name."""
    for name, settings in measures.items():
        if name not in MEASURES:
            yield (name,), f"unknown measure{suggestion(name, MEASURES) or '.'} Known here: {', '.join(MEASURES)}"
            continue
        try:
            MEASURES[name].model_validate(settings)
        except ValidationError as error:
            yield from (((name, *where), said) for where, said in explain(error, MEASURES[name]))
