"""Places of data sets, messages if one is missing or cannot be read, and hashes of files."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cktf.errors import InputError, visible
from cktf.locks import exclusive


@dataclass(frozen=True)
class DataPlace:
    """Place of a data set's files, and how they are read: settings of `DataConfig`."""

    name: str
    root: str | None = None
    download: bool = False
    side: int | None = None
    verify: bool = True
    test_classes: str = "all"
    fold: int | None = None


class DatasetMissing(InputError):  # noqa: N818  # it names what the user is told
    """A data set is not where it was looked for; the message says where that was and how to get it."""

    def __init__(self, name: str, places: Sequence[Path], remedy: str, reason: str = "") -> None:
        looked, because = ", ".join(map(str, places)), f" ({reason})" if reason else ""
        super().__init__(f"data.name: {name} is not there{because}; looked in {looked}. To get it, {remedy}")


def find_or_fetch(
    place: DataPlace,
    folders: Sequence[Path],
    is_whole: Callable[[Path], object],
    remedy: str,
    fetch: Callable[[Path], object],
) -> Path:
    """Return the first of some folders that holds a data set, fetched below the data folder if asked for and needed.

    If it is not there, and cannot be fetched, a DatasetMissing advises the ``remedy``.
    """
    if place.download and not any(map(is_whole, folders)):
        root = data_folder(place.root)
        try:
            with exclusive(root / ".lock"):  # trials that start together need the same data
                if not any(map(is_whole, folders)):
                    fetch(root)
        except (OSError, RuntimeError) as error:
            raise DatasetMissing(place.name, folders, remedy, f"the download failed: {error}") from error
    for folder in folders:
        if is_whole(folder):
            return folder
    raise DatasetMissing(place.name, folders, remedy)


def data_folder(root: str | None) -> Path:
    """Return the folder of data sets: ``root``, else ``$CKTF_DATA``, else ``~/.cache/cktf/data``.

    Raises:
        ValueError: If it is below the home folder of a user who is not known or has none.
    """
    place = root or os.environ.get("CKTF_DATA") or "~/.cache/cktf/data"
    try:
        return Path(place).expanduser()
    except RuntimeError as error:
        key = "data.root" if root else "$CKTF_DATA"
        raise InputError(
            f"{key}: {place}: no home folder is known on this machine for {Path(place).parts[0]}; set {key} to a path "
            "that begins with /"
        ) from error


@contextmanager
def reading(root: str | None) -> Iterator[None]:
    """Turn an OSError in the block into an InputError that names its file or, if it has none, the `data_folder`."""
    try:
        yield
    except OSError as error:
        place = visible(str(error.filename or data_folder(root)))
        raise InputError(f"data.root: {place} cannot be read: {error.strerror or error}") from error


def state_of(path: Path) -> str:
    """Return a file's path, size and time of change as one text, to notice that it has changed."""
    status = path.stat()
    return f"{path.absolute()} {status.st_size} {status.st_mtime_ns}"


def file_digest(path: Path, kind: str = "sha256") -> str:
    """Return a hash of a file's bytes; they are read again only if its size or time of change has changed."""
    return _digest(path, kind, state_of(path))


def files_digest(files: Mapping[str, Path]) -> str | None:
    """Return the SHA-256 of the names and bytes of some files together; None if there are none."""
    lines = (f"{name} {file_digest(path)}\n" for name, path in sorted(files.items()))
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest() if files else None


@lru_cache  # a study makes the configuration of each arm
def _digest(path: Path, kind: str, _state: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def some_of(names: Sequence[object], most: int = 3) -> str:
    """Return the first few of a list, and how many there are besides."""
    listed = ", ".join(map(str, names[:most]))
    return f"{listed} and {len(names) - most:,} more" if len(names) > most else listed
