"""History of a search: every trial's score in order, and the best so far."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.theme import BLUE, GREY, INK, WIDTH, data
from analysis.quantities import quantity
from analysis.results import Results
from cktf.rows import Stage, Status

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True)
class History:
    """What is drawn.

    Attributes:
        axis: Title of the vertical axis, with its unit.
        rows: ``number`` (in order, from 1), ``arm``, ``status``, ``score``, ``best`` complete one so far.
        caption: What to read.
    """

    axis: str
    rows: list[dict[str, Any]]
    caption: str


def record(results: Results) -> History | None:
    """Return the scores to be drawn; None where nothing was searched."""
    study = results.facts.study
    trials = results.trials
    searched = trials[
        (trials["stage"] == Stage.SEARCH) & trials["status"].isin([Status.COMPLETE, Status.PRUNED])
    ].dropna(subset=study.metric)
    if searched.empty:
        return None
    scores = searched[study.metric].where(searched["status"] == Status.COMPLETE)
    best = (scores.cummax() if study.maximise else scores.cummin()).ffill()
    rows = [
        {"number": int(number) + 1, "arm": arm, "status": status, "score": float(score)}
        | {"best": None if np.isnan(so_far) else float(so_far)}
        for number, arm, status, score, so_far in zip(
            searched["number"], searched["arm"], searched["status"], searched[study.metric], best, strict=True
        )
    ]
    measured = quantity(study.metric)
    return History(
        axis=measured.label,
        rows=rows,
        caption=f"{measured.name.capitalize()} of every trial in the order of planning; the line is the best "
        "complete one so far. The best of many scores is optimistic; confirmation on fresh seeds is not.",
    )


def chart(history: History) -> "alt.LayerChart | alt.FacetChart":
    """Return the drawing."""
    import altair as alt

    order = [str(Status.COMPLETE), str(Status.PRUNED)]
    x = alt.X("number:Q", title="trial", axis=alt.Axis(tickMinStep=1, format="d", grid=False, tickCount=8))
    base = alt.Chart(data(history.rows)).encode(x=x)
    point = base.mark_point(size=45, strokeWidth=1.5, opacity=0.9).encode(
        y=alt.Y("score:Q", title=history.axis, scale=alt.Scale(zero=False)),
        color=alt.Color("status:N", sort=order, scale=alt.Scale(domain=order, range=[BLUE, GREY])),
        shape=alt.Shape("status:N", sort=order, scale=alt.Scale(domain=order, range=["circle", "cross"])),
        tooltip=["number:Q", "arm:N", "status:N", alt.Tooltip("score:Q", format=".3f")],
    )
    line = base.mark_line(color=INK, interpolate="step-after", strokeWidth=1.5, opacity=0.8).encode(
        y=alt.Y("best:Q", title=history.axis)
    )
    return alt.layer(line, point).properties(width=WIDTH, height=220)
