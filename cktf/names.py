"""What arms and factors are called, alike in the ledger, on the command line and in reports."""

from collections.abc import Iterable

SAYS_NOTHING_ALONE = {"weight", "model", "name"}
"""Endings of paths that are called with their parent: ``kd.weight``, ``student.model``."""


def short_name(path: str, factors: Iterable[str], *, fewest: int = 1) -> str:
    """Return the shortest ending of a path, in whole parts, by which it is known among the factors.

    Args:
        path: Of the factor, in a trial's configuration.
        factors: All of the study.
        fewest: Parts that it has at least, where the path has so many.
    """
    parts = path.split(".")
    shortest = max(fewest, 2 if parts[-1] in SAYS_NOTHING_ALONE else 1)
    others = [f".{other}" for other in factors if other != path]
    for start in range(len(parts) - shortest, 0, -1):
        ending = ".".join(parts[start:])
        if not any(other.endswith(f".{ending}") for other in others):
            return ending
    return path


def arm_label(arm: str, context: str) -> str:
    """Return what an arm is called where it may stand beside those of other contexts."""
    return f"{context}: {arm}" if context else arm
