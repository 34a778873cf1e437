"""Pareto front of a search: the arms' scores against its further metrics, or else against training time."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analysis.figures.shown import thinned, thinned_text
from analysis.figures.theme import BLUE, GREY, INK, WIDTH, Chart, Record, Rows, by_kind, data, numbers, rows_of
from analysis.searches.pareto import losses_of, metric_means
from analysis.study_tables import StudyTables
from analysis.wording import capitalised, quantity
from cktf.pareto import front
from cktf.rows import Stage, Status

MIN_ARMS = 3
"""Fewest complete arms for the figure; fewer show no trade-off."""

FRONT, BEHIND, FRESH = "on the front", "dominated", "at fresh seeds"

HEIGHT = 240

ROOM = (26, 13)
"""Width and height of a number beside its point, in pixels."""

SECONDS = "training time of one trial (s)"


def record(results: StudyTables) -> Record | None:
    """Return the arms to be drawn; None where fewer than three of a search are complete, with a training time.

    Each row has ``cost`` (the axis that it belongs to), ``x`` and ``score``, ``side`` (`FRONT`, `BEHIND` or `FRESH`),
    ``number`` and ``arm``, the cheapest first; for a mean at fresh seeds the ends of both intervals, ``x_low``,
    ``x_high``, ``low`` and ``high``.
    """
    study, arms = results.facts.study, results.searched
    means = metric_means(results.trials, study, Stage.SEARCH) if study.further_metrics else pd.DataFrame()
    is_known = arms["arm_id"].isin(means.index) if study.further_metrics else arms["wall_seconds"] > 0
    arms = arms[(arms["status"] == Status.COMPLETE) & is_known]
    if len(arms) < MIN_ARMS:
        return None
    if study.further_metrics:
        costs = {quantity(name).label: arms["arm_id"].map(means[name]) for name in study.further_metrics}
        losses = losses_of(means.loc[arms["arm_id"]], study)
    else:
        costs = {SECONDS: arms["wall_seconds"].round(3)}
        losses = np.column_stack([arms["wall_seconds"], arms["score"] * (-1 if study.maximise else 1)])
    is_front = front(losses.astype(np.float64))
    arms = arms.assign(side=np.where(is_front, FRONT, BEHIND))
    shown = thinned(arms, arms["side"] == FRONT)
    panels = [shown.assign(cost=label, x=values).sort_values(["x", "number"]) for label, values in costs.items()]
    rows = rows_of(pd.concat(panels)[["cost", "x", "score", "side", "number", "arm"]])
    searched = results.trials[results.trials["stage"] == Stage.SEARCH]
    devices = sorted(set(searched["device"].dropna()) - {""})
    measured = quantity(study.metric)
    time = "The time is what the machine took, whatever else ran on it; the" if SECONDS in costs else "The"
    against = f"the training time of one trial, on {' and '.join(devices) or 'unknown devices'}"
    if study.further_metrics:
        against = " and ".join(quantity(name).name for name in study.further_metrics)
    fresh = _fresh(results)
    return Record(
        axis=measured.label,
        rows=rows + fresh,
        caption=f"{capitalised(measured.name)} of the n = {len(arms)} complete arms of the search against {against}. "
        f"On the front ({is_front.sum()}, with their numbers where there is room) are those that no other matches in "
        f"{'both' if len(costs) == 1 else 'all'} and beats in one. {time} scores selected the arms, and are optimistic."
        + (" The squares are the confirmed arms' means at fresh seeds, with 95% intervals." if fresh else "")
        + thinned_text(len(shown), len(arms), "the front"),
    )


def _fresh(results: StudyTables) -> Rows:
    """Return the rows of the confirmed arms: their means at fresh seeds, with both intervals."""
    found = results.pareto[results.pareto["n"] > 0]
    by_metric = {name: rows.set_index("arm_id") for name, rows in found.groupby("metric")}
    study = results.facts.study
    rows: Rows = []
    for name in study.further_metrics if by_metric else ():
        score, cost = by_metric[study.metric], by_metric[name]
        drawn = score[["arm", "low", "high"]].assign(cost=quantity(name).label, side=FRESH, score=score["mean"])
        rows += rows_of(drawn.assign(x=cost["mean"], x_low=cost["low"], x_high=cost["high"]))
    return rows


def chart(pareto: Record) -> Chart:
    """Return the drawing, with several costs side by side."""
    costs = list(dict.fromkeys(row["cost"] for row in pareto.rows))
    scale = alt.Scale(zero=False, nice=False, padding=14)
    x: dict[str, Any] = {"title": costs[0] if len(costs) == 1 else None, "scale": scale}
    y: dict[str, Any] = {"title": pareto.axis, "scale": scale}
    base = alt.Chart().encode(x=alt.X("x:Q", **x), y=alt.Y("score:Q", **y))
    on_front = base.transform_filter(alt.datum.side == FRONT)
    fresh = base.transform_filter(alt.datum.side == FRESH)
    looks = {FRONT: (BLUE, "circle", BLUE), BEHIND: (GREY, "cross", "transparent")}
    if any(row["side"] == FRESH for row in pareto.rows):
        looks[FRESH] = (INK, "square", INK)
    tooltip = ["number:Q", "arm:N", *numbers("x", form=".4g"), *numbers("score")]
    # Numbers stand where neither the line nor a dominated arm can be: cheaper, and better.
    scores = [row["score"] for row in pareto.rows if row["side"] == FRONT]
    above = -9 if scores[-1] >= scores[0] else 11
    named = {cost: _spaced([row for row in pareto.rows if row["cost"] == cost], WIDTH / len(costs)) for cost in costs}
    rows = [row | {"text": row["number"] if row.get("number") in named[row["cost"]] else ""} for row in pareto.rows]
    layers = [
        base.mark_point(size=60, strokeWidth=1.5, opacity=1).encode(
            **by_kind("side", looks, "color shape fill"), tooltip=tooltip
        ),
        on_front.mark_text(dx=-7, dy=above, align="right", fontSize=11).encode(text="text:N"),
    ]
    if FRESH in looks:
        layers.append(fresh.mark_rule(color=INK).encode(y=alt.Y("low:Q", **y), y2="high:Q"))
        layers.append(fresh.mark_rule(color=INK).encode(x=alt.X("x_low:Q", **x), x2="x_high:Q"))
    if len(costs) == 1:  # with several costs, a front is no line
        layers.insert(0, on_front.mark_line(color=BLUE, strokeWidth=1.5, interpolate="step-after"))
        return alt.layer(*layers, data=data(rows)).properties(width=WIDTH, height=HEIGHT)
    panels: alt.FacetChart = (
        alt.layer(*layers, data=data(rows))
        .properties(width=WIDTH / len(costs), height=HEIGHT)
        .facet(column=alt.Column("cost:N", title=None, sort=costs))
        .resolve_scale(x="independent")
    )
    return panels


def _spaced(rows: Rows, width: float) -> set[int]:
    """Return the numbers of the arms on the front of a panel that can be written without covering each other."""
    written: dict[int, tuple[float, float]] = {}
    least = [min(row[name] for row in rows) for name in ("x", "score")]
    spans = [max(row[name] for row in rows) - low or 1.0 for name, low in zip(("x", "score"), least, strict=True)]
    for row in rows:
        x, y = ((row["x"] - least[0]) / spans[0] * width, (row["score"] - least[1]) / spans[1] * HEIGHT)
        is_free = all(abs(x - left) > ROOM[0] or abs(y - up) > ROOM[1] for left, up in written.values())
        if row["side"] == FRONT and is_free:
            written[row["number"]] = (x, y)
    return set(written)
