"""Fewer marks where there are more than can be told apart, in a figure that is written in seconds."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

MAX_MARKS = 1000
"""Arms that are drawn one by one in a figure."""


def thinned(arms: "pd.DataFrame", keep: "pd.Series[bool] | None" = None) -> "pd.DataFrame":
    """Return at most about `MAX_MARKS` rows, in their order: those to be kept, and the others evenly.

    Args:
        arms: A row for each mark.
        keep: Which are drawn in any case; none of them.
    """
    if len(arms) <= MAX_MARKS:
        return arms
    is_kept = np.zeros(len(arms), np.bool_) if keep is None else keep.to_numpy(np.bool_, copy=True)
    others = np.flatnonzero(~is_kept)
    room = max(MAX_MARKS - int(is_kept.sum()), 0)
    is_kept[others[np.linspace(0, len(others) - 1, min(room, len(others))).round().astype(np.int64)]] = True
    return arms[is_kept]


def thinned_text(shown: int, there: int, kept: str = "") -> str:
    """Return a sentence for a caption that says how many are drawn; empty where all are."""
    if shown >= there:
        return ""
    which = f": {kept}, and an even sample of the others" if kept else ", evenly spaced in the order of planning"
    return f" {shown} of {there} are drawn{which}."
