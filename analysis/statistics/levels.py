"""Levels of a factor as figures show them: one by one, or in groups of about equally many arms."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cktf.names import short_name


def factor_label(path: str, factors: Iterable[str]) -> str:
    """Return a factor as people read it: the last two parts of its path, or more where another ends alike."""
    return short_name(path, factors, fewest=2)


def is_numeric(levels: "pd.Series[Any]") -> bool:
    """Return whether levels are numbers, and not truth values, which are numbers to Python."""
    return pd.api.types.is_numeric_dtype(levels) and not pd.api.types.is_bool_dtype(levels)


def is_logarithmic(levels: "NDArray[np.float64]") -> bool:
    """Return whether levels, all different, vary less by their ratios than by their differences.

    Args:
        levels: (levels,), ascending; of fewer than three nothing can be told.
    """
    if len(levels) < 3 or levels[0] <= 0 or not math.isfinite(levels[-1]):
        return False
    levels = levels / levels[-1]  # a sum of the largest numbers would not be finite
    ratios, differences = np.diff(np.log(levels)), np.diff(levels)
    return bool(np.std(ratios) / np.mean(ratios) < np.std(differences) / np.mean(differences))


def in_groups(levels: "pd.Series[Any]", most: int | None = None) -> "pd.Series[Any]":
    """Return the name of each level's group, as an ordered categorical; missing where the level is.

    Every level is a group of its own, but those of a numeric factor that has more than ``most`` (None: any number) are
    parted by their quantiles. Numbers ascend; other levels stand in the order in which they are met.
    """
    if not is_numeric(levels):
        texts = levels.astype(str).where(levels.notna())
        return texts.astype(pd.CategoricalDtype(list(dict.fromkeys(texts.dropna())), ordered=True))
    levels = levels.astype("float64")
    if most is not None and levels.nunique() > most:
        group = pd.qcut(levels, most, labels=False, duplicates="drop")
    else:
        group = levels
    ends = levels.groupby(group).agg(["min", "max"])
    names = {key: f"{low:.6g}" if low == high else f"{low:.3g} to {high:.3g}" for key, low, high in ends.itertuples()}
    # Two groups may look alike in so many digits; they are then one.
    return group.map(names).astype(pd.CategoricalDtype(list(dict.fromkeys(names.values())), ordered=True))
