"""Pareto front of a search: what the arms' scores cost in training time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.figures.theme import BLUE, GREY, WIDTH, data
from analysis.figures.thinning import thinned, thinned_text
from analysis.study_tables import StudyTables
from analysis.wording import quantity
from cktf.rows import Stage, Status

if TYPE_CHECKING:
    import altair as alt

MIN_ARMS = 3
"""Complete arms below which there is nothing to trade off."""

FRONT, BEHIND = "on the front", "dominated"


@dataclass(frozen=True)
class Pareto:
    """What is drawn.

    Attributes:
        axis: Title of the vertical axis, with its unit.
        rows: ``seconds``, ``score``, ``side`` (`FRONT` or `BEHIND`), ``number``, ``arm``; the quickest first.
        caption: What to read.
    """

    axis: str
    rows: list[dict[str, Any]]
    caption: str


def front(costs: NDArray[np.float64], losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points no other dominates: none is as good in both and better in one.

    Args:
        costs: (points,), smaller is better.
        losses: (points,), smaller is better.

    Returns:
        (points,); of equal points all or none.
    """
    # In the order of cost, a point is dominated if an earlier one has as small a loss; equal points dominate not.
    order = np.lexsort((losses, costs))
    is_front = np.zeros(len(costs), dtype=np.bool_)
    best = (np.inf, np.inf)
    for index in order:
        point = (losses[index], costs[index])
        if point[0] < best[0]:
            best = point
        is_front[index] = point == best
    return is_front


def record(results: StudyTables) -> Pareto | None:
    """Return the arms to be drawn; None where fewer than three of a search are complete with a training time."""
    study, arms = results.facts.study, results.searched
    arms = arms[(arms["status"] == Status.COMPLETE) & (arms["wall_seconds"] > 0)]
    if len(arms) < MIN_ARMS:
        return None
    seconds, scores = (arms[name].to_numpy(np.float64) for name in ("wall_seconds", "score"))
    is_front = front(seconds, -scores if study.maximise else scores)
    arms = arms.assign(is_front=is_front)
    shown = thinned(arms, arms["is_front"])
    rows = [
        {
            **{"seconds": round(float(cost), 3), "score": float(score), "number": int(number), "arm": arm},
            "side": FRONT if is_on else BEHIND,
        }
        for cost, score, number, arm, is_on in zip(
            *(shown[name] for name in ("wall_seconds", "score", "number", "arm", "is_front")), strict=True
        )
    ]
    rows.sort(key=lambda row: (row["seconds"], row["number"]))
    searched = results.trials[results.trials["stage"] == Stage.SEARCH]
    devices = sorted(set(searched["device"].dropna()) - {""})
    measured = quantity(study.metric)
    caption = (
        f"{measured.name.capitalize()} of the n = {len(arms)} complete arms of the search against the training time of "
        f"one trial, on {' and '.join(devices) or 'unknown devices'}. On the front ({int(is_front.sum())}, with "
        "their numbers) are those that no other matches in both and beats in one. The time is what the machine took, "
        "whatever else ran on it; the scores selected the arms, and are optimistic."
    )
    caption += thinned_text(len(rows), len(arms), "the front")
    return Pareto(measured.label, rows, caption)


def chart(pareto: Pareto) -> "alt.LayerChart | alt.FacetChart":
    """Return the drawing."""
    import altair as alt

    order = [FRONT, BEHIND]
    x = alt.X("seconds:Q", title="training time of one trial (s)", scale=alt.Scale(zero=False, padding=14))
    y = alt.Y("score:Q", title=pareto.axis, scale=alt.Scale(zero=False, padding=14))
    on_front = [row for row in pareto.rows if row["side"] == FRONT]
    line = alt.Chart(data(on_front)).mark_line(color=BLUE, strokeWidth=1.5, interpolate="step-after").encode(x=x, y=y)
    points = (
        alt.Chart(data(pareto.rows))
        .mark_point(size=60, strokeWidth=1.5, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color("side:N", sort=order, scale=alt.Scale(domain=order, range=[BLUE, GREY])),
            shape=alt.Shape("side:N", sort=order, scale=alt.Scale(domain=order, range=["circle", "cross"])),
            fill=alt.Fill("side:N", sort=order, scale=alt.Scale(domain=order, range=[BLUE, "transparent"])),
            tooltip=[
                *("number:Q", "arm:N"),
                alt.Tooltip("seconds:Q", format=".2f"),
                alt.Tooltip("score:Q", format=".3f"),
            ],
        )
    )
    names = alt.Chart(data(on_front)).mark_text(dx=8, dy=-8, align="left", fontSize=11)
    return alt.layer(line, points, names.encode(x=x, y=y, text="number:Q")).properties(width=WIDTH, height=240)
