"""The look that all figures share, for colour-blind readers, grey printers and dark pages too."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cktf.rows import Status

if TYPE_CHECKING:
    import altair as alt

INK = "currentColor"
"""Text and lines: the page's own text colour, light or dark; black in a file of its own."""

BLUE = "#2f7fc1"
"""What is looked at. Dark enough for white paper, light enough for a dark page."""

GREY = "#8c8c8c"
"""What it is compared with."""

STATUS_MARKS = {
    Status.COMPLETE: (BLUE, "circle"),
    Status.PRUNED: (GREY, "cross"),
    Status.FAILED: (INK, "triangle-down"),
}
"""Colour and shape of an arm or trial that ended so; what has another status is not drawn."""

WIDTH = 460
"""Width of a figure in a file, in pixels; in the page it takes the width there is."""

TITLE_LINE = 28
"""Characters of a line of an axis' title, where the axis may be short."""

_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"


def data(rows: list[dict[str, Any]]) -> "alt.InlineData":
    """Return rows as a chart's data, held in its specification."""
    import altair as alt
    from altair.utils.schemapi import debug_mode

    with debug_mode(False):  # it would check each row against a schema that any row fits
        return alt.InlineData(values=rows)


def json_number(value: float) -> float | None:
    """Return a number as a chart's data can hold it: JSON has no NaN and no infinity, which become None."""
    return float(value) if math.isfinite(value) else None


def by_status(statuses: Sequence[str]) -> "dict[str, alt.Color | alt.Shape]":
    """Return the encodings of points that have a ``status``, one of these."""
    import altair as alt

    colours, shapes = zip(*(STATUS_MARKS[Status(status)] for status in statuses), strict=True)
    return {
        "color": alt.Color("status:N", title=None, scale=alt.Scale(domain=[*statuses], range=[*colours])),
        "shape": alt.Shape("status:N", title=None, scale=alt.Scale(domain=[*statuses], range=[*shapes])),
    }


def title_lines(title: str) -> list[str]:
    """Return an axis' title in lines that a panel, or a telephone, has room for."""
    return textwrap.wrap(title, TITLE_LINE)


def level_scale(*, is_log: bool, padding: float) -> "alt.Scale":
    """Return the scale of an axis along which the levels of a factor lie."""
    import altair as alt

    if is_log:
        return alt.Scale(type="log", nice=False, padding=padding)
    return alt.Scale(zero=False, nice=False, padding=padding)


def epoch_axis(rows: list[dict[str, Any]]) -> "alt.Axis":
    """Return the axis along which the ``epoch`` of each row lies, with ticks at whole epochs alone."""
    import altair as alt

    epochs = [row["epoch"] for row in rows]
    num_steps = max(epochs) - min(epochs)
    return alt.Axis(tickCount=max(1, min(5, num_steps)), grid=False, format="d")


def themed(chart: "alt.LayerChart | alt.FacetChart | alt.ConcatChart | alt.Chart") -> dict[str, Any]:
    """Return a chart's specification with the shared look."""
    specification: dict[str, Any] = chart.to_dict()
    specification["background"] = None
    specification["config"] = {
        "font": _FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": INK,
            "titleColor": INK,
            "domainColor": INK,
            "tickColor": INK,
            "gridColor": INK,
            "gridOpacity": 0.12,
            "domainOpacity": 0.5,
            "tickOpacity": 0.5,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelLimit": 320,
            "labelFlush": False,
        },
        "header": {
            "labelColor": INK,
            "labelFontSize": 12,
            "labelLimit": 210,
            "title": None,
            "titleColor": INK,
        },
        "legend": {
            "labelColor": INK,
            "titleColor": INK,
            "orient": "top",
            "title": None,
            "labelFontSize": 12,
            "labelLimit": 400,
        },
        "text": {"color": INK},
        "title": {"color": INK, "fontSize": 12, "fontWeight": "normal"},
    }
    return specification
