"""File locks, by which the processes of a machine take turns."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cktf.errors import InputError


def acquired(path: Path, timeout: float = -1) -> FileLock:
    """Return the lock of a file, held from here on; the kernel releases it however its holder dies.

    The file is created if missing, and its content stays. Without a ``timeout`` it waits for ever.

    Raises:
        Timeout: If another process still holds it after ``timeout`` seconds.
        InputError: If the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise
    except OSError as error:
        raise InputError(
            f"{path} cannot be locked: {error.strerror or error}; the file system of this folder has no locks, "
            "which keep processes out of each other's way; name a folder on another one"
        ) from error
    return lock


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of a file, as `acquired`; wait while another process holds it."""
    lock = acquired(path)
    try:
        yield
    finally:
        lock.release()
