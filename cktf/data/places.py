"""Where data sets are kept, and what is said where one is missing."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cktf.errors import InputError
from cktf.exclusive import exclusive


class DatasetMissing(InputError):  # noqa: N818  # it names what the user is told
    """A data set is not where it was looked for; the message says where that was and how to get it."""

    def __init__(self, name: str, places: Sequence[Path], remedy: str, reason: str = "") -> None:
        looked = ", ".join(str(place) for place in places)
        because = f" ({reason})" if reason else ""
        super().__init__(f"data.name: {name} is not there{because}; looked in {looked}. To get it, {remedy}")


def data_folder(root: str | None) -> Path:
    """Return the folder of data sets: ``root``, else ``$CKTF_DATA``, else ``~/.cache/cktf/data``."""
    return Path(root or os.environ.get("CKTF_DATA") or "~/.cache/cktf/data").expanduser()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Let one process at a time write into ``folder``, for trials that start together all want the data.

    Raises:
        OSError: If the folder cannot be written.
    """
    with exclusive(folder / ".lock"):
        yield
