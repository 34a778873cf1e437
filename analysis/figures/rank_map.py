"""Rank map of a search: every arm at its levels of two factors, the larger the better it ranks.

No surface is drawn between the arms: of two factors out of several, tens of arms do not determine one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.factors import searched_factors
from analysis.figures.theme import BLUE, STATUS_MARKS, WIDTH, by_status, data, level_scale
from analysis.figures.thinning import thinned, thinned_text
from analysis.searches.arms import is_best
from analysis.statistics.levels import factor_label, is_numeric
from analysis.study_tables import StudyTables
from analysis.wording import quantity
from cktf.rows import Status

if TYPE_CHECKING:
    import altair as alt

MIN_ARMS = 5
"""Arms below which a map shows nothing."""


@dataclass(frozen=True)
class RankMap:
    """What is drawn.

    Attributes:
        axes: Titles of the horizontal and the vertical axis: the two factors.
        are_log: Whether each of them is logarithmic.
        rows: ``x``, ``y``, ``place`` (1 for the best arm, 0 for the worst and for a failed one), ``is_best``,
            ``status``, ``number``, ``arm``.
        statuses: Those that occur.
        caption: What to read.
    """

    axes: tuple[str, str]
    are_log: tuple[bool, bool]
    rows: list[dict[str, Any]]
    statuses: list[str]
    caption: str


def record(results: StudyTables, factors: Sequence[str] = ()) -> RankMap | None:
    """Return the arms to be drawn.

    Args:
        results: Of a search.
        factors: The two numeric ones that are looked at; none: the most important two.

    Returns:
        None where no five arms have numbers of two factors.
    """
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
    shown = thinned(arms)
    last = max(results.searched["rank"].max() - 1, 1)
    rows = [
        {
            **{"x": float(x), "y": float(y), "number": int(number), "arm": arm, "status": status},
            "place": 0.0 if np.isnan(rank) else round(1 - (rank - 1) / last, 4),
            "is_best": bool(best),
        }
        for x, y, number, arm, status, rank, best in zip(
            *(shown[f"param.{name}"] for name in (across, down)),
            *(shown[name] for name in ("number", "arm", "status", "rank", "is_best")),
            strict=True,
        )
    ]
    statuses = [str(status) for status in STATUS_MARKS if any(row["status"] == status for row in rows)]
    caption = (
        f"The n = {len(arms)} arms of the search at their levels of two factors; the larger, the better its rank by "
        f"{quantity(study.metric).name}, and the best tenth are filled. "
    )
    if Status.PRUNED in statuses:
        caption += "Pruned arms rank behind complete ones, those that came further first. "
    caption += "The other factors vary, too, and a search goes where scores are good."
    caption += thinned_text(len(rows), len(arms))
    return RankMap(
        axes=(factor_label(across, study.factors), factor_label(down, study.factors)),
        are_log=(across in study.log_factors, down in study.log_factors),
        rows=rows,
        statuses=statuses,
        caption=caption,
    )


def chart(rank_map: RankMap) -> "alt.Chart":
    """Return the drawing."""
    import altair as alt

    scales = [level_scale(is_log=is_log, padding=14) for is_log in rank_map.are_log]
    ticks = alt.Axis(format="~g", tickCount=6, labelOverlap=True)
    across, down = rank_map.axes
    points: alt.Chart = (
        alt.Chart(data(rank_map.rows))
        .mark_point(strokeWidth=1.5, opacity=0.85)
        .encode(
            x=alt.X("x:Q", title=across, scale=scales[0], axis=ticks),
            y=alt.Y("y:Q", title=down, scale=scales[1], axis=ticks),
            size=alt.Size("place:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[12, 260])),
            **by_status(rank_map.statuses),
            fill=alt.condition("datum.is_best", alt.value(BLUE), alt.value("transparent")),
            tooltip=[
                "number:Q",
                "arm:N",
                "status:N",
                alt.Tooltip("x:Q", title=across, format=".4~g"),
                alt.Tooltip("y:Q", title=down, format=".4~g"),
            ],
        )
        .properties(width=WIDTH, height=300)
    )
    return points
