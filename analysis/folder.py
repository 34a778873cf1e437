"""Run directories and report directories: a local folder or a bucket, through `pyarrow.fs`."""

import os
from pathlib import Path
from uuid import uuid4

from pyarrow import fs

from cktf.credentials import require_no_secret
from cktf.errors import InputError


def open_folder(place: str | os.PathLike[str]) -> fs.SubTreeFileSystem:
    """Return a file system whose root is ``place``.

    Args:
        place: A folder, or a URI that `pyarrow.fs` knows (``s3://bucket/run``, ``gs://...``).

    Raises:
        ValueError: If the place is empty, or the URI's scheme is unknown.
    """
    filesystem, path = fs.FileSystem.from_uri(absolute(place))
    return fs.SubTreeFileSystem(path, filesystem)


def absolute(place: str | os.PathLike[str]) -> str:
    """Return a folder or a URI as any process would name it."""
    text = os.fspath(place)
    if not text.strip():  # an unset variable of a shell; the folder one stands in is hardly meant
        raise InputError("the name of a folder is empty; use '.' for the one you are in")
    if "://" in text:
        require_no_secret(text)
        return text
    return str(Path(text).expanduser().resolve())


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
    """Write a file whole, making the folders above it: a reader sees the old content or the new."""
    above, _, last = name.rpartition("/")
    folder.base_fs.create_dir(f"{folder.base_path}{above}", recursive=True)
    # The name is this writer's own, for another report may be written at the same time; and hidden, for a folder of
    # tables may be read meanwhile.
    partial = f"{above}/.{last}.{uuid4().hex}.partial".lstrip("/")
    try:
        with folder.open_output_stream(partial, compression=None) as stream:
            stream.write(content)
        folder.move(partial, name)
    except OSError as error:  # as on a full disk
        if has_file(folder, partial):
            folder.delete_file(partial)
        raise OSError(f"{folder.base_path}{name}: cannot be written: {error}") from error
