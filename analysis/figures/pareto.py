"""Pareto front of a search: what the arms' scores cost in training time."""

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.figures.shown import thinned, thinned_text
from analysis.figures.theme import BLUE, GREY, WIDTH, Chart, Record, by_kind, data, numbers, rows_of
from analysis.study_tables import StudyTables
from analysis.wording import quantity
from cktf.rows import Stage, Status

MIN_ARMS = 3
"""Complete arms below which there is nothing to trade off."""

FRONT, BEHIND = "on the front", "dominated"


def front(costs: NDArray[np.float64], losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points no other dominates: none is as good in both and better in one.

    Args:
        costs: (points,), smaller is better.
        losses: (points,), smaller is better.

    Returns:
        (points,); of equal points all or none.
    """
    # Seen from the cheapest on, ties by loss, the front is what no earlier point is as good as, and its equals.
    points = pd.DataFrame({"cost": costs, "loss": losses}).sort_values(["cost", "loss"], kind="stable")
    best = points["loss"].cummin()
    cheapest = points["cost"].groupby(best).transform("min")
    is_front = (points["loss"] == best) & (points["cost"] == cheapest)
    return is_front.sort_index().to_numpy()


def record(results: StudyTables) -> Record | None:
    """Return the arms to be drawn; None where fewer than three of a search are complete with a training time.

    Each row has ``seconds``, ``score``, ``side`` (`FRONT` or `BEHIND`), ``number`` and ``arm``, the quickest first.
    """
    study, arms = results.facts.study, results.searched
    arms = arms[(arms["status"] == Status.COMPLETE) & (arms["wall_seconds"] > 0)]
    if len(arms) < MIN_ARMS:
        return None
    seconds, scores = (arms[name].to_numpy(np.float64) for name in ("wall_seconds", "score"))
    is_front = front(seconds, -scores if study.maximise else scores)
    arms = arms.assign(side=np.where(is_front, FRONT, BEHIND), seconds=[round(cost, 3) for cost in seconds.tolist()])
    shown = thinned(arms, arms["side"] == FRONT).sort_values(["seconds", "number"])
    searched = results.trials[results.trials["stage"] == Stage.SEARCH]
    devices = sorted(set(searched["device"].dropna()) - {""})
    measured = quantity(study.metric)
    return Record(
        axis=measured.label,
        rows=rows_of(shown[["seconds", "score", "side", "number", "arm"]]),
        caption=f"{measured.name.capitalize()} of the n = {len(arms)} complete arms of the search against the training "
        f"time of one trial, on {' and '.join(devices) or 'unknown devices'}. On the front ({is_front.sum()}, with "
        "their numbers) are those that no other matches in both and beats in one. The time is what the machine took, "
        "whatever else ran on it; the scores selected the arms, and are optimistic."
        + thinned_text(len(shown), len(arms), "the front"),
    )


def chart(pareto: Record) -> Chart:
    """Return the drawing."""
    x = alt.X("seconds:Q", title="training time of one trial (s)", scale=alt.Scale(zero=False, padding=14))
    y = alt.Y("score:Q", title=pareto.axis, scale=alt.Scale(zero=False, padding=14))
    on_front = alt.Chart(data([row for row in pareto.rows if row["side"] == FRONT])).encode(x=x, y=y)
    line = on_front.mark_line(color=BLUE, strokeWidth=1.5, interpolate="step-after")
    looks = {FRONT: (BLUE, "circle", BLUE), BEHIND: (GREY, "cross", "transparent")}
    points = alt.Chart(data(pareto.rows)).mark_point(size=60, strokeWidth=1.5, opacity=1)
    tooltip = ["number:Q", "arm:N", *numbers("seconds", form=".2f"), *numbers("score")]
    points = points.encode(x=x, y=y, **by_kind("side", looks, "color shape fill"), tooltip=tooltip)
    # Where neither the line nor a dominated arm can be: quicker, and better.
    scores = [row["score"] for row in pareto.rows if row["side"] == FRONT]
    names = on_front.mark_text(dx=-7, dy=-9 if scores[-1] >= scores[0] else 11, align="right", fontSize=11).encode(
        text="number:Q"
    )
    return alt.layer(line, points, names).properties(width=WIDTH, height=240)
