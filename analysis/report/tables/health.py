"""Which measures of the distillation's health moved most in each arm."""

from typing import TYPE_CHECKING

from analysis.report.table import Rows, Table
from analysis.results import Results
from analysis.statistics.health import PREFIX, moved_most, number_label
from analysis.wording import LOSS_DECIMALS, effect_text, number_text, p_text
from cktf.names import arm_label

if TYPE_CHECKING:
    import pandas as pd


MOST_MOVED = 3
"""Measures that are listed for each arm."""


def tables(results: Results) -> list[Table]:
    """Return the table; none where no measure differs from the baseline's."""
    moved = moved_most(results.health, MOST_MOVED)
    if moved.empty:
        return []
    remark = (
        f"Of each arm the {MOST_MOVED} numbers of the distillation's health (see the figure) whose difference from "
        "the baseline, paired by seed, is largest relative to its standard error, where they were measured last. "
        f"Their intervals are Student's, those of the selected: {_levels(moved)}, so that of those shown 5% "
        "miss on average (false-coverage rate over an arm's numbers, Benjamini and Yekutieli 2005). p (Holm) is "
        f"adjusted over all {len(results.health)} differences of all arms: it says which number has moved."
    )
    return [Table("What else moved", _rows(moved), remark)]


def _rows(moved: "pd.DataFrame") -> Rows:
    """Return what has moved most in each arm."""
    rows = [["arm", "number", "pairs", "baseline", "mean", "difference [interval]", "p (Holm)"]]
    for _, found in moved.iterrows():
        means = [number_text(found[name], LOSS_DECIMALS) for name in ("baseline_mean", "mean")]
        named = arm_label(found["arm"], found["context"])
        difference = effect_text(found, LOSS_DECIMALS)
        label = number_label(PREFIX + found["measure"])
        rows.append([named, label, str(found["n_pairs"]), *means, difference, p_text(found["p_holm"])])
    return rows


def _levels(moved: "pd.DataFrame") -> str:
    """Return the confidence of the intervals of what has moved most, in words."""
    levels = sorted({f"{100 * confidence:.4g}%" for confidence in moved["confidence"]})
    return f"{', '.join(levels)} each" if len(levels) < 4 else f"{levels[0]} to {levels[-1]}"
