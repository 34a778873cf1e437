"""Parallel coordinates of a search: every arm is a line through its levels, the best tenth in bold."""

import math
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analysis.figures.shown import searched_factors, thinned, thinned_text
from analysis.figures.theme import BLUE, GREY, INK, WIDTH, Chart, Rows, by_kind, data
from analysis.searches.arms import JUDGED, is_best
from analysis.statistics.intervals import Floats
from analysis.statistics.levels import factor_label, is_numeric
from analysis.study_tables import StudyTables
from analysis.wording import number_text, quantity
from cktf.rows import Status

MAX_AXES = 8
"""Largest number of factors that are drawn, the most important ones."""

MIN_ARMS = 5
"""Fewest complete arms for the figure; lines of fewer show nothing."""

UNSET = -0.14
"""Where a line passes the axis of a factor that its arm does not have: below the axis."""

BEST, COMPLETE, PRUNED = "best tenth", "complete", "pruned"


LOOKS = {PRUNED: (GREY, [1, 3]), COMPLETE: (GREY, [1, 0]), BEST: (BLUE, [1, 0])}
"""Group -> colour and dashes of its lines; later groups are drawn over earlier ones."""

STROKES = {PRUNED: (1.0, 0.6), COMPLETE: (1.25, 0.6), BEST: (2.75, 0.9)}
"""Group -> width of its lines, in pixels, and their opacity."""


@dataclass(frozen=True)
class Parallel:
    """Record of parallel coordinates.

    Attributes:
        axes: Titles of the axes in order, the score's the last.
        points: ``axis``, ``position`` (0 to 1 along the axis; `UNSET`), ``group``, ``number``, ``arm``.
        ticks: ``axis``, ``position``, ``text``: the labels of an axis' ends or choices.
        caption: Text below the figure.
    """

    axes: list[str]
    points: Rows
    ticks: Rows
    caption: str


def record(results: StudyTables) -> Parallel | None:
    """Return the lines to be drawn; None where a search has fewer than five complete arms or two factors."""
    study = results.facts.study
    arms = results.searched[results.searched["status"].isin(JUDGED)]
    factors = [name for name in searched_factors(results) if arms[f"param.{name}"].notna().any()][:MAX_AXES]
    complete = arms["status"] == Status.COMPLETE
    if complete.sum() < MIN_ARMS or len(factors) < 2:
        return None
    measured = quantity(study.metric)
    axes = [factor_label(name, study.factors) for name in factors]
    positions, ticks = [], []
    for axis, name in zip(axes, factors, strict=True):
        position, marks = _axis(arms[f"param.{name}"], is_log=name in study.log_factors)
        positions.append(position)
        ticks += [{"axis": axis, "position": place, "text": text} for place, text in marks]
    scores = arms["score"].to_numpy(np.float64)
    low, high = np.nanmin(scores), np.nanmax(scores)
    positions.append((scores - low) / ((high - low) or 1.0))
    axes.append(measured.name)
    ticks += [
        {"axis": axes[-1], "position": place, "text": number_text(score, measured.decimals)}
        for place, score in ((0.0, low), (1.0, high))
    ]
    is_shown = arms.index.isin(thinned(arms).index)
    groups = np.select([is_best(arms), complete], [BEST, COMPLETE], PRUNED)
    points = [
        {"axis": axis, "position": round(float(place), 4), "group": group, "number": int(number), "arm": arm}
        for axis, column in zip(axes, positions, strict=True)
        for place, group, number, arm, shown in zip(column, groups, arms["number"], arms["arm"], is_shown, strict=True)
        if shown and not np.isnan(place)
    ]
    num_pruned, num_best = int((~complete).sum()), int((groups == BEST).sum())
    caption = (
        f"Each line is one of n = {len(arms)} arms of the search; the best {num_best} "
        f"{'is' if num_best == 1 else 'are'} bold. The axes stand in the order of importance and reach from the lowest "
        "to the highest level that was tried"
        f"{', on a logarithmic scale where the search was' if study.log_factors else ''}."
    )
    if num_pruned:
        have = "arm (dotted) has" if num_pruned == 1 else "arms (dotted) have"
        caption += f" The {num_pruned} pruned {have} no final {measured.name}."
    caption += thinned_text(int(is_shown.sum()), len(arms))
    if unset := dict.fromkeys(point["axis"] for point in points if point["position"] == UNSET):
        ticks += [{"axis": axis, "position": UNSET, "text": "not set"} for axis in unset]
        caption += " A line passes below the axis of a factor that its arm does not have."
    return Parallel(axes, points, ticks, caption)


def chart(parallel: Parallel) -> Chart:
    """Return the drawing."""
    in_lines = "split(replace(datum.label, ' ', '.'), '.')"
    titles = alt.Axis(
        labelExpr=in_lines, labelAngle=0, labelPadding=22, orient="top", ticks=False, domain=False, grid=False
    )
    x = alt.X("axis:N", title=None, sort=parallel.axes, scale=alt.Scale(domain=parallel.axes), axis=titles)
    y = alt.Y("position:Q", title=None, axis=None, scale=alt.Scale(domain=[UNSET, 1.0], nice=False, padding=12))
    present = {point["group"] for point in parallel.points}
    looks = by_kind("group", {group: look for group, look in LOOKS.items() if group in present}, "color strokeDash")
    bars = alt.Chart(data([{"axis": axis, "low": 0.0, "high": 1.0} for axis in parallel.axes]))
    rule = bars.mark_rule(color=INK, opacity=0.5).encode(x=x, y=alt.Y("low:Q", axis=None), y2="high:Q")
    # One layer a group, so that the best lie over the others.
    lines = [
        alt.Chart(data([point for point in parallel.points if point["group"] == group]))
        # Opacity of the stroke: that of the mark would make an image of each line, which takes seconds.
        .mark_line(strokeWidth=width, strokeOpacity=opacity)
        .encode(x=x, y=y, detail="number:Q", **looks, tooltip=["number:Q", "arm:N", "group:N"])
        for group, (width, opacity) in STROKES.items()
        if group in present
    ]
    # Labels of an axis' ends stand beyond them, labels in between beside it.
    base = alt.Chart(data(parallel.ticks)).encode(x=x, y=y, text="text:N")
    texts = [
        base.transform_filter("datum.position <= 0").mark_text(fontSize=10, dy=10),
        base.transform_filter("datum.position === 1").mark_text(fontSize=10, dy=-10),
        base.transform_filter("datum.position > 0 && datum.position < 1").mark_text(fontSize=10, align="left", dx=6),
    ]
    return alt.layer(rule, *lines, *texts).properties(width=max(WIDTH, 80 * len(parallel.axes)), height=260)


def _axis(levels: "pd.Series[Any]", *, is_log: bool) -> tuple[Floats, list[tuple[float, str]]]:
    """Return each arm's position along an axis (arms,), and the axis' labels with their positions."""
    if is_numeric(levels):
        numbers = levels.to_numpy(np.float64, na_value=np.nan)
        ends = [(0.0, f"{np.nanmin(numbers):.3g}"), (1.0, f"{np.nanmax(numbers):.3g}")]
        numbers = np.log10(numbers) if is_log else numbers
        low, high = np.nanmin(numbers), np.nanmax(numbers)
        span = (high - low) or 1.0
        if is_log:  # ticks show that the axis is logarithmic; none where the label of an end stands
            steps = [(step, 10.0**step) for step in range(math.ceil(low), math.floor(high) + 1)]
            inner = [((step - low) / span, text) for step, text in steps if 0.08 < (step - low) / span < 0.92]
            ends += [(place, f"{text:.3g}") for place, text in inner] or [(0.5, f"{10 ** ((low + high) / 2):.3g}")]
        return np.where(np.isnan(numbers), UNSET, (numbers - low) / span), ends
    codes, choices = levels.astype(str).where(levels.notna()).factorize(sort=True)
    last = max(len(choices) - 1, 1)
    return np.where(codes < 0, UNSET, codes / last), [(i / last, str(choice)) for i, choice in enumerate(choices)]
