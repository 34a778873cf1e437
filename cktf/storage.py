"""A run directory, in a folder or a bucket: bytes under names, written so that a reader never sees half a file."""

import os
import uuid
from pathlib import Path

from pyarrow import fs

_PARTIAL = ".partial"


def cache_directory() -> Path:
    """Return the folder of artefacts that studies share: ``$CKTF_CACHE``, else ``~/.cache/cktf``."""
    return Path(os.environ.get("CKTF_CACHE", "~/.cache/cktf")).expanduser()


class Storage:
    """Files below one root, through `pyarrow.fs`.

    Args:
        root: A folder, or a URI that `pyarrow.fs` knows (``s3://bucket/run``, ``gs://...``). Credentials come from the
            environment or a role, never from the URI, since the URI is written into logs and rows.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        text = os.fspath(root)
        if "://" not in text:
            text = str(Path(text).expanduser().resolve())
        self.filesystem, self.path = fs.FileSystem.from_uri(text)
        self.root = text
        self.is_local = isinstance(self.filesystem, fs.LocalFileSystem)

    def __reduce__(self) -> tuple[type["Storage"], tuple[str]]:
        """Pickle the root alone, so that no credential travels to a worker or into Ray's state."""
        return (Storage, (self.root,))

    def __eq__(self, other: object) -> bool:
        """Return whether both are the same place."""
        return isinstance(other, Storage) and other.root == self.root

    def __hash__(self) -> int:
        """Hash the root, so that what was loaded from a place can be remembered by it."""
        return hash(self.root)

    def child(self, *parts: str) -> "Storage":
        """Return the storage below a sub-folder; a URI keeps its options (``?region=...``)."""
        folder, mark, options = self.root, "", ""
        if "://" in folder:  # in a local path a question mark is part of a name
            folder, mark, options = folder.partition("?")
        return Storage("/".join([folder.rstrip("/"), *parts]) + mark + options)

    def full(self, name: str) -> str:
        """Return the path of ``name`` as the file system names it."""
        return f"{self.path}/{name}"

    def exists(self, name: str) -> bool:
        """Return whether a file of this name is there."""
        return bool(self.filesystem.get_file_info(self.full(name)).type == fs.FileType.File)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file, or None where there is none."""
        if not self.exists(name):
            return None
        with self.filesystem.open_input_stream(self.full(name)) as stream:
            return bytes(stream.read())

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole: a reader sees the old content or the new, also when the writer is killed.

        Raises:
            OSError: If the place cannot be written.
        """
        target = self.full(name)
        if not self.is_local:  # an object appears when its upload is complete
            with self.filesystem.open_output_stream(target) as stream:
                stream.write(content)
            return
        self.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
        # A name of its own for each writer: two that write the same checkpoint must not share a half-written file.
        partial = f"{target}.{uuid.uuid4().hex}{_PARTIAL}"
        try:
            with self.filesystem.open_output_stream(partial) as stream:
                stream.write(content)
            Path(partial).replace(target)
        finally:
            Path(partial).unlink(missing_ok=True)  # it is there where the disk was full

    def delete(self, name: str) -> None:
        """Delete a file; nothing happens where there is none."""
        if self.exists(name):
            self.filesystem.delete_file(self.full(name))

    def sweep(self) -> None:
        """Delete what killed writers have left half-written directly below the root."""
        if self.is_local:
            for name in self.names(_PARTIAL):
                self.delete(name)

    def clear(self) -> None:
        """Delete this folder and all that is in it; nothing happens where there is none."""
        if self.filesystem.get_file_info(self.path).type == fs.FileType.Directory:
            self.filesystem.delete_dir(self.path)

    def names(self, suffix: str = "") -> list[str]:
        """Return the names of the files directly below the root, sorted, that end in ``suffix``."""
        selector = fs.FileSelector(self.path, allow_not_found=True)
        infos = self.filesystem.get_file_info(selector)
        return sorted(
            i.base_name for i in infos if i.type == fs.FileType.File and i.base_name.endswith(suffix)
        )
