"""Columns of the tables of statistics and their types: a name has one type in all of them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

KINDS = {
    "str": """
        context arm_id arm metric effect_metric factor level off verdict test missing reason kind contrast against
        against_id alternative aliases factor_reason model method measure size default
        omitted
        """,
    "int64": """
        n n_planned n_failed n_pairs n_missing n_lost_by_arm n_lost_by_baseline n_seeds n_contexts n_in_noise n_looks
        n_arm n_baseline n_teachers n_above n_blocks n_search n_complete n_pruned n_family factor_df step
        """,
    "bool": "is_baseline against_baseline is_best is_among_best is_on_front",
}
"""Type -> the names of its columns; all other columns are floats."""

TYPES = {name: kind for kind, names in KINDS.items() for name in names.split()}


def columns(names: str) -> dict[str, str]:
    """Return the columns of a table, named in one text, with their types."""
    return {name: TYPES.get(name, "float64") for name in names.split()}


def typed(rows: list[dict[str, Any]] | pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return rows as a table with these columns, filled with missing values if rows lack them; rows may be empty."""
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)
