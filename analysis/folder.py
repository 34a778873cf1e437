"""Run directories and report directories: a local folder or a bucket, through `pyarrow.fs`."""

import os
from pathlib import Path
from uuid import uuid4

from pyarrow import fs


def open_folder(place: str | os.PathLike[str]) -> fs.SubTreeFileSystem:
    """Return a file system whose root is ``place``.

    Args:
        place: A folder, or a URI that `pyarrow.fs` knows (``s3://bucket/run``, ``gs://...``).

    Raises:
        ValueError: If the URI's scheme is unknown.
    """
    text = os.fspath(place)
    if "://" not in text:
        text = str(Path(text).expanduser().resolve())
    filesystem, path = fs.FileSystem.from_uri(text)
    return fs.SubTreeFileSystem(path, filesystem)


def has_file(folder: fs.FileSystem, name: str) -> bool:
    """Return whether a file of this name is there."""
    return bool(folder.get_file_info(name).type == fs.FileType.File)


def read(folder: fs.FileSystem, name: str) -> bytes:
    """Return the bytes of a file."""
    with folder.open_input_stream(name, compression=None) as stream:
        return bytes(stream.read())


def write(folder: fs.SubTreeFileSystem, name: str, content: bytes) -> None:
    """Write a file whole, making the folders above it: a reader sees the old content or the new."""
    above = name.rpartition("/")[0]
    folder.base_fs.create_dir(f"{folder.base_path}{above}", recursive=True)
    # The name is this writer's own, for another report may be written at the same time.
    partial = f"{name}.{uuid4().hex}.partial"
    with folder.open_output_stream(partial, compression=None) as stream:
        stream.write(content)
    folder.move(partial, name)
