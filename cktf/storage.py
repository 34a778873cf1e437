"""Files of a run directory, in a folder or a bucket, written so that a reader never sees half a file."""

import logging
import os
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from pyarrow import fs

from cktf.credentials import require_no_secret
from cktf.errors import InputError, StorageTrouble, refusal_of, visible

TRIALS = "trials"
"""Folder of a run, in which each trial has a folder for its files."""

PARTIAL = ".partial"
"""End of the names of half-written files."""

DAMAGED = ".damaged"
"""End of the names of files that were set aside."""

AT_ONCE = 20
"""Number of concurrent requests to a bucket."""

PATIENCE = 600.0
"""Default number of seconds for which a failing request to a bucket is repeated."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before the second try, and the most between two tries; each pause is twice the one before."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


def patiently(what: Callable[[], T], place: str, patience: float) -> T:
    """Return the result of a function that reads or writes a place; while it raises an OSError, call it again.

    That goes on for ``patience`` seconds, with growing pauses; if it still fails then, it is a `StorageTrouble`.
    """
    began, pause = time.monotonic(), FIRST_PAUSE
    while True:
        try:
            found = what()
        except OSError as error:
            left = patience - (time.monotonic() - began)
            if left <= 0:
                if error.errno is None:  # pyarrow's, of a bucket
                    raise StorageTrouble(f"{visible(place)}: {refusal_of(error)}") from error
                raise StorageTrouble(error.errno, error.strerror, place) from error
            if pause == FIRST_PAUSE:
                _log.warning("%s: %s; trying again, for up to %.0f s", visible(place), refusal_of(error), left)
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            if pause > FIRST_PAUSE:
                _log.warning("%s: answers again after %.0f s", visible(place), time.monotonic() - began)
            return found


def absolute(place: str | os.PathLike[str]) -> str:
    """Return the absolute path of a folder, or a URI as it is.

    Raises:
        InputError: If it is empty, a URI with a password or token, or no name of a folder.
    """
    text = os.fspath(place)
    if not text.strip():  # probably an unset shell variable, and not meant as the current folder
        raise InputError("the name of a folder is empty; use '.' for the one you are in")
    if "://" in text:
        require_no_secret(text)
        return text
    try:
        return str(Path(text).expanduser().resolve())
    except (OSError, ValueError, RuntimeError) as error:  # such as a NUL, no home folder, links in a circle
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{visible(text)}: is no name of a folder: {visible(reason)}") from error


def opened(place: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of an `absolute` place, and its path there.

    Raises:
        InputError: If it is a URI that cannot be read, names no bucket, or has an unknown scheme.
    """
    use = "use a folder, or a URI such as s3://bucket/run"
    if place.startswith("s3://") and len(place) > len("s3://"):  # to read a small object is then one request, not three
        with suppress(ValueError, OSError):  # an option that older versions of pyarrow do not know
            filesystem, path = fs.FileSystem.from_uri(f"{place}{'&' if '?' in place else '?'}allow_delayed_open=true")
            return filesystem, path
    try:
        filesystem, path = fs.FileSystem.from_uri(place)
    except (ValueError, OSError) as error:  # pyarrow raises the first for most URIs, the second for HDFS
        said = str(error).partition("\n")[0].replace(place, "").rstrip(": ")
        raise InputError(f"{visible(place)}: is not a run directory: {visible(said)}; {use}") from error
    if place.endswith("://"):
        raise InputError(f"{visible(place)}: names no bucket; {use}")
    return filesystem, path


def cache_directory() -> Path:
    """Return the cache folder that studies share: ``$CKTF_CACHE``, else ``~/.cache/cktf``."""
    return Path(absolute(os.environ.get("CKTF_CACHE") or "~/.cache/cktf"))


def open_folder(place: str | os.PathLike[str]) -> fs.SubTreeFileSystem:
    """Return a file system whose root is ``place``, a folder or URI; see `absolute` and `opened`."""
    filesystem, path = opened(absolute(place))
    return fs.SubTreeFileSystem(path, filesystem)


def without_slash(place: str | os.PathLike[str]) -> str:
    """Return a place without slashes at its end, unless it is a root."""
    text = os.fspath(place)
    return text if text.endswith("://") else text.rstrip("/") or text[:1]


def below(place: str | os.PathLike[str], name: str) -> str:
    """Return the path or URI of a file or folder below ``place``; a URI keeps its options (``?region=...``)."""
    folder, mark, options = os.fspath(place), "", ""
    if "://" in folder:  # in a local path a question mark is part of a name
        folder, mark, options = folder.partition("?")
    return f"{folder.rstrip('/')}/{name}{mark}{options}"


def is_local(folder: fs.SubTreeFileSystem) -> bool:
    """Return whether a folder is in this machine's file system."""
    return isinstance(folder.base_fs, fs.LocalFileSystem)


def has_file(folder: fs.FileSystem, name: str) -> bool:
    """Return whether a file of this name is there."""
    return bool(folder.get_file_info(name).type == fs.FileType.File)


def read(folder: fs.SubTreeFileSystem, name: str) -> bytes:
    """Return the bytes of a file; in a bucket a failure is tried again (see `patiently`)."""
    get = partial(_content, folder, name)
    return get() if is_local(folder) else patiently(get, folder.base_path + name, PATIENCE)


def write(folder: fs.SubTreeFileSystem, name: str, content: bytes, patience: float = PATIENCE) -> None:
    """Write a file whole, making the folders above it: a reader sees the old content or the new.

    Raises:
        InputError: If it cannot be written, in a bucket after ``patience`` seconds (see `patiently`).
    """
    place = folder.base_path + name
    try:
        patiently(partial(_put, folder.base_fs, place, content), place, 0.0 if is_local(folder) else patience)
    except OSError as error:
        raise InputError(f"{visible(place)}: cannot be written: {refusal_of(error)}") from error


def write_all(folder: fs.SubTreeFileSystem, files: Mapping[str, bytes]) -> None:
    """Write files as `write` does, to a bucket `AT_ONCE` at the same time."""
    with ThreadPoolExecutor(1 if is_local(folder) else AT_ONCE) as threads:
        list(threads.map(partial(write, folder), files.keys(), files.values()))


def _content(filesystem: fs.FileSystem, path: str) -> bytes:
    with filesystem.open_input_stream(path, compression=None) as stream:
        return bytes(stream.read())


def _put(filesystem: fs.FileSystem, path: str, content: bytes | memoryview) -> None:
    """Write a file so that it has its old content or the new, after a loss of power too."""
    if not isinstance(filesystem, fs.LocalFileSystem):  # an object appears when its upload is complete
        with filesystem.open_output_stream(path, compression=None) as stream:
            stream.write(content)
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own, because another process may write the same file; hidden, because the folder may be read as one
    # table meanwhile.
    half = target.with_name(f".{target.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        with half.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half.replace(target)
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)  # left if the disk was full
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every network file system can
            os.fsync(folder)
    finally:
        os.close(folder)


class Storage:
    """Files below one root: a folder, or a URI that `pyarrow.fs` supports (``s3://bucket/run``), without credentials.

    Requests to a bucket that fail are repeated for ``patience`` seconds (see `patiently`), those to a folder are not.
    Every method raises a `StorageTrouble` if the storage fails; a root that cannot be opened is an InputError.
    """

    def __init__(self, root: str | os.PathLike[str], patience: float = 0.0) -> None:
        self.root = absolute(root)
        self.filesystem, self.path = opened(self.root)
        self.is_local = isinstance(self.filesystem, fs.LocalFileSystem)
        self.patience = patience

    def __reduce__(self) -> tuple[type["Storage"], tuple[str, float]]:
        """Pickle the root only, so that no credential reaches a worker or Ray's state."""
        return (Storage, (self.root, self.patience))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Storage) and other.root == self.root

    def __hash__(self) -> int:
        return hash(self.root)

    def child(self, *parts: str) -> "Storage":
        """Return the storage below a sub-folder; a URI keeps its options (``?region=...``)."""
        return Storage(below(self.root, "/".join(parts)), self.patience)

    def full(self, name: str) -> str:
        """Return the path of ``name`` in the file system."""
        return f"{self.path}/{name}"

    def exists(self, name: str) -> bool:
        """Return whether a file of this name exists."""
        return bool(self._try(name, self.filesystem.get_file_info).type == fs.FileType.File)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file, None if it does not exist."""

        def content(path: str) -> bytes | None:
            with suppress(FileNotFoundError, NotADirectoryError):  # the latter: a file is where a folder would be
                return _content(self.filesystem, path)
            return None

        return self._try(name, content)

    def read_all(self, names: Iterable[str]) -> Iterator[bytes]:
        """Yield the bytes of files, empty if one does not exist; from a bucket `AT_ONCE` at the same time."""
        if self.is_local:
            yield from (self.read(name) or b"" for name in names)
            return
        with ThreadPoolExecutor(AT_ONCE) as threads:
            yield from (content or b"" for content in threads.map(self.read, names))

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write a file whole: a reader sees the old content or the new, even if the writer or machine is killed."""
        self._try(name, lambda path: _put(self.filesystem, path, content))

    def delete(self, *names: str) -> None:
        """Delete files, those that exist; in a bucket `AT_ONCE` at the same time."""

        def remove(path: str) -> None:
            with suppress(FileNotFoundError):
                self.filesystem.delete_file(path)

        with ThreadPoolExecutor(1 if self.is_local else AT_ONCE) as threads:
            list(threads.map(lambda name: self._try(name, remove), names))

    def set_aside(self, name: str, why: str) -> None:
        """Rename a damaged file so that it ends in `DAMAGED`, and log a warning."""

        def move(path: str) -> None:
            with suppress(FileNotFoundError):  # another worker was first
                self.filesystem.move(path, path + DAMAGED)

        self._try(name, move)
        _log.warning("%s is damaged (%s): set aside as %s, and made again", self.full(name), why, name + DAMAGED)

    def delete_listed(self, names: Collection[str], listed: Iterable[str]) -> None:
        """Delete files in sub-folders; ``listed`` are all files there.

        In a bucket a folder that loses all its files is deleted in one batch: deleting them one by one would leave an
        empty object in its place.
        """
        staying = {name.partition("/")[0] for name in listed if name not in names}
        whole = set() if self.is_local else {name.partition("/")[0] for name in names} - staying
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(lambda folder: self._try(folder, self._clear), whole))
        self.delete(*(name for name in names if name.partition("/")[0] not in whole))

    def clear(self) -> None:
        """Delete this folder and everything in it, if it exists."""
        self._try("", self._clear)

    def _clear(self, path: str) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):
            self.filesystem.delete_dir(path)

    def clear_empty(self) -> None:
        """Delete the empty folders directly below this one; a bucket has none."""
        for folder in Path(self.path).glob("*") if self.is_local else ():
            with suppress(OSError):  # it is not empty, or no folder
                folder.rmdir()

    def folders(self) -> list[str]:
        """Return the names of the folders directly below the root, sorted."""
        return sorted(info.base_name for info in self._infos() if info.type == fs.FileType.Directory)

    def names(self, suffix: str = "", *, below: bool = False) -> list[str]:
        """Return the names of the files directly below the root, sorted, that end in ``suffix``.

        With ``below``, also those in its folders, with the folders' names before theirs.
        """
        return sorted(name for name in self.times(below=below) if name.endswith(suffix))

    def times(self, *, below: bool = False) -> dict[str, float]:
        """Return each file's name, as `names` does, to when it was last written: seconds by the storage's clock."""
        files = (info for info in self._infos(below=below) if info.type == fs.FileType.File)
        return {info.path[len(self.path) :].lstrip("/"): (info.mtime_ns or 0) / 10**9 for info in files}

    def _infos(self, *, below: bool = False) -> list[fs.FileInfo]:
        selector = partial(fs.FileSelector, allow_not_found=True, recursive=below)
        return self._try("", lambda path: self.filesystem.get_file_info(selector(path)))

    def _try(self, name: str, act: Callable[[str], T]) -> T:
        """Return the result of a function of a file's path; see `patiently`."""
        path = self.full(name) if name else self.path
        return patiently(partial(act, path), path, 0.0 if self.is_local else self.patience)
