"""History of a search: every trial's score in order, the best so far, and what the confirmed arms yield."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.theme import BLUE, INK, WIDTH, by_status, data, json_number
from analysis.figures.thinning import thinned, thinned_text
from analysis.study_tables import StudyTables
from analysis.wording import quantity
from cktf.rows import Stage, Status

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True)
class History:
    """What is drawn.

    Attributes:
        axis: Title of the vertical axis, with its unit.
        rows: ``number`` (in order, from 1), ``arm``, ``status``, ``score``, ``best`` complete one so far.
        confirmed: ``number`` of the first trial of a confirmed arm, ``arm``, its ``score`` in the search, and its
            ``mean`` at ``n`` fresh seeds with ``low`` and ``high`` (None where there is none).
        caption: What to read.
    """

    axis: str
    rows: list[dict[str, Any]]
    confirmed: list[dict[str, Any]]
    caption: str


def record(results: StudyTables) -> History | None:
    """Return the scores to be drawn; None where nothing was searched."""
    study = results.facts.study
    trials = results.trials
    has_ended = trials["status"].isin([Status.COMPLETE, Status.PRUNED])
    is_finite = trials[study.metric].abs().lt(np.inf)
    searched = trials[(trials["stage"] == Stage.SEARCH) & has_ended & is_finite]
    if searched.empty:
        return None
    scores = searched[study.metric].where(searched["status"] == Status.COMPLETE)
    best = (scores.cummax() if study.maximise else scores.cummin()).ffill()
    confirmed = _confirmed(results)
    improves = best.ne(best.shift()) & best.notna()
    is_confirmed = (searched["number"] + 1).isin([arm["number"] for arm in confirmed])
    shown = thinned(searched.assign(best=best), improves | is_confirmed)
    rows = [
        {"number": int(number) + 1, "arm": arm, "status": status, "score": float(score)} | {"best": json_number(so_far)}
        for number, arm, status, score, so_far in zip(
            *(shown[name] for name in ("number", "arm", "status", study.metric, "best")), strict=True
        )
    ]
    measured = quantity(study.metric)
    caption = (
        f"{measured.name.capitalize()} of each of n = {len(searched)} trials in the order of planning; the line is the "
        "best complete one so far. The best of many scores is optimistic; confirmation on fresh seeds is not"
    )
    caption += (
        f": the filled points are the same arms' means at fresh seeds (n = {_fewest_and_most(confirmed)})"
        f"{', with their 95% intervals' if any(arm['low'] is not None for arm in confirmed) else ''}."
        if confirmed
        else "."
    )
    caption += thinned_text(len(rows), len(searched), "those that the line and the points need")
    return History(measured.label, rows, confirmed, caption)


def _confirmed(results: StudyTables) -> list[dict[str, Any]]:
    """Return the arms that have a score in the search and one at fresh seeds."""
    numbers = results.searched.set_index("arm_id")["number"]
    found = results.confirmed.dropna(subset=["search_score", "mean"])
    return [
        {
            "number": int(numbers[arm["arm_id"]]),
            "arm": arm["arm"],
            "score": arm["search_score"],
            "n": arm["n"],
        }
        | {name: json_number(arm[name]) for name in ("mean", "low", "high")}
        for arm in found.to_dict("records")
    ]


def _fewest_and_most(confirmed: list[dict[str, Any]]) -> str:
    fewest, most = (of(arm["n"] for arm in confirmed) for of in (min, max))
    return str(most) if fewest == most else f"{fewest} to {most}"


def chart(history: History) -> "alt.LayerChart | alt.FacetChart":
    """Return the drawing."""
    import altair as alt

    x = alt.X("number:Q", title="trial", axis=alt.Axis(tickMinStep=1, format="d", grid=False, tickCount=8))
    base = alt.Chart(data(history.rows)).encode(x=x)
    point = base.mark_point(size=45, strokeWidth=1.5, opacity=0.9).encode(
        y=alt.Y("score:Q", title=history.axis, scale=alt.Scale(zero=False)),
        **by_status([Status.COMPLETE, Status.PRUNED]),
        tooltip=["number:Q", "arm:N", "status:N", alt.Tooltip("score:Q", format=".3f")],
    )
    line = base.mark_line(color=INK, interpolate="step-after", strokeWidth=1.5, opacity=0.8).encode(
        y=alt.Y("best:Q", title=history.axis)
    )
    fresh = alt.Chart(data(history.confirmed)).encode(
        x=x,
        tooltip=[
            "arm:N",
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("score", "mean", "low", "high")),
        ],
    )
    interval = fresh.mark_rule(color=BLUE, strokeWidth=2).encode(y=alt.Y("low:Q", title=history.axis), y2="high:Q")
    mean = fresh.mark_point(size=60, filled=True, color=BLUE, opacity=1).encode(y=alt.Y("mean:Q", title=history.axis))
    layers = [line, interval, mean, point] if history.confirmed else [line, point]
    return alt.layer(*layers).properties(width=WIDTH, height=220)
