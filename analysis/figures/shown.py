"""The arms and factors that figures show if there are too many, and the layout of panels."""

import textwrap

import altair as alt
import numpy as np
import pandas as pd

from analysis.figures.theme import Rows, data
from analysis.statistics.over_teachers import are_crossed
from analysis.study_tables import StudyTables
from cktf.names import arm_label

MAX_PANELS = 12
"""Largest number of panels, each of one arm or factor, in a figure."""

MAX_MARKS = 1000
"""Largest number of arms that are drawn one by one; more can neither be told apart nor be written in seconds."""

TITLE_WIDTH = 34
"""Characters of a line above a panel, or of an arm's name beside its row."""

IN_LINES = "split(datum.label, '\\n')"
"""Vega expression that breaks a label into its lines."""


def panel_title(arm: str, context: str, n: int) -> str:
    """Return the title of an arm's panel: its name and n, in lines."""
    counted = f"(n = {n})"
    *lines, last = textwrap.wrap(arm_label(arm, context), TITLE_WIDTH) or [""]
    end = [f"{last}  {counted}"] if len(last) + len(counted) < TITLE_WIDTH else [last, counted]
    return "\n".join([*lines, *end])


def panels_in(rows: Rows) -> list[str]:
    """Return the titles of the panels that rows belong to, in order."""
    return list(dict.fromkeys(row["panel"] for row in rows))


def panels_of(rows: Rows) -> alt.Facet:
    """Return the channel that lays out panels in the order of their rows, each under its title."""
    return alt.Facet("panel:N", title=None, sort=panels_in(rows), header=alt.Header(labelExpr=IN_LINES))


def in_panels(layers: list[alt.Chart], rows: Rows, *, shares_axis: bool) -> alt.FacetChart:
    """Return layers, which have no data of their own, drawn once for each ``panel`` of the rows, side by side.

    If each panel has an axis of its own, its labels must be flush: one at the top would push up the panel's title.
    """
    # Fixed gaps with room for titles and ticks, so that a long title shifts no panel against its neighbours.
    lines = max(title.count("\n") + 1 for title in panels_in(rows))
    gaps = {"row": 60 + 15 * lines, "column": 24 if shares_axis else 70}
    panels: alt.FacetChart = (
        alt.layer(*layers, data=data(rows))
        .properties(width=180, height=130)
        .facet(facet=panels_of(rows), columns=3, bounds="flush", spacing=gaps)
        .resolve_scale(y="shared" if shares_axis else "independent")
        # Otherwise the axis of a column that lacks its last panel would stand below the empty place.
        .resolve_axis(x="independent")
    )
    return panels


def largest_effects(effects: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the arms with the largest effects, in the order of the table of effects."""
    largest = effects["effect"].abs().fillna(0.0).nlargest(most).index
    return effects.loc[sorted(largest)]


def left_out(drawn: int, total: int) -> str:
    """Return the caption's sentence on which arms are drawn; empty where all are."""
    return f" Only the {drawn} arms with the largest effects are drawn, of {total}." if drawn < total else ""


def trials_text(results: StudyTables) -> str:
    """Return what n counts where it counts trials: with several teachers at a seed, their trials are one."""
    return "the trials" + (", those of all teachers at a seed as one" if are_crossed(results.trials) else "")


def by_seed(epochs: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return these columns of epochs once for each arm, seed and epoch: the mean over several teachers at a seed."""
    return epochs.groupby(["arm_id", "seed", "epoch"], sort=False, observed=True)[columns].mean().reset_index()


def thinned(arms: pd.DataFrame, keep: "pd.Series[bool] | None" = None) -> pd.DataFrame:
    """Return at most `MAX_MARKS` evenly spaced rows, and besides those of ``keep``."""
    is_drawn = np.arange(len(arms)) % max(1, -(-len(arms) // MAX_MARKS)) == 0
    drawn: pd.DataFrame = arms[is_drawn if keep is None else is_drawn | keep.to_numpy(np.bool_)]
    return drawn


def thinned_text(shown: int, there: int, kept: str = "") -> str:
    """Return a sentence for a caption that says how many are drawn; empty where all are."""
    return f" {shown} of {there} are drawn, an even sample{kept and f' and {kept}'}." if shown < there else ""


def searched_factors(results: StudyTables) -> list[str]:
    """Return the factors that any arm of a search has; the most important by PED-ANOVA first, if that is known."""
    found = results.importance.dropna(subset="importance")
    is_of_metric = found["metric"] == results.facts.study.metric
    important = found.loc[is_of_metric & (found["method"] == "ped-anova"), "factor"]
    names = dict.fromkeys([*important, *results.facts.study.factors])
    return [name for name in names if f"param.{name}" in results.searched]
