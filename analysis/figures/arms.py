"""Arms in figures: which are shown, where there are more than anybody can look at, and what their panels are called."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.theme import data
from cktf.names import arm_label

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


MAX_PANELS = 12
"""Arms that have a panel of their own in one figure."""

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


def panels_of(titles: list[str]) -> "alt.Facet":
    """Return the channel that lays out panels in this order, each under its title."""
    import altair as alt

    header = alt.Header(labelExpr=IN_LINES)
    return alt.Facet("panel:N", title=None, sort=titles, header=header)


def in_panels(
    layers: "list[alt.Chart]", rows: list[dict[str, Any]], titles: list[str], *, shares_axis: bool
) -> "alt.FacetChart":
    """Return layers drawn once for each panel, side by side.

    Args:
        layers: Without data of their own.
        rows: What is drawn; ``panel`` is the title of the panel that a row belongs to.
        titles: Of the panels, in order.
        shares_axis: Whether all panels have one vertical scale.
    """
    import altair as alt

    panels: alt.FacetChart = (
        alt.layer(*layers, data=data(rows))
        .properties(width=180, height=130)
        .facet(facet=panels_of(titles), columns=3)
        .resolve_scale(y="shared" if shares_axis else "independent")
        # Else a column's axis stands under the place where its last panel might be.
        .resolve_axis(x="independent")
    )
    return panels


def largest_effects(effects: "pd.DataFrame", most: int) -> "pd.DataFrame":
    """Return the arms with the largest effects, in the order of the table of effects."""
    largest = effects["effect"].abs().fillna(0.0).nlargest(most).index
    return effects.loc[sorted(largest)]


def left_out(drawn: int, total: int) -> str:
    """Return the sentence that says which arms are drawn; nothing where all are."""
    return f" Only the {drawn} arms with the largest effects are drawn, of {total}." if drawn < total else ""


LONG_NAME = 36
"""Letters of an arm's name that a figure has room for."""


def arm_in_search(arm: "pd.Series[Any]") -> str:
    """Return what a confirmed arm is called where its full name is too long: its rank in the search."""
    if len(arm["arm"]) <= LONG_NAME or np.isnan(arm["rank"]):
        return str(arm["arm"])
    return f"rank {arm['rank']:.0f} of the search"
