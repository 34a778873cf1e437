"""Exceptions that a user sees as one message; every other exception is a fault of this program."""

import json
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SHOWN = 60
"""Characters of a wrong value that a message shows."""

LONGEST_LINE = 2000
"""Characters of a line of a message that are shown."""

LONGEST_PLACE = 600
"""Characters of a path or of a library's own words that a message shows."""


class UserError(Exception):
    """An error that the user can fix; the text says what is wrong, where, and what to do.

    Control characters in names and values from files are shown as escapes, and long lines are cut.
    """

    def __str__(self) -> str:
        return "\n".join(visible(line, most=LONGEST_LINE) for line in super().__str__().split("\n"))


class InputError(UserError, ValueError):
    """A file, key or argument is wrong; the text names it, its value and what is allowed."""


@contextmanager
def naming(place: str | os.PathLike[str]) -> Iterator[None]:
    """Name a file, folder or URI in every exception raised inside.

    An OSError (no such file, no permission, a full disk) becomes an `InputError`; any other exception that is not a
    `UserError` is a fault of this program and gets a note.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise InputError(f"{visible(os.fspath(place))}: {refusal_of(error)}") from error
    except Exception as error:
        error.add_note(f"while at work on {visible(os.fspath(place))}")
        raise


@contextmanager
def within(key: str) -> Iterator[None]:
    """Prefix an InputError raised inside with the key, phase or place that it is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{key}: {error}") from error


def file_content(path: Path, most: int) -> bytes:
    """Return the content of a file; raise an InputError if it is missing, no regular file, or has more bytes."""
    with naming(path):
        if not path.is_file():  # a device or FIFO might never end
            raise InputError(f"{visible(str(path))}: there is no such file")
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    if len(content) > most:
        raise InputError(f"{visible(str(path))}: is larger than {most // 1000:,} kB")
    return content


def shown(value: Any) -> str:
    """Return a wrong value for a message: as JSON, cut if it is long, invisible characters as escapes."""
    try:
        text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except TypeError:  # no type of JSON
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of levels
        return f"a long {type(value).__name__}"
    return visible(text, most=SHOWN)


class RunInUse(UserError):  # noqa: N818  # these names say what the user sees
    """Another driver uses the run directory."""


class RunNotFound(UserError):  # noqa: N818
    """There is no run at the named place."""


class StudyDiffers(UserError):  # noqa: N818
    """The run directory belongs to another study."""


class NotRunnable(UserError):  # noqa: N818
    """Data, networks or a file that an arm needs are missing or do not fit together, or the system is not Linux."""


class ClusterTooSmall(UserError):  # noqa: N818
    """A trial needs more resources than any node has."""


class ClusterNotFound(UserError):  # noqa: N818
    """No Ray cluster answers at the address."""


LOST_CLUSTER, INTERRUPTED = 3, 130
"""Exit codes of a driver whose cluster was lost, and of one that a signal ended."""


class ClusterLost(UserError):  # noqa: N818
    """The Ray that a driver was connected to is gone."""


class NotExtensible(UserError):  # noqa: N818
    """The study cannot be extended as requested."""


class StorageTrouble(OSError):  # noqa: N818
    """A disk or bucket could not be read or written; this is no failure of the trial that met it."""


def few(names: Sequence[str], most: int = 20) -> str:
    """Return the first of many names for a message, and how many more there are."""
    return ", ".join(names[:most]) + (f", and {len(names) - most} more" if len(names) > most else "")


def visible(text: str, most: int = LONGEST_PLACE) -> str:
    """Return a text for a message: cut after so many characters, invisible ones as escapes."""
    escaped = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[:most])
    return escaped + "..." * (len(text) > most)


def refusal_of(error: OSError) -> str:
    """Return the reason of an OSError in one line, without the place that libraries put into its text."""
    said = os.strerror(error.errno) if error.errno else str(error).partition("\n")[0]
    return visible(said) or type(error).__name__


def fault(error: BaseException) -> str:
    """Return the message for an exception that is a fault of this program: its traceback and a request to report it."""
    notes = "".join(f", {note}" for note in getattr(error, "__notes__", ()))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{''.join(traceback.format_exception(error))}\n"
        f"This is a fault of cktf{notes} ({type(error).__name__} at {frame.filename}:{frame.lineno}); nothing that was "
        "computed is lost. Please report it with the lines above."
    )
