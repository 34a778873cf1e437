"""Slices of a search: the score of every arm against each factor, one panel for each factor."""

from dataclasses import dataclass

import altair as alt

from analysis.figures.shown import MAX_PANELS, searched_factors, thinned, thinned_text
from analysis.figures.theme import STATUS_MARKS, Chart, Record, Rows, by_status, data, level_scale, numbers, rows_of
from analysis.statistics.levels import factor_label, is_numeric
from analysis.study_tables import StudyTables
from analysis.wording import quantity
from cktf.rows import Status

HEIGHT = 130

STRIPS = {Status.PRUNED: HEIGHT - 18, Status.FAILED: HEIGHT - 6}
"""Vertical place of arms without a final score, in pixels from the top."""


@dataclass(frozen=True)
class Slice:
    """The panel of one factor.

    Attributes:
        title: Title of the axis: the factor, and how many arms have it.
        is_log: Whether the axis is logarithmic.
        choices: Sorted levels of a factor that is not numeric; empty for a numeric one.
        rows: ``level``, ``score`` (only of complete arms), ``status``, ``number`` (in order of planning), ``arm``.
    """

    title: str
    is_log: bool
    choices: list[str]
    rows: Rows


@dataclass(frozen=True, kw_only=True)
class Slices(Record):
    """Record of slices, in panels.

    Attributes:
        panels: Panels, the most important factor first.
        statuses: Statuses that occur.
    """

    panels: list[Slice]
    statuses: list[str]


def record(results: StudyTables) -> Slices | None:
    """Return the slices to be drawn; None where a search has fewer than three complete arms, or no factors."""
    study, arms = results.facts.study, results.searched
    counts = arms["status"].value_counts()
    if counts.get(Status.COMPLETE, 0) < 3:
        return None
    drawn, panels = thinned(arms), []
    for factor in searched_factors(results)[:MAX_PANELS]:
        levels = arms[f"param.{factor}"].dropna()
        of_kind = float if is_numeric(levels) else str
        shown = drawn.dropna(subset=f"param.{factor}")
        shown = shown.assign(
            level=shown[f"param.{factor}"].map(of_kind), score=shown["score"].where(shown["status"] == Status.COMPLETE)
        )
        title = f"{factor_label(factor, study.factors)}  (n = {len(levels)})"
        choices = [] if of_kind is float else sorted({str(level) for level in levels})
        rows = rows_of(shown[["level", "score", "status", "number", "arm"]])
        panels.append(Slice(title, factor in study.log_factors, choices, rows))
    if not any(panel.rows for panel in panels):
        return None
    statuses = [str(status) for status in STATUS_MARKS if counts.get(status, 0)]
    without = " and ".join(f"{counts[status]} {status}" for status in statuses if status != Status.COMPLETE)
    caption = (
        f"Each of the {counts[Status.COMPLETE]} complete arms of the search by its {quantity(study.metric).name} and "
        "its level of each factor; n counts the arms that have the factor. The other factors are not held fixed."
    )
    if without:
        is_one = counts[statuses].sum() - counts[Status.COMPLETE] == 1
        stand = "arm stands below, for it has" if is_one else "arms stand below, for they have"
        caption += f" The {without} {stand} no final score."
    caption += thinned_text(len(drawn), len(arms))
    if len(study.factors) > len(panels) == MAX_PANELS:
        caption += f" Only the {MAX_PANELS} most important factors are drawn."
    return Slices(axis=quantity(study.metric).label, panels=panels, statuses=statuses, caption=caption)


def chart(slices: Slices) -> alt.ConcatChart:
    """Return the drawing."""
    scores = [row["score"] for panel in slices.panels for row in panel.rows if row["score"] is not None]
    spread = (max(scores) - min(scores)) or 1.0
    # Room below the scores for those arms that have none.
    below = 0.45 * spread if len(slices.statuses) > 1 else 0.05 * spread
    is_below = f"datum.value < {min(scores) - 0.05 * spread}"
    seen = alt.condition(is_below, alt.value(0), alt.value(1))
    axis = alt.Axis(tickCount=4, labelExpr=f"{is_below} ? '' : datum.label", tickOpacity=seen, gridOpacity=seen)
    scale = alt.Scale(domain=[min(scores) - below, max(scores) + 0.05 * spread], nice=False)
    y = alt.Y("score:Q", title=slices.axis, scale=scale, axis=axis)
    panels: alt.ConcatChart = alt.concat(*(_drawn(panel, y, slices.statuses) for panel in slices.panels), columns=3)
    return panels


def _drawn(panel: Slice, y: alt.Y, statuses: list[str]) -> Chart:
    if panel.choices:
        names, apart = alt.Axis(labelAngle=0, ticks=False), alt.Scale(paddingInner=0.4)
        x = alt.X("level:N", title=panel.title, sort=panel.choices, axis=names, scale=apart)
    else:
        ticks = alt.Axis(format="~g", grid=False, tickCount=4, labelOverlap="greedy", labelSeparation=8)
        scale = level_scale(is_log=panel.is_log, padding=8)
        x = alt.X("level:Q", title=panel.title, scale=scale, axis=ticks)
    # Arms of one choice are spread out in the order of planning; their place has no other meaning.
    spread = {"xOffset": alt.XOffset("number:Q")} if panel.choices else {}
    layers = [
        alt.Chart(data([row for row in panel.rows if row["status"] == status]))
        .mark_point(size=30, strokeWidth=1.5, opacity=0.8)
        .encode(
            x=x,
            y=y if status == Status.COMPLETE else alt.value(STRIPS[Status(status)]),
            tooltip=["number:Q", "arm:N", "status:N", *numbers("score")],
            **by_status(statuses),
            **spread,
        )
        for status in statuses
    ]
    return alt.layer(*layers).properties(width=150, height=HEIGHT)
