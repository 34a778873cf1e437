"""Levels of a factor: whether they are numbers or logarithmic, their names, and their order."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cktf.names import short_name


def factor_label(path: str, factors: Iterable[str]) -> str:
    """Return a factor's short name: the last two parts of its path, or more if another factor's path ends alike."""
    return short_name(path, factors, fewest=2)


def is_numeric(levels: "pd.Series[Any]") -> bool:
    """Return whether levels are numbers; booleans are not."""
    return pd.api.types.is_numeric_dtype(levels) and not pd.api.types.is_bool_dtype(levels)


def is_logarithmic(levels: NDArray[np.float64]) -> bool:
    """Return whether the steps between levels, ascending and distinct, vary less as ratios than as differences.

    False for fewer than three levels.
    """
    if len(levels) < 3 or levels[0] <= 0 or not math.isfinite(levels[-1]):
        return False
    levels = levels / levels[-1]  # a sum of the largest numbers would not be finite
    ratios, differences = np.diff(np.log(levels)), np.diff(levels)
    return bool(np.std(ratios) / np.mean(ratios) < np.std(differences) / np.mean(differences))


def in_groups(levels: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the name of each level, as an ordered categorical; missing where the level is.

    Numbers ascend; other levels stand in the order in which they are met.
    """
    if is_numeric(levels):
        numbers = np.sort(levels.dropna().astype("float64").unique())
        are_apart = len({f"{x:.6g}" for x in numbers}) == len(numbers)
        written = "{:.6g}".format if are_apart else "{:.15g}".format  # 20230101 and 20230102
        texts, order = levels.astype("float64").map(written, na_action="ignore"), [*map(written, numbers)]
    else:
        texts = levels.astype(str).where(levels.notna())
        order = list(texts.dropna())
    return texts.astype(pd.CategoricalDtype(list(dict.fromkeys(order)), ordered=True))


def in_level_order(rows: pd.DataFrame, trials: pd.DataFrame, factors: Iterable[str]) -> pd.DataFrame:
    """Return rows sorted by the levels of the arms in ``arm_id``; contexts keep their order."""
    arms = trials.drop_duplicates("arm_id").set_index("arm_id")
    columns = [name for factor in factors if (name := f"param.{factor}") in arms]
    keys = pd.DataFrame({name: in_groups(arms[name]).cat.codes for name in columns}, index=arms.index)
    keys = keys.reindex(rows["arm_id"]).set_index(rows.index)
    keys.insert(0, "context", pd.factorize(rows["context"])[0])
    return rows.loc[keys.sort_values([*keys], kind="stable").index].reset_index(drop=True)
