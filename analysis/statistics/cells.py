"""Cells of a table that another program wrote -> a level, a number, a whole number, a status."""

import math
import re
from typing import Any

from cktf.errors import shown
from cktf.names import tidy_name
from cktf.row_values import LARGEST_INTEGER
from cktf.rows import Status

NO_VALUE = {"", "-", "–", "na", "n/a", "nan", "none", "null"}
"""Cells, in lower case, that mark a missing number."""

INFINITE = {sign + word for sign in ("", "+", "-") for word in ("inf", "infinity")}
"""Cells, in lower case, that hold an infinite number."""

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+\b")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")

_FAILED = re.compile(
    r"\b(fail(ed|ure|s)?|err(or|ors|ored)?|crash(ed|es)?|kill(ed)?|prun(ed|e)|time(d)?[ _-]?out|cancell?ed|abort(ed)?"
    r"|oom|preempted|interrupted|diverged|exception|out of memory|stopped early|early stopped)\b"
)
_UNFINISHED = re.compile(
    r"\b(running|pending|queued|scheduled|waiting|unfinished|incomplete|not (finished|completed?|done)|planned|paused"
    r"|partial)\b"
)
_COMPLETE = re.compile(r"complete(d)?|finished|done|ok|okay|success(ful)?|succeeded|passed|terminated")
_NEGATED = re.compile(r"\b(no|not|without|0|zero)\b (\w+ )?(fail|err|crash|exception)\w*")


def has_address(level: Any) -> bool:
    """Return whether a level, or part of one, is a text with the address of an object."""
    return _ADDRESS.search(str(level)) is not None


def tidy_level(level: Any) -> Any:
    """Return a level, or part of one, with texts as `tidy_name` has them and without the addresses of objects.

    ``<function loss at 0x7f32a8>`` differs from one process to the next; its name does not.
    """
    if isinstance(level, str):
        return tidy_name(_ADDRESS.sub("", level))
    if isinstance(level, list | tuple):
        return [tidy_level(part) for part in level]
    return level


def number(cell: str) -> float | None:
    """Return the number in a cell; NaN where it says that there is none; None where it holds something else."""
    word = cell.lower()
    if word in NO_VALUE:
        return math.nan
    # Python reads as numbers what a table does not mean as such: 1_000, digits of other scripts.
    return float(cell) if word in INFINITE or _NUMBER.fullmatch(cell) else None


def no_number(what: str, column: str, row: str, cell: object) -> str:
    """Return the error message for a cell that is no number in a column of numbers."""
    return f"{what}: column {column!r} holds numbers, or nothing where a trial failed; {row} has {shown(cell)}"


def whole_number(cell: str) -> int | None:
    """Return the whole number in a cell, also where a spreadsheet wrote 3.0; None where it holds something else.

    None, too, for a number of more than 64 bits, which tables cannot hold.
    """
    if not _WHOLE.fullmatch(cell):
        return None
    digits = cell.partition(".")[0].lstrip("+-").lstrip("0") or "0"
    if len(digits) > len(str(LARGEST_INTEGER)):  # Python refuses to read thousands of digits
        return None
    found = -int(digits) if cell.startswith("-") else int(digits)
    return found if -LARGEST_INTEGER - 1 <= found <= LARGEST_INTEGER else None


def status_in(cell: str) -> Status | None:
    """Return the trial's status according to the words of a cell; None if they are unknown."""
    if cell.lower() in NO_VALUE:
        return Status.COMPLETE
    words = " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])|[\W_]+", " ", cell).lower().split())
    words = _NEGATED.sub("ok", words)
    if _UNFINISHED.search(words):
        return Status.RUNNING
    if _FAILED.search(words):
        return Status.FAILED
    return Status.COMPLETE if any(_COMPLETE.fullmatch(part) for part in [words, *words.split()]) else None
