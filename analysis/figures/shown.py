"""Which arms and factors figures show, where there are more than anybody can look at, and how they are named."""

import textwrap

import altair as alt
import numpy as np
import pandas as pd

from analysis.figures.theme import Rows, data
from analysis.study_tables import StudyTables
from cktf.names import arm_label

MAX_PANELS = 12
"""Arms or factors that have a panel of their own in one figure."""

MAX_MARKS = 1000
"""Arms that are drawn one by one in a figure; more can neither be told apart nor be written in seconds."""

TITLE_WIDTH = 34
"""Characters of a line above a panel, or of an arm's name beside its row."""

IN_LINES = "split(datum.label, '\\n')"
"""Expression that shows a label of several lines as such."""


def panel_title(arm: str, context: str, n: int) -> str:
    """Return what stands above an arm's panel, in lines."""
    counted = f"(n = {n})"
    *lines, last = textwrap.wrap(arm_label(arm, context), TITLE_WIDTH) or [""]
    end = [f"{last}  {counted}"] if len(last) + len(counted) < TITLE_WIDTH else [last, counted]
    return "\n".join([*lines, *end])


def panels_of(titles: list[str]) -> alt.Facet:
    """Return the channel that lays out panels in this order, each under its title."""
    return alt.Facet("panel:N", title=None, sort=titles, header=alt.Header(labelExpr=IN_LINES))


def in_panels(layers: list[alt.Chart], rows: Rows, titles: list[str], *, shares_axis: bool) -> alt.FacetChart:
    """Return layers drawn once for each panel, side by side.

    Args:
        layers: Without data of their own.
        rows: What is drawn; ``panel`` is the title of the panel that a row belongs to.
        titles: Of the panels, in order.
        shares_axis: Whether all panels have one vertical scale.
    """
    panels: alt.FacetChart = (
        alt.layer(*layers, data=data(rows))
        .properties(width=180, height=130)
        .facet(facet=panels_of(titles), columns=3)
        .resolve_scale(y="shared" if shares_axis else "independent")
        # Else a column's axis stands under the place where its last panel might be.
        .resolve_axis(x="independent")
    )
    return panels


def largest_effects(effects: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the arms with the largest effects, in the order of the table of effects."""
    largest = effects["effect"].abs().fillna(0.0).nlargest(most).index
    return effects.loc[sorted(largest)]


def left_out(drawn: int, total: int) -> str:
    """Return the sentence that says which arms are drawn; nothing where all are."""
    return f" Only the {drawn} arms with the largest effects are drawn, of {total}." if drawn < total else ""


def thinned(arms: pd.DataFrame, keep: "pd.Series[bool] | None" = None) -> pd.DataFrame:
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


def factor_order(results: StudyTables) -> list[str]:
    """Return the factors of a study: those of a search by PED-ANOVA's importance, where there is one."""
    found = results.importance.dropna(subset="importance")
    important = found.loc[found["method"] == "ped-anova", "factor"]
    return list(dict.fromkeys([*important, *results.facts.study.factors]))


def searched_factors(results: StudyTables) -> list[str]:
    """Return the factors that any arm of a search has, in the order of `factor_order`."""
    return [name for name in factor_order(results) if f"param.{name}" in results.searched]
