"""The exceptions that a user sees as one message; every other exception is a fault of this program."""

import json
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SHOWN = 60
"""Characters of a wrong value that a message shows."""

LONGEST_LINE = 2000
"""Characters of a line of a message that are shown."""

LONGEST_PLACE = 600
"""Characters of a path or of a library's own words that a message shows."""


class UserError(Exception):
    """What a user can mend; the text says what is wrong, where, and what to do.

    It shows no character that a terminal obeys, whatever a file's names and values hold, and no line without an end.
    """

    def __str__(self) -> str:
        """Return the message."""
        return "\n".join(
            "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line[:LONGEST_LINE])
            + "..." * (len(line) > LONGEST_LINE)
            for line in super().__str__().split("\n")
        )


class InputError(UserError, ValueError):
    """A file, a key or an argument is wrong; the text names it, its value and what is allowed."""


@contextmanager
def naming(place: str | os.PathLike[str]) -> Iterator[None]:
    """Let every exception inside name the file, folder or URI that is worked on.

    What the machine refuses (no such file, no permission, a full disk) is the user's to mend; anything that is not
    a `UserError` is a fault of this program, and carries a note of where it happened.

    Raises:
        InputError: In place of an OSError.
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


def shown(value: Any) -> str:
    """Return a wrong value as a message shows it: the first characters of a long one, invisible ones as escapes."""
    try:
        text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except TypeError:  # not of JSON
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of levels
        return f"a long {type(value).__name__}"
    visible = (each if each.isprintable() else ascii(each)[1:-1] for each in text[:SHOWN])
    return "".join(visible) + "..." * (len(text) > SHOWN)


class RunInUse(UserError):  # noqa: N818  # these names say what the user sees
    """Another driver works on the run directory."""


class BadRunDirectory(UserError):  # noqa: N818
    """What was named as the run directory is no place that can be opened."""


class RunNotFound(UserError):  # noqa: N818
    """There is no run at the place that was named."""


class LedgerDamaged(UserError):  # noqa: N818
    """A line of the ledger cannot be read, or contradicts those before it."""


class StudyDiffers(UserError):  # noqa: N818
    """The run directory belongs to another study."""


class NotRunnable(UserError):  # noqa: N818
    """Data, networks or a file that an arm needs are not there or do not go together."""


class ClusterTooSmall(UserError):  # noqa: N818
    """A trial asks for more than any node has."""


class ClusterNotFound(UserError):  # noqa: N818
    """No Ray cluster answers at the address."""


class NotExtensible(UserError):  # noqa: N818
    """The study cannot be extended in the way that was asked for."""


class Unreadable(UserError):  # noqa: N818
    """The run directory is there and cannot be read."""


class Unwritable(UserError):  # noqa: N818
    """The run directory cannot be written to."""


def visible(text: str) -> str:
    """Return a text, such as a path, as a message shows it: whole, unless it is very long, and nothing in it unseen."""
    seen = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[:LONGEST_PLACE])
    return seen + "..." * (len(text) > LONGEST_PLACE)


def refusal_of(error: OSError) -> str:
    """Return why the machine refused something, in one line, without the place, which a library puts into its text."""
    said = os.strerror(error.errno) if error.errno else str(error).partition("\n")[0]
    return visible(said) or type(error).__name__


def fault(error: BaseException) -> str:
    """Return what is said of an exception that is a fault of this program, below its traceback."""
    notes = "".join(f", {note}" for note in getattr(error, "__notes__", ()))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{''.join(traceback.format_exception(error))}\n"
        f"This is a fault of cktf{notes} ({type(error).__name__} at {frame.filename}:{frame.lineno}); nothing that was "
        "computed is lost. Please report it with the lines above."
    )
