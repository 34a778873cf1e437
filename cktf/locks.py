"""Locks of files, by which the processes of a machine take turns."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from cktf.errors import InputError


def file_lock(path: Path) -> FileLock:
    """Return the lock of a file, not yet acquired; the kernel releases it however its holder dies.

    The file is created if missing, and its content stays. Acquiring the lock raises an OSError if the file system has
    no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return FileLock(path, thread_local=False, fallback_to_soft=False)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is created if missing; wait while another process holds it.

    Raises:
        InputError: If the file system has no locks.
    """
    lock = file_lock(path)
    try:
        held = lock.acquire()
    except OSError as error:
        raise InputError(
            f"{path} cannot be locked: {error.strerror or error}; the file system of this folder has no locks, "
            "which keep processes out of each other's way; name a folder on another one"
        ) from error
    with held:
        yield
