"""The other names of an arm: of arms that train alike, only one is trained, and it stands for all of them."""

import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from analysis.ledger.columns import typed_column

COLUMN = "aliases"
"""Column of trials: a JSON list of the arm's other names, each with the levels that it sets; empty if it has none."""


def in_column(aliases: list[dict[str, Any]]) -> str:
    """Return other names as a cell of the column."""
    return json.dumps(aliases, ensure_ascii=False) if aliases else ""


def other_names(trials: pd.DataFrame) -> dict[str, list[str]]:
    """Return the other names of each arm that has some, by its ``arm_id``."""
    if COLUMN not in trials:
        return {}
    named = trials[trials[COLUMN].fillna("") != ""].drop_duplicates("arm_id")
    return {
        str(arm_id): [alias["arm"] for alias in json.loads(text)]
        for arm_id, text in zip(named["arm_id"], named[COLUMN], strict=True)
    }


def with_other_names(trials: pd.DataFrame, called: Callable[[str], str]) -> pd.DataFrame:
    """Return trials whose arms' other names are what ``called`` makes of them."""
    if COLUMN not in trials:
        return trials
    new = {
        text: in_column([alias | {"arm": called(alias["arm"])} for alias in json.loads(text or "[]")])
        for text in trials[COLUMN].fillna("").unique()
    }
    return trials.assign(**{COLUMN: trials[COLUMN].fillna("").map(new)})


def under_every_name(arms: pd.DataFrame) -> pd.DataFrame:
    """Return one trial of each arm, and after them a copy for each other name of an arm, with the levels that it sets.

    The copies are True in a new column ``is_other_name``.
    """
    parts = [arms.assign(is_other_name=False)]
    texts = arms[COLUMN].fillna("") if COLUMN in arms else [""] * len(arms)
    for position, text in enumerate(texts):
        for alias in json.loads(text) if text else ():
            part = arms.iloc[[position]].assign(is_other_name=True)
            for factor, level in alias["params"].items():
                column = arms[f"param.{factor}"]
                value = level if column.dtype.kind in "biuf" else typed_column([level, ""]).to_pylist()[0]
                part[f"param.{factor}"] = pd.Series([value], part.index).astype(column.dtype)
            parts.append(part)
    return pd.concat(parts)
