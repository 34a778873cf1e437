"""Rank map of a search: every arm at its levels of two factors; the better it ranks, the larger its point.

No surface is drawn between the arms: of two factors out of several, tens of arms do not determine one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from analysis.figures.shown import searched_factors, thinned, thinned_text
from analysis.figures.theme import BLUE, WIDTH, Record, by_kind, by_status, data, level_scale, rows_of
from analysis.searches.arms import is_best
from analysis.statistics.levels import factor_label, is_numeric
from analysis.study_tables import StudyTables
from analysis.wording import counted, quantity
from cktf.rows import Status

MIN_ARMS = 5
"""Fewest arms for a map; fewer show nothing."""

MOST_TICKS = 6
"""Largest number of levels of a factor that each have a tick."""

BEST, OTHERS = "best tenth", "others"
"""Names of filled and of empty points."""

SIZES = "datum.value === 1 ? 'best rank' : datum.value === 0 ? 'worst rank, or failed' : 'middle rank'"
"""Vega expression for the legend of the sizes of points."""


@dataclass(frozen=True, kw_only=True)
class RankMap(Record):
    """Record of a rank map.

    Each row has ``x``, ``y``, ``place`` (1 for the best arm, 0 for the worst and for a failed one), ``is_best``,
    ``status``, ``number`` and ``arm``.

    Attributes:
        axes: Titles of the horizontal and the vertical axis: the two factors.
        are_log: Whether each of them is logarithmic.
        levels: Ticks of both axes: the levels of a factor that has few; else empty.
    """

    axes: tuple[str, str]
    are_log: tuple[bool, bool]
    levels: tuple[list[float], list[float]]


def record(results: StudyTables, factors: Sequence[str] = ()) -> RankMap | None:
    """Return the map of two numeric factors, by default the most important; None if fewer than five arms have both."""
    study, arms = results.facts.study, results.searched
    varied = [
        name
        for name in factors or searched_factors(results)
        if f"param.{name}" in arms and is_numeric(arms[f"param.{name}"]) and arms[f"param.{name}"].nunique() > 1
    ]
    if len(varied) < 2:
        return None
    across, down = varied[:2]
    arms = arms.assign(is_best=is_best(arms)).dropna(subset=[f"param.{across}", f"param.{down}"])
    if len(arms) < MIN_ARMS:
        return None
    last = max(results.searched["rank"].max() - 1, 1)
    levels = {"x": arms[f"param.{across}"].astype(float), "y": arms[f"param.{down}"].astype(float)}
    place = [round(1 - (rank - 1) / last, 4) for rank in arms["rank"].tolist()]
    shown = thinned(arms.assign(**levels, place=place)).fillna({"place": 0.0})
    caption = (
        f"The n = {len(arms)} arms of the search at their levels of two factors; the larger, the better its rank by "
        f"{quantity(study.metric).name}, and the best tenth are filled. "
    )
    if shown["status"].eq(Status.PRUNED).any():
        caption += "Pruned arms rank behind complete ones, those that came further first. "
    caption += "The other factors vary, too, and a search goes where scores are good."
    if without := len(results.searched) - len(arms):
        best = results.searched.nsmallest(1, "rank")["arm_id"].isin(arms["arm_id"])
        caption += (
            f" {counted(without, 'arm')} {'has' if without == 1 else 'have'} no level of one of the two, "
            f"{'' if best.all() else 'the best one among them, '}and {'is' if without == 1 else 'are'} not drawn."
        )
    caption += thinned_text(len(shown), len(arms))
    ticks = [sorted(set(level)) if level.nunique() <= MOST_TICKS else [] for level in levels.values()]
    return RankMap(
        axes=(factor_label(across, study.factors), factor_label(down, study.factors)),
        are_log=(across in study.log_factors, down in study.log_factors),
        levels=(ticks[0], ticks[1]),
        rows=rows_of(shown[["x", "y", "place", "is_best", "status", "number", "arm"]]),
        caption=caption,
    )


def chart(rank_map: RankMap) -> alt.Chart:
    """Return the drawing."""
    axes: dict[str, Any] = {}
    tooltip = [alt.Tooltip("number:Q"), alt.Tooltip("arm:N"), alt.Tooltip("status:N")]
    channels = zip("xy", (alt.X, alt.Y), rank_map.axes, rank_map.are_log, rank_map.levels, strict=True)
    for name, of, title, is_log, levels in channels:
        ticks = alt.Axis(format="~g", tickCount=6, labelOverlap=True, values=levels or alt.Undefined)
        scale = level_scale(is_log=is_log, padding=14)
        axes[name] = of(f"{name}:Q", title=title, scale=scale, axis=ticks)
        tooltip.append(alt.Tooltip(f"{name}:Q", title=title, format=".4~g"))
    filled = f"datum.is_best ? '{BEST}' : '{OTHERS}'"
    points = alt.Chart(data(rank_map.rows)).transform_calculate(filled=filled)
    points = points.mark_point(strokeWidth=1.5, opacity=0.85)
    drawn: alt.Chart = points.encode(
        **axes,
        size=alt.Size(
            "place:Q",
            scale=alt.Scale(domain=[0, 1], range=[12, 260]),
            legend=alt.Legend(
                values=[0, 0.5, 1], labelExpr=SIZES, symbolStrokeColor=BLUE, symbolFillColor="transparent"
            ),
        ),
        **by_status({row["status"] for row in rank_map.rows}, legend=alt.Legend(symbolFillColor="transparent")),
        **by_kind("filled", {BEST: (BLUE,), OTHERS: ("transparent",)}, "fill", legend=alt.Legend(values=[BEST])),
        tooltip=tooltip,
    ).properties(width=WIDTH, height=300)
    return drawn
