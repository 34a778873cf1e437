"""Plug-ins of a run: their files are in the run directory, and every launch and worker imports them from there."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from cktf.errors import InputError, StudyDiffers
from cktf.plugins import Plugin, file_plugin, find_plugin
from cktf.rows import Row, StudyRow
from cktf.storage import Storage
from cktf.trainer.registration import register

FOLDER = "plugins"


def store(plugins: Iterable[Plugin], run: Storage) -> None:
    """Write the files of plug-ins into a run directory."""
    for plugin in plugins:
        if plugin.source is not None:
            run.child(FOLDER).write(plugin.name, plugin.source)


def stored_plugin(run: Storage, name: str) -> Plugin:
    """Return a plug-in of a run by its name: its file in the run directory, or an installed module."""
    if not name.endswith(".py"):
        return find_plugin(name, Path())
    source = run.child(FOLDER).read(name)
    if source is None:
        raise InputError(f"{run.child(FOLDER).full(name)}: the plug-in's file is gone; put it back")
    return file_plugin(name, source)


def register_stored(run: Storage, versions: Mapping[str, str]) -> None:
    """Register the plug-ins of a run, by name and version; raise an InputError if one is of another version here."""
    plugins = [stored_plugin(run, name) for name in versions]
    for plugin in plugins:
        if plugin.version != versions[plugin.name]:
            raise InputError(
                f"plugins: {plugin.name} is {plugin.version} here, and {versions[plugin.name]} where the study was "
                "launched"
            )
    register(plugins)


def require_same_code(plugins: Iterable[Plugin], rows: Iterable[Row], run: Storage) -> None:
    """Raise a StudyDiffers if a plug-in has changed since a run had it last: new trials and measures would differ."""
    before = {name: version for row in rows if isinstance(row, StudyRow) for name, version in row.plugins.items()}
    for plugin in plugins:
        was = before.get(plugin.name, plugin.version)
        if was != plugin.version:
            raise StudyDiffers(
                f"{run.root}: plug-in {plugin.name} has changed since the last launch: it was {was}, and is "
                f"{plugin.version}; its trials and measures would be others. Put that one back, give the changed file "
                "and its parts other names, or choose another --run-dir"
            )
