"""Plug-ins: Python modules of the user's own, whose objectives, networks, ... a study names like built-in ones.

A plug-in is a file beside the study, an importable module, or an installed package's entry point in the group
``cktf.plugins``. It has the same plain dicts as this package: `KINDS`. Only what a study names under ``plugins:`` is
imported. A file is imported from its text, which is copied into the run directory, so every worker runs the same code.
"""

import hashlib
import linecache
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Any, TypeVar

from cktf.errors import InputError, file_content, shown, visible
from cktf.names import as_name

KINDS = {
    "OBJECTIVES": "objective",
    "MODELS": "model",
    "DATASETS": "data set",
    "AUGMENTATIONS": "augmentation",
    "METRICS": "measure",
}
"""Name of a plug-in's dict to the kind of its entries."""

GROUP = "cktf.plugins"
"""Group of entry points by which installed packages offer plug-ins."""

MOST_BYTES = 1_000_000
"""Largest size of a plug-in's file."""


@dataclass(frozen=True)
class Plugin:
    """A plug-in as it was found.

    Attributes:
        name: File name, module or entry point, as messages and reports call it.
        version: Identity of its code: the SHA-256 of a file, or a package's name and version.
        module: Name under which it is imported; a file's comes from its content.
        source: Content of the file; None for a module that is installed.
    """

    name: str
    version: str
    module: str
    source: bytes | None = field(default=None, repr=False)


def find_plugin(name: str, folder: Path) -> Plugin:
    """Return the plug-in that a study names, not yet imported; raise an InputError if there is none.

    A name ending in ``.py`` is a file's, relative to ``folder``, that of the study; any other is an entry point's or a
    module's.
    """
    if name.endswith(".py"):
        path = folder / Path(name).expanduser()
        return file_plugin(path.name, file_content(path, MOST_BYTES))
    points = {point.name: point for point in entry_points(group=GROUP)}
    module = points[name].value.partition(":")[0] if name in points else name
    if not all(part.isidentifier() for part in module.split(".")):
        raise InputError(f"{shown(name)}: is neither a file that ends in .py nor the name of a module")
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        spec = None
    except Exception as error:  # a module's parent packages are imported
        raise InputError(f"{name}: its package raises {_said(error)} when it is imported") from error
    if spec is None:
        offered = f"; installed packages offer {', '.join(sorted(points))}" if points else ""
        raise InputError(
            f"{shown(name)}: there is no module of this name; a file's name ends in .py and is relative to the study's "
            f"file{offered}"
        )
    return Plugin(name, _installed_version(module, spec.origin), module)


def file_plugin(name: str, source: bytes) -> Plugin:
    """Return the plug-in of a file's content."""
    digest = hashlib.sha256(source).hexdigest()
    return Plugin(name, f"sha256 {digest}", f"cktf_plugin_{digest[:16]}", source)


def _installed_version(module: str, origin: str | None) -> str:
    """Return a package's name and version; for a module that no package has installed, its file's hash."""
    packages = packages_distributions().get(module.partition(".")[0], [])
    if packages:
        return ", ".join(f"{package} {version(package)}" for package in sorted(set(packages)))
    if origin is None or not Path(origin).is_file():
        raise InputError(f"{module}: has no file and no installed package, so its code cannot be identified")
    return f"sha256 {hashlib.sha256(Path(origin).read_bytes()).hexdigest()}"


def import_plugin(plugin: Plugin) -> ModuleType:
    """Return a plug-in's module; one that was imported before is not run again."""
    name = plugin.module
    if name in sys.modules:
        return sys.modules[name]
    try:
        if plugin.source is None:
            __import__(name)
            return sys.modules[name]
        file = f"{name}/{plugin.name}"  # inspect identifies modules by file: keeps two of one name apart
        text = plugin.source.decode("utf-8-sig")  # an editor may begin it with a byte-order mark
        module = sys.modules[name] = ModuleType(name)  # there, because dataclasses and pydantic look their module up
        module.__file__ = file
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # for inspect and tracebacks
        exec(compile(text, file, "exec"), vars(module))  # noqa: S102  # what a study names is run
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        where = _line(error, f"{name}/{plugin.name}")
        raise InputError(f"{plugin.name}{where}: raises {_said(error)} when it is imported") from error
    return module


def raised_in(error: BaseException, plugins: Iterable[Plugin]) -> str:
    """Return the message for an exception that passed through a plug-in's code; empty if it passed through none."""
    for plugin in plugins:
        if line := _line(error, str(sys.modules[plugin.module].__file__)):
            return f"{plugin.name}{line}: raises {_said(error)}"
    return ""


def _line(error: BaseException, file: str) -> str:
    """Return ``, line N`` for the last line of a file that an exception went through, if any."""
    lines = [error.lineno] if isinstance(error, SyntaxError) else []
    lines += [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return f", line {lines[-1]}" if lines else ""


def _said(error: BaseException) -> str:
    first_line = (str(error).splitlines() or [""])[0]
    return visible(f"{type(error).__name__}: {first_line}")


def parts_of(plugin: Plugin) -> dict[str, dict[str, Any]]:
    """Return a plug-in's parts: name of the dict (see `KINDS`) to name of the part to the part.

    Raises:
        InputError: If it raises on import, has none of the dicts, or has one that is no dict or holds a wrong name.
    """
    module = import_plugin(plugin)
    parts = {kind: getattr(module, kind) for kind in KINDS if hasattr(module, kind)}
    if not parts:
        raise InputError(f"{plugin.name}: has none of the dicts {', '.join(KINDS)}, one of which a plug-in has")
    for kind, named in parts.items():
        if not isinstance(named, Mapping):
            raise InputError(f"{plugin.name}: {kind}: must be a dict of names; got {type(named).__name__}")
        for name in named:
            if not (isinstance(name, str) and name and name == as_name(name) and not set("./\\ ") & set(name)):
                raise InputError(
                    f"{plugin.name}: {kind}: a name must be text without dots, slashes and blanks; got {shown(name)}"
                )
    return {kind: dict(named) for kind, named in parts.items()}


def together(plugins: Iterable[Plugin]) -> dict[str, dict[str, tuple[Any, Plugin]]]:
    """Return the parts of several plug-ins as `parts_of` does, each with its plug-in; no two may share a name."""
    found: dict[str, dict[str, tuple[Any, Plugin]]] = {kind: {} for kind in KINDS}
    for plugin in plugins:
        for kind, named in parts_of(plugin).items():
            for name, part in named.items():
                if name in found[kind]:
                    other = found[kind][name][1]
                    raise InputError(f"{plugin.name}: {kind}: {other.name} has {KINDS[kind]} {shown(name)} too")
                found[kind][name] = (part, plugin)
    return found


Cached = TypeVar("Cached", bound=Any)

CACHES: list[Any] = []
"""Cached functions that are decorated by `forgets_with_plugins`."""


def forgets_with_plugins(cached: Cached) -> Cached:
    """Decorate a function of `functools.lru_cache` whose cache must be cleared when plug-ins are registered.

    Its keys are names of parts; without this, it would return results of a part that was replaced since.
    """
    CACHES.append(cached)
    return cached


ORIGINS: dict[tuple[str, str], Plugin] = {}
"""Kind and name of every part that is registered in this process to its plug-in."""


def code_of(parts: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the versions of the plug-ins that have these parts, for an identity; empty if all are built in."""
    versions = sorted({ORIGINS[part].version for part in parts if part in ORIGINS})
    return {"plugins": versions} if versions else {}
