"""Temporary folders of one process. What a killed process leaves is removed by the next that makes such a folder."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "cktf-"

OWNER = "owner.lock"
"""File whose lock the folder's process holds; the kernel releases it however the process dies."""

NEW_SECONDS = 10.0
"""Age below which a folder may not have been locked yet."""


@contextmanager
def scratch_folder(place: str | None = None) -> Iterator[str]:
    """Yield a new private folder in ``place`` (default: the temporary one); first remove those of killed processes."""
    place = place or tempfile.gettempdir()
    _clear_dead(Path(place))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))  # mode 0700
    try:
        with (folder / OWNER).open("wb") as lock:
            with suppress(OSError):  # no locks here, so no other process can remove it as a dead one's either
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield str(folder)
    finally:
        _remove(folder)


def _clear_dead(place: Path) -> None:
    for owner in place.glob(f"{PREFIX}*/{OWNER}"):
        with suppress(OSError), owner.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its owner lives
            is_own = owner.parent.lstat().st_uid == os.getuid()
            if is_own and time.time() - owner.stat().st_mtime > NEW_SECONDS:
                _remove(owner.parent)


def _remove(folder: Path) -> None:
    """Remove a folder; its owner's file goes last.

    A later driver can thus find and remove files that could not be removed, or that Ray's dying services still wrote.
    """
    with suppress(OSError):
        for entry in [*folder.iterdir()]:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != OWNER:
                entry.unlink(missing_ok=True)
        if {entry.name for entry in folder.iterdir()} <= {OWNER}:
            shutil.rmtree(folder)
