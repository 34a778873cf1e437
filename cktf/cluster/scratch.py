"""Folders of a driver's own: removed when it ends, and by the next driver on the machine if it was killed."""

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
"""File whose lock the driver holds; the kernel frees it however the driver dies."""

NEW_SECONDS = 10.0
"""Age below which a folder may not have been locked yet."""


@contextmanager
def scratch_folder(place: str | None = None) -> Iterator[str]:
    """Yield a new folder, closed to other users, in a folder or the temporary one; clear away those of dead drivers."""
    place = place or tempfile.gettempdir()
    _clear_dead(Path(place))
    folder = tempfile.TemporaryDirectory(prefix=PREFIX, dir=place, ignore_cleanup_errors=True)  # mode 0700
    with folder as path, (Path(path) / OWNER).open("wb") as lock:
        with suppress(OSError):  # no locks here: it is never taken for a dead driver's, whose lock is taken first
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


def _clear_dead(place: Path) -> None:
    for owner in place.glob(f"{PREFIX}*/{OWNER}"):
        with suppress(OSError), owner.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while the driver lives
            is_own = owner.parent.lstat().st_uid == os.getuid()
            if is_own and time.time() - owner.stat().st_mtime > NEW_SECONDS:
                shutil.rmtree(owner.parent, ignore_errors=True)
