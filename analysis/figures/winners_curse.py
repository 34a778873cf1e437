"""The winner's curse: the best arms' search scores beside their means at fresh seeds."""

from functools import partial
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analysis.figures.theme import BLUE, GREY, WIDTH, Chart, Record, by_kind, data, numbers, rows_of
from analysis.searches.confirmed import luck_text
from analysis.study_tables import StudyTables
from analysis.wording import capitalised, quantity, signed_text

SEARCH, FRESH = "search score", "mean at fresh seeds"

LONG_NAME = 36
"""Largest number of characters of an arm's name that fits."""


def record(results: StudyTables) -> Record | None:
    """Return the scores to be drawn; None where no arm of a search has a score at fresh seeds, too.

    Each row has ``label`` (an arm's name, and how many fresh seeds), ``arm``, ``mean``, ``low``, ``high`` and
    ``search`` (None where there is none).
    """
    found = results.confirmed.dropna(subset="mean")
    chosen = found[~found["is_baseline"]].dropna(subset="search_score")
    if chosen.empty:
        return None
    study = results.facts.study
    measured = quantity(study.metric)
    labels = [f"{_name(arm)}  (n = {arm['n']})" for _, arm in found.iterrows()]
    cut = {name: found[name].map(measured.cut) for name in ("low", "high")}
    shown = found.assign(label=labels, search=found["search_score"], **cut)
    interval = ", with the 95% interval of their mean" if found["low"].notna().any() else ""
    seeds = int(found["n_search"].max())
    caption = (
        f"{capitalised(measured.name)} of the confirmed arms: in the search, at {seeds} "
        f"seed{'s' * (seeds != 1)} which all its arms share, and at n fresh seeds{interval}. The baseline is "
        "there in any case."
    )
    if chosen["selection_luck"].notna().any():
        unit = f" {measured.difference_unit}".rstrip()
        luck, above = (
            signed_text(chosen[name].mean(), measured.decimals) for name in ("selection_luck", "above_fresh")
        )
        caption += (
            f" Luck of the selection, on average over the arms that were chosen by their search scores: {luck}{unit}, "
            f"of {above}{unit} by which the scores are above the fresh means. {luck_text(study)}"
        )
    caption += " The table of confirmed arms has their full names."
    rows = rows_of(shown[["label", "arm", "mean", "low", "high", "search"]])
    return Record(axis=measured.label, rows=rows, caption=caption)


def _name(arm: "pd.Series[Any]") -> str:
    """Return the name of a confirmed arm or, where it is too long, its rank in the search."""
    if len(arm["arm"]) <= LONG_NAME or np.isnan(arm["rank"]):
        return str(arm["arm"])
    return f"rank {arm['rank']:.0f} of the search"


def chart(curse: Record) -> Chart:
    """Return the drawing."""
    labels = [row["label"] for row in curse.rows]
    names = alt.Axis(ticks=False, domain=False)
    y = alt.Y("label:N", title=None, sort=labels, scale=alt.Scale(domain=labels), axis=names)
    looks = by_kind("kind", {SEARCH: (GREY, "diamond"), FRESH: (BLUE, "circle")}, "color shape")
    tooltip = [alt.Tooltip("arm:N"), *numbers("search", "mean", "low", "high")]
    base = alt.Chart(data(curse.rows)).encode(y=y, tooltip=tooltip)
    x = partial(alt.X, title=curse.axis, scale=alt.Scale(zero=False, padding=14), axis=alt.Axis(tickCount=6))
    interval = base.mark_rule(color=BLUE, strokeWidth=2).encode(x=x("low:Q"), x2="high:Q")
    points = [
        base.transform_calculate(kind=f"'{kind}'")
        .mark_point(size=90, filled=True, opacity=1)
        .encode(x=x(f"{column}:Q"), **looks)
        for kind, column in ((SEARCH, "search"), (FRESH, "mean"))
    ]
    return alt.layer(interval, *points).properties(width=WIDTH, height=32 * len(labels))
