"""Slices of a search: the score of every arm against each factor, one panel a factor."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.figures.factors import searched_factors
from analysis.figures.theme import STATUS_MARKS, by_status, data, level_scale
from analysis.figures.thinning import thinned, thinned_text
from analysis.statistics.levels import factor_label, is_numeric
from analysis.study_tables import StudyTables
from analysis.wording import quantity
from cktf.rows import Status

if TYPE_CHECKING:
    import altair as alt

MAX_PANELS = 12
"""Factors that are drawn, the most important ones."""

HEIGHT = 130
"""Height of a panel, in pixels."""

STRIPS = {Status.PRUNED: HEIGHT - 18, Status.FAILED: HEIGHT - 6}
"""Where arms without a final score stand, in pixels from the top."""


@dataclass(frozen=True)
class Slice:
    """One factor.

    Attributes:
        title: Of its axis: the factor, and how many arms have it.
        is_log: Whether the axis is logarithmic.
        choices: Levels of a factor that is no number, in order; none of one that is.
        rows: ``level``, ``score`` (None but of a complete arm), ``status``, ``number`` (in order of planning), ``arm``.
    """

    title: str
    is_log: bool
    choices: list[str]
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Slices:
    """What is drawn.

    Attributes:
        axis: Title of the vertical axes, with its unit.
        panels: In order, the most important factor first.
        statuses: Those that occur.
        caption: What to read.
    """

    axis: str
    panels: list[Slice]
    statuses: list[str]
    caption: str


def record(results: StudyTables) -> Slices | None:
    """Return the slices to be drawn; None where a search has fewer than three complete arms, or no factors."""
    study, arms = results.facts.study, results.searched
    counts = arms["status"].value_counts()
    if counts.get(Status.COMPLETE, 0) < 3:
        return None
    drawn, panels = thinned(arms), []
    for factor in searched_factors(results)[:MAX_PANELS]:
        levels = arms[f"param.{factor}"].dropna()
        is_number = is_numeric(levels)
        shown = drawn.dropna(subset=f"param.{factor}")
        rows = [
            {
                "level": float(level) if is_number else str(level),
                "score": float(score) if status == Status.COMPLETE else None,
                **{"status": status, "number": int(number), "arm": arm},
            }
            for level, score, status, number, arm in zip(
                *(shown[name] for name in (f"param.{factor}", "score", "status", "number", "arm")),
                strict=True,
            )
        ]
        choices = [] if is_number else sorted({str(level) for level in levels})
        title = f"{factor_label(factor, study.factors)}  (n = {len(levels)})"
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
        caption += f" The {without} arms stand below, for they have no final score."
    caption += thinned_text(len(drawn), len(arms))
    if len(study.factors) > len(panels) == MAX_PANELS:
        caption += f" Only the {MAX_PANELS} most important factors are drawn."
    return Slices(quantity(study.metric).label, panels, statuses, caption)


def chart(slices: Slices) -> "alt.ConcatChart":
    """Return the drawing."""
    import altair as alt

    scores = [row["score"] for panel in slices.panels for row in panel.rows if row["score"] is not None]
    spread = (max(scores) - min(scores)) or 1.0
    # Room below the scores for those arms that have none.
    below = 0.45 * spread if len(slices.statuses) > 1 else 0.05 * spread
    scale = alt.Scale(domain=[min(scores) - below, max(scores) + 0.05 * spread], nice=False)
    is_below = f"datum.value < {min(scores) - 0.05 * spread}"
    axis = alt.Axis(
        tickCount=4,
        labelExpr=f"{is_below} ? '' : datum.label",
        tickOpacity=alt.condition(is_below, alt.value(0), alt.value(1)),
        gridOpacity=alt.condition(is_below, alt.value(0), alt.value(1)),
    )
    y = alt.Y("score:Q", title=slices.axis, scale=scale, axis=axis)
    drawn = [_panel(panel, y, slices.statuses) for panel in slices.panels]
    panels: alt.ConcatChart = alt.concat(*drawn, columns=3)
    return panels


def _panel(panel: Slice, y: "alt.Y", statuses: list[str]) -> "alt.LayerChart | alt.FacetChart":
    import altair as alt

    if panel.choices:
        x = alt.X("level:N", title=panel.title, sort=panel.choices, axis=alt.Axis(labelAngle=0, ticks=False))
    else:
        x = alt.X(
            "level:Q",
            title=panel.title,
            scale=level_scale(is_log=panel.is_log, padding=8),
            axis=alt.Axis(format="~g", grid=False, tickCount=4, labelOverlap="greedy", labelSeparation=8),
        )
    layers = []
    for status in statuses:
        rows = [row for row in panel.rows if row["status"] == status]
        # Arms of one choice are spread out in the order of planning, which means nothing else.
        spread = {"xOffset": alt.XOffset("number:Q")} if panel.choices else {}
        points = alt.Chart(data(rows)).mark_point(size=30, strokeWidth=1.5, opacity=0.8)
        height = y if status == Status.COMPLETE else alt.value(STRIPS[Status(status)])
        tooltip = ["number:Q", "arm:N", "status:N", alt.Tooltip("score:Q", format=".3f")]
        layers.append(points.encode(x=x, y=height, tooltip=tooltip, **by_status(statuses), **spread))
    return alt.layer(*layers).properties(width=150, height=HEIGHT)
