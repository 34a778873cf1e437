"""Run directories and report directories: a local folder or a bucket, through `pyarrow.fs`."""

import errno
import os
from contextlib import suppress
from uuid import uuid4

from pyarrow import fs

from cktf.errors import InputError, refusal_of, visible
from cktf.storage import absolute, opened


def open_folder(place: str | os.PathLike[str]) -> fs.SubTreeFileSystem:
    """Return a file system whose root is ``place``.

    Args:
        place: A folder, or a URI that `pyarrow.fs` knows (``s3://bucket/run``, ``gs://...``).

    Raises:
        ValueError: If the place cannot be opened; see `cktf.storage`.
    """
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
        ValueError: If it cannot be written, as on a full disk; nothing is left of it then.
    """
    above, _, last = name.rpartition("/")
    # The name is this writer's own, for another report may be written at the same time; and hidden, for a folder of
    # tables may be read meanwhile.
    partial = f"{above}/.{last}.{uuid4().hex}.partial".lstrip("/")
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
