"""History of a search: every trial's score in order, the best so far, and the means of the confirmed arms."""

from dataclasses import dataclass

import altair as alt
import numpy as np

from analysis.figures.shown import thinned, thinned_text
from analysis.figures.theme import (
    BLUE,
    INK,
    WIDTH,
    Chart,
    Record,
    Rows,
    by_kind,
    by_status,
    data,
    numbers,
    rows_of,
)
from analysis.study_tables import StudyTables
from analysis.wording import capitalised, quantity
from cktf.rows import Stage, Status

FRESH, BEST = "mean at fresh seeds", "best so far"
"""Names of the filled points and of the line in the legend."""


@dataclass(frozen=True, kw_only=True)
class History(Record):
    """Record of a history; each row has ``number`` (in order, from 1), ``arm``, ``status``, ``score``, ``best`` so far.

    Attributes:
        confirmed: ``number`` of the first trial of a confirmed arm, ``arm``, its ``score`` in the search, and its
            ``mean`` at ``n`` fresh seeds with ``low`` and ``high`` (None where there is none).
    """

    confirmed: Rows


def record(results: StudyTables) -> History | None:
    """Return the scores to be drawn; None where nothing was searched."""
    study, trials = results.facts.study, results.trials
    has_ended = trials["status"].isin([Status.COMPLETE, Status.PRUNED])
    is_finite = trials[study.metric].abs().lt(np.inf)
    searched = trials[(trials["stage"] == Stage.SEARCH) & has_ended & is_finite]
    if searched.empty:
        return None
    scores = searched[study.metric].where(searched["status"] == Status.COMPLETE)
    best = (scores.cummax() if study.maximise else scores.cummin()).ffill()
    searched = searched.assign(number=searched["number"] + 1, score=searched[study.metric], best=best)
    found = results.confirmed.dropna(subset=["search_score", "mean"]).rename(columns={"search_score": "score"})
    numbers_of = results.searched.set_index("arm_id")["number"]
    found = found.assign(number=found["arm_id"].map(numbers_of).astype(np.int64))
    improves = best.ne(best.shift()) & best.notna()
    shown = thinned(searched, improves | searched["number"].isin(found["number"]))
    measured = quantity(study.metric)
    caption = (
        f"{capitalised(measured.name)} of each of n = {len(searched)} trials in the order of planning; the line is the "
        "best complete one so far. The best of many scores is optimistic; confirmation on fresh seeds is not"
    )
    if not found.empty:
        fewest, most = found["n"].min(), found["n"].max()
        caption += f": the filled points are the same arms' means at fresh seeds (n = {fewest}"
        caption += f"{f' to {most}' if most > fewest else ''})"
        caption += ", with their 95% intervals" if found["low"].notna().any() else ""
    caption += f".{thinned_text(len(shown), len(searched), 'those that the line and the points need')}"
    return History(
        axis=measured.label,
        rows=rows_of(shown[["number", "arm", "status", "score", "best"]]),
        confirmed=rows_of(found[["number", "arm", "score", "n", "mean", "low", "high"]]),
        caption=caption,
    )


def chart(history: History) -> Chart:
    """Return the scores of all trials in their order, with the best so far and the confirmed arms."""
    x = alt.X("number:Q", title="trial", axis=alt.Axis(tickMinStep=1, format="d", grid=False, tickCount=8))
    base = alt.Chart(data(history.rows)).encode(x=x)
    point = base.mark_point(size=45, strokeWidth=1.5, opacity=0.9).encode(
        y=alt.Y("score:Q", title=history.axis, scale=alt.Scale(zero=False)),
        **by_status({row["status"] for row in history.rows}),
        tooltip=["number:Q", "arm:N", "status:N", *numbers("score")],
    )
    line = (
        base.transform_calculate(kind=f"'{BEST}'")
        .mark_line(color=INK, interpolate="step-after", strokeWidth=1.5, opacity=0.8)
        .encode(y=alt.Y("best:Q", title=history.axis), **by_kind("kind", {BEST: ([1, 0],)}, "strokeDash"))
    )
    fresh = alt.Chart(data(history.confirmed)).encode(x=x, tooltip=["arm:N", *numbers("score", "mean", "low", "high")])
    interval = fresh.mark_rule(color=BLUE, strokeWidth=2).encode(y=alt.Y("low:Q", title=history.axis), y2="high:Q")
    mean = (
        fresh.transform_calculate(kind=f"'{FRESH}'")
        .mark_point(size=60, opacity=1)
        .encode(y=alt.Y("mean:Q", title=history.axis), **by_kind("kind", {FRESH: (BLUE,)}, "fill"))
    )
    layers = [line, interval, mean, point] if history.confirmed else [line, point]
    return alt.layer(*layers).properties(width=WIDTH, height=220)
