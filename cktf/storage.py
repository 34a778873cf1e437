"""Files of a run directory, in a folder or a bucket, written so that a reader never sees half a file."""

import errno
import os
import uuid
from contextlib import suppress
from pathlib import Path

from pyarrow import fs

from cktf.credentials import require_no_secret
from cktf.errors import InputError, refusal_of, visible

_PARTIAL = ".partial"


def absolute(place: str | os.PathLike[str]) -> str:
    """Return the absolute path of a folder, or a URI as it is.

    Raises:
        InputError: If it is empty, a URI with a password or token, below an unknown user's home folder, or not a
            valid folder name.
    """
    text = os.fspath(place)
    if not text.strip():  # an unset variable of a shell; the folder one stands in is hardly meant
        raise InputError("the name of a folder is empty; use '.' for the one you are in")
    if "://" in text:
        require_no_secret(text)
        return text
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{visible(text)}: no home folder is known on this machine for {Path(text).parts[0]}; give a path that "
            "begins with /"
        ) from error
    try:
        return str(path.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # links in a circle are the last
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{visible(text)}: is no name of a folder: {visible(reason)}") from error


def opened(place: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of an `absolute` place, and its path there.

    Raises:
        InputError: If it is a URI that cannot be read, names no bucket, or has an unknown scheme.
    """
    use = "use a folder, or a URI such as s3://bucket/run"
    try:
        filesystem, path = fs.FileSystem.from_uri(place)
    except (ValueError, OSError) as error:  # pyarrow says the first of most URIs, the second of HDFS's
        said = str(error).partition("\n")[0].replace(place, "").rstrip(": ")
        raise InputError(f"{visible(place)}: is not a run directory: {visible(said)}; {use}") from error
    if place.endswith("://"):
        raise InputError(f"{visible(place)}: names no bucket; {use}")
    return filesystem, path


def cache_directory() -> Path:
    """Return the cache folder that studies share: ``$CKTF_CACHE``, else ``~/.cache/cktf``.

    Raises:
        InputError: If it lies below the home folder of a user who has none.
    """
    place = os.environ.get("CKTF_CACHE") or "~/.cache/cktf"
    try:
        return Path(place).expanduser()
    except RuntimeError as error:
        raise InputError(f"{place}: {error}; set $CKTF_CACHE to a folder that can be written to") from error


def open_folder(place: str | os.PathLike[str]) -> fs.SubTreeFileSystem:
    """Return a file system whose root is ``place``, a folder or URI; see `absolute` and `opened`."""
    filesystem, path = opened(absolute(place))
    return fs.SubTreeFileSystem(path, filesystem)


def without_slash(place: str | os.PathLike[str]) -> str:
    """Return a place without slashes at its end, unless it is the root."""
    text = os.fspath(place)
    return text.rstrip("/") or text[:1]


def below(place: str | os.PathLike[str], name: str) -> str:
    """Return how a file or folder below ``place`` is named; a URI keeps its options (``?region=...``)."""
    folder, mark, options = os.fspath(place), "", ""
    if "://" in folder:  # in a local path a question mark is part of a name
        folder, mark, options = folder.partition("?")
    return f"{folder.rstrip('/')}/{name}{mark}{options}"


def has_file(folder: fs.FileSystem, name: str) -> bool:
    """Return whether a file of this name is there."""
    return bool(folder.get_file_info(name).type == fs.FileType.File)


def read(folder: fs.FileSystem, name: str) -> bytes:
    """Return the bytes of a file."""
    with folder.open_input_stream(name, compression=None) as stream:
        return bytes(stream.read())


def write(folder: fs.SubTreeFileSystem, name: str, content: bytes) -> None:
    """Write a file whole, making the folders above it: a reader sees the old content or the new.

    Raises:
        InputError: If it cannot be written, as on a full disk; nothing is left of it then.
    """
    above, _, last = name.rpartition("/")
    # The name is this writer's own, for another report may be written at the same time; and hidden, for a folder of
    # tables may be read meanwhile.
    partial = f"{above}/.{last}.{uuid.uuid4().hex}.partial".lstrip("/")
    try:
        folder.base_fs.create_dir(f"{folder.base_path}{above}", recursive=True)
        with folder.open_output_stream(partial, compression=None) as stream:
            stream.write(content)
        folder.move(partial, name)
    except OSError as error:
        with suppress(OSError):
            if has_file(folder, partial):
                folder.delete_file(partial)
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        room = f"; it needs {len(content):,} bytes of room" if is_full else ""
        raise InputError(f"{visible(folder.base_path + name)}: cannot be written: {refusal_of(error)}{room}") from error


class Storage:
    """Files below one root, through `pyarrow.fs`.

    Args:
        root: Folder, or URI that `pyarrow.fs` supports (``s3://bucket/run``, ``gs://...``). Credentials come from the
            environment or a role, never from the URI, since the URI is written into logs and rows.

    Raises:
        InputError: If the root cannot be opened.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = absolute(root)
        self.filesystem, self.path = opened(self.root)
        self.is_local = isinstance(self.filesystem, fs.LocalFileSystem)

    def __reduce__(self) -> tuple[type["Storage"], tuple[str]]:
        """Pickle the root only, so that no credential reaches a worker or Ray's state."""
        return (Storage, (self.root,))

    def __eq__(self, other: object) -> bool:
        """Return whether both have the same root."""
        return isinstance(other, Storage) and other.root == self.root

    def __hash__(self) -> int:
        """Hash the root, so that a storage can be a cache key."""
        return hash(self.root)

    def child(self, *parts: str) -> "Storage":
        """Return the storage below a sub-folder; a URI keeps its options (``?region=...``)."""
        return Storage(below(self.root, "/".join(parts)))

    def full(self, name: str) -> str:
        """Return the path of ``name`` in the file system."""
        return f"{self.path}/{name}"

    def exists(self, name: str) -> bool:
        """Return whether a file of this name exists."""
        return bool(self.filesystem.get_file_info(self.full(name)).type == fs.FileType.File)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file, None if it does not exist."""
        if not self.exists(name):
            return None
        with self.filesystem.open_input_stream(self.full(name)) as stream:
            return bytes(stream.read())

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically: a reader sees the old content or the new, even if the writer is killed.

        Raises:
            OSError: If it cannot be written.
        """
        target = self.full(name)
        if not self.is_local:  # an object appears when its upload is complete
            with self.filesystem.open_output_stream(target) as stream:
                stream.write(content)
            return
        self.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
        # One name per writer: two that write the same checkpoint must not share a half-written file.
        partial = f"{target}.{uuid.uuid4().hex}{_PARTIAL}"
        try:
            with self.filesystem.open_output_stream(partial) as stream:
                stream.write(content)
            Path(partial).replace(target)
        finally:
            Path(partial).unlink(missing_ok=True)  # left if the disk was full

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""
        if self.exists(name):
            self.filesystem.delete_file(self.full(name))

    def sweep(self) -> None:
        """Delete half-written files that killed writers left directly below the root."""
        if self.is_local:
            for name in self.names(_PARTIAL):
                self.delete(name)

    def clear(self) -> None:
        """Delete this folder and everything in it, if it exists."""
        if self.filesystem.get_file_info(self.path).type == fs.FileType.Directory:
            self.filesystem.delete_dir(self.path)

    def names(self, suffix: str = "") -> list[str]:
        """Return the names of the files directly below the root, sorted, that end in ``suffix``."""
        selector = fs.FileSelector(self.path, allow_not_found=True)
        infos = self.filesystem.get_file_info(selector)
        return sorted(i.base_name for i in infos if i.type == fs.FileType.File and i.base_name.endswith(suffix))
