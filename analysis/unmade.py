"""Parts of a report that could not be made: the reason stands in their place, and the rest is there."""

from collections.abc import Iterator
from contextlib import contextmanager


def reason(error: Exception) -> str:
    """Return why something could not be made, in one line: the kind of error and what it says."""
    said = " ".join(str(error).split())
    return f"cannot be made: {type(error).__name__}: {said}" if said else f"cannot be made: {type(error).__name__}"


@contextmanager
def noted(reasons: dict[str, str], what: str) -> Iterator[None]:
    """Store the reason of any exception raised inside under ``what``, so that a part of a report fails alone."""
    try:
        yield
    except Exception as error:  # whatever it is, the other parts are worth having
        reasons[what] = reason(error)
