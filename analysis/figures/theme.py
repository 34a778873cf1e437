"""Parts of all figures: the record, colours that suit colour-blind readers and dark pages, and encodings."""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from altair.utils.schemapi import debug_mode

from cktf.rows import Status

INK = "currentColor"
"""Text and lines: the page's own text colour, light or dark; black in a file of its own."""

BLUE = "#2f7fc1"
"""Colour of the main marks, such as arms: dark enough for white paper, light enough for a dark page."""

GREY = "#8c8c8c"
"""Colour of the marks that these are compared with, such as the baseline."""

STATUS_MARKS = {
    Status.COMPLETE: (BLUE, "circle"),
    Status.PRUNED: (GREY, "cross"),
    Status.FAILED: (INK, "triangle-down"),
}
"""Status of an arm or trial -> its colour and shape; those of other statuses are not drawn."""

LINE_LEGEND = alt.Legend(symbolOpacity=1, symbolType="stroke")
"""Legend of curves with line symbols; the curves' bands would make them pale squares."""

WIDTH = 460
"""Width of a figure in a file, in pixels; on the page it takes the available width."""

TITLE_LINE = 28
"""Characters of a line of an axis' title, where the axis may be short."""

Rows = list[dict[str, Any]]

Chart = alt.LayerChart | alt.FacetChart
"""Type of a layered chart, alone or in panels."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is drawn: the data of the marks, a caption, and the title of the axis of scores, with its unit."""

    caption: str
    rows: Rows = field(default_factory=list)
    axis: str = ""


def data(rows: Rows) -> alt.InlineData:
    """Return rows as a chart's data, held in its specification."""
    with debug_mode(False):  # it would check each row against a schema that any row fits
        return alt.InlineData(values=rows)


def rows_of(frame: pd.DataFrame) -> Rows:
    """Return the rows of a frame as a chart's data can hold them: JSON has no NaN and no infinity; they become None."""
    frame = frame.replace([np.inf, -np.inf], np.nan)
    rows: Rows = frame.astype(object).where(frame.notna(), None).to_dict("records")  # type: ignore[assignment]
    return rows


def by_kind(name: str, looks: Mapping[Any, Sequence[Any]], channels: str, **options: Any) -> dict[str, Any]:
    """Return the encodings by which the values of a field differ: colour, shape, dashes.

    ``looks`` maps its values, in order, to their look in each channel; ``channels`` are the channels' names.
    """
    return {
        channel: getattr(alt, channel[0].upper() + channel[1:])(
            f"{name}:N", title=None, sort=[*looks], scale=alt.Scale(domain=[*looks], range=[*shown]), **options
        )
        for channel, shown in zip(channels.split(), zip(*looks.values(), strict=True), strict=True)
    }


def by_status(statuses: Collection[str], **options: Any) -> dict[str, Any]:
    """Return the encodings of points that have a ``status``, one of these."""
    looks = {status: mark for status, mark in STATUS_MARKS.items() if status in statuses}
    return by_kind("status", looks, "color shape", **options)


def numbers(*names: str, form: str = ".6~g") -> list[alt.Tooltip]:
    """Return the entries of a tooltip that show these fields in this format."""
    return [alt.Tooltip(f"{name}:Q", format=form) for name in names]


def title_lines(title: str) -> list[str]:
    """Return an axis' title in lines of at most `TITLE_LINE` characters."""
    return textwrap.wrap(title, TITLE_LINE)


def level_scale(*, is_log: bool, padding: float) -> alt.Scale:
    """Return the scale of an axis along which the levels of a factor lie."""
    return alt.Scale(**({"type": "log"} if is_log else {"zero": False}), nice=False, padding=padding)


def epoch_axis(rows: Rows) -> alt.Axis:
    """Return the axis along which the ``epoch`` of each row lies, with ticks at whole epochs alone."""
    epochs = [row["epoch"] for row in rows]
    return alt.Axis(tickCount=max(1, min(5, max(epochs) - min(epochs))), grid=False, format="d")


def rules(channel: str, name: str, values: Sequence[float], dash: Sequence[int]) -> alt.Chart:
    """Return dashed lines across a figure at these values of ``x`` or ``y``, the channel."""
    lines = alt.Chart(data([{name: value} for value in values])).mark_rule(color=INK, strokeDash=[*dash], opacity=0.7)
    encoded: alt.Chart = lines.encode(**{channel: f"{name}:Q"})
    return encoded
