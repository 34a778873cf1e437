"""Heat map of two factors of a grid: the mean score at each of their levels together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.shown import panels_in, panels_of, trials_text
from analysis.figures.theme import WIDTH, Chart, Rows, data, rows_of
from analysis.ledger.other_names import under_every_name
from analysis.statistics.any_table import complete, reported
from analysis.statistics.interactions import factorial_cells
from analysis.statistics.levels import factor_label, in_groups, is_numeric
from analysis.study_tables import StudyTables
from analysis.wording import brief, number_text, quantity

PALE, DEEP = "#eef4fa", "#1d5c96"
"""Ends of the scale of cells: one hue, so that grey paper keeps the order."""

DARK_TEXT, LIGHT_TEXT = "#000000", "#ffffff"
SWITCH = 0.8
"""Place on the scale from which light text is easier to read than dark."""


@dataclass(frozen=True)
class HeatMap:
    """Record of a heat map.

    Attributes:
        measure: Name of the quantity in the cells, with its unit.
        axes: Titles of the horizontal and the vertical axis: the two factors.
        columns: Groups of levels along the horizontal axis, in order.
        rows: Groups of levels along the vertical axis, from the top; numbers grow upwards.
        cells: ``panel``, ``column``, ``row``, ``score`` (mean), ``n`` (trials), ``text``, and ``shade``, the place of
            the score between the panel's worst, 0, and its best, 1.
        caption: Text below the figure.
    """

    measure: str
    axes: tuple[str, str]
    columns: list[str]
    rows: list[str]
    cells: Rows
    caption: str


def record(results: StudyTables, factors: Sequence[str] = ()) -> HeatMap | None:
    """Return the heat map of two factors of a grid, by default its first two; None unless both have several levels."""
    study = results.facts.study
    arms = _designed(results)
    varied = [name for name in factors or study.factors if f"param.{name}" in arms]
    varied = [name for name in varied if arms[f"param.{name}"].nunique() > 1][:2]
    if arms.empty or len(varied) < 2:
        return None
    # Numbers run along the horizontal axis, words down the vertical one.
    across, down = sorted(varied, key=lambda name: not is_numeric(arms[f"param.{name}"]))
    arms = arms.assign(column=in_groups(arms[f"param.{across}"]), row=in_groups(arms[f"param.{down}"]))
    rows = list(arms["row"].cat.categories)
    measured = quantity(study.report_metric)
    place = ["context", "row", "column"]
    score = arms.groupby(place, observed=True, sort=False)["score"].mean()
    # An arm that has several names counts its trials once.
    n = arms.drop_duplicates([*place, "arm_id"]).groupby(place, observed=True, sort=False)["n"].sum()
    found = score.to_frame().assign(n=n).dropna(subset="score").reset_index()
    by_panel = found.groupby("context", sort=False)["score"]
    low, high = by_panel.transform("min"), by_panel.transform("max")
    share = (found["score"] - low) / (high - low).where(high > low, 1)
    cells = found.rename(columns={"context": "panel"}).assign(
        score=[brief(score) for score in found["score"]],
        text=[number_text(score, measured.decimals) for score in found["score"]],
        shade=[round(float(shade), 4) for shade in (share if study.maximise else 1 - share)],
    )
    others = ", ".join(factor_label(name, study.factors) for name in study.factors if name not in varied)
    averaged = f"Every combination of levels counts once, whatever its level of {others}."
    return HeatMap(
        measure=f"{measured.label}, mean",
        axes=(factor_label(across, study.factors), factor_label(down, study.factors)),
        columns=list(arms["column"].cat.categories),
        rows=rows[::-1] if is_numeric(arms[f"param.{down}"]) else rows,
        cells=rows_of(cells),
        caption=f"Mean {measured.name}; darker is better; n counts {trials_text(results)}. "
        + (averaged if others else "Every cell is one arm.")
        + (" Cells of arms that train alike show the same trials." if arms["is_other_name"].any() else "")
        + (" Each context has its own scale." if found["context"].nunique() > 1 else ""),
    )


def chart(heat_map: HeatMap) -> Chart:
    """Return the drawing."""
    across, down = heat_map.axes
    gap = alt.Scale(paddingInner=0.03, paddingOuter=0)
    bare: dict[str, Any] = {"ticks": False, "domain": False}
    base = alt.Chart().encode(
        x=alt.X("column:N", title=across, sort=heat_map.columns, scale=gap, axis=alt.Axis(labelAngle=0, **bare)),
        y=alt.Y("row:N", title=down, sort=heat_map.rows, scale=gap, axis=alt.Axis(**bare)),
        tooltip=[
            alt.Tooltip("row:N", title=down),
            alt.Tooltip("column:N", title=across),
            alt.Tooltip("text:N", title="mean"),
            "n:Q",
        ],
    )
    scale = alt.Scale(domain=[0, 1], range=[PALE, DEEP], interpolate="rgb")
    tiles = base.mark_rect().encode(color=alt.Color("shade:Q", legend=None, scale=scale))
    ink = alt.condition(f"datum.shade > {SWITCH}", alt.value(LIGHT_TEXT), alt.value(DARK_TEXT))
    mean = base.mark_text(dy=-7, fontSize=13).encode(text="text:N", color=ink)
    counted = base.transform_calculate(counted="'n = ' + datum.n").mark_text(dy=9, fontSize=11)
    layers = alt.layer(tiles, mean, counted.encode(text="counted:N", color=ink), data=data(heat_map.cells))
    has_panels = len(panels_in(heat_map.cells)) > 1
    width = 60 * len(heat_map.columns) if has_panels else WIDTH
    drawn: Chart = layers.properties(width=width, height=44 * len(heat_map.rows))
    if has_panels:
        drawn = drawn.facet(facet=panels_of(heat_map.cells), columns=2)
    return drawn.properties(title=alt.Title(heat_map.measure, anchor="start"))


def _designed(results: StudyTables) -> pd.DataFrame:
    """Return the arms of a grid with their levels, their mean ``score`` and ``n``; empty for other designs."""
    study = results.facts.study
    pool = reported(results.trials)
    if study.design != "grid":
        return pool.head(0)
    in_grid = [
        arm_id
        for _, of_context in pool.groupby("context", sort=False)
        for arm_id in factorial_cells(of_context, study.factors)[0].values()
    ]
    trials = complete(pool[pool["arm_id"].isin(in_grid)], study.report_metric)
    by_arm = trials.groupby("arm_id", sort=False)[study.report_metric]
    scored = trials.assign(score=by_arm.transform("mean"), n=by_arm.transform("count"))
    return under_every_name(scored.drop_duplicates("arm_id"))
