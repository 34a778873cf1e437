"""Names of arms and factors in the ledger, on the command line and in reports."""

import re
import unicodedata
from collections.abc import Iterable

BASELINE = "baseline"
"""Name of the arm that the others are compared with; as a contrast, every arm against it."""

SAYS_NOTHING_ALONE = {"weight", "model", "name", "from", "to", "over", "start", "min", "max", "learn"}
"""Last parts of paths that need their parent: ``kd.weight``, ``student.model``, ``kd.weight.to``."""

SHOWS_NOTHING = {"\u034f", "\u115f", "\u1160", "\u2800", "\u3164", "\uffa0"} | {
    chr(code) for code in range(0xFE00, 0xFE10)
}
"""Invisible characters that Unicode does not list among its blanks and formats."""

# Characters without width: soft hyphens, byte order marks, marks of direction, ... Joiners are part of the text between
# letters of some scripts and within emoji; beside an ASCII letter or at an end they have no meaning.
_INVISIBLE = re.compile(
    "[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)


def as_name(text: str) -> str:
    """Return a name without surrounding blanks and in Unicode's NFC, in which é is one character."""
    return unicodedata.normalize("NFC", text.strip())


def tidy_name(text: str) -> str:
    """Return `as_name` of another program's name, without invisible characters and double blanks.

    Halves of surrogate pairs, which tables cannot hold, become escapes.
    """
    composed = as_name(text.encode(errors="backslashreplace").decode())
    return " ".join(_INVISIBLE.sub("", composed).split())


def similar_names(names: Iterable[str]) -> list[list[str]]:
    """Return groups of names that differ only by capital letters, blanks or invisible characters."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        seen = (each for each in name if unicodedata.category(each)[0] not in "ZC" and each not in SHOWS_NOTHING)
        groups.setdefault(as_name("".join(seen).casefold()), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def similar_in_words(what: str, names: Iterable[str]) -> list[str]:
    """Return a sentence on each group of `similar_names`; ``what`` is the noun, such as ``arms``."""
    return [
        f"Capitals, blanks or invisible characters alone set these {what} apart: {'; '.join(map(repr, group))}."
        for group in similar_names(names)
    ]


def short_name(path: str, factors: Iterable[str], *, fewest: int = 1) -> str:
    """Return the shortest ending of a factor's path, of ``fewest`` parts or more, that no other factor has."""
    parts = path.split(".")
    saying = next((last for last, part in enumerate(reversed(parts)) if part not in SAYS_NOTHING_ALONE), 0)
    shortest = max(fewest, saying + 1)
    others = [f".{other}" for other in factors if other != path]
    for start in range(len(parts) - shortest, 0, -1):
        ending = ".".join(parts[start:])
        if not any(other.endswith(f".{ending}") for other in others):
            return ending
    return path


def arm_label(arm: str, context: str) -> str:
    """Return the name of an arm, after that of its context if it has one."""
    return f"{context}: {arm}" if context else arm
