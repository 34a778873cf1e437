"""Files of a figure: SVG, PDF, PNG, an interactive page, or its Vega-Lite specification."""

import json
import os
from collections.abc import Callable, Sequence

import vl_convert

from analysis.figures.drawing import Drawing, drawing
from analysis.report.pages import libraries, rendered
from analysis.results import Results
from cktf.errors import InputError
from cktf.storage import open_folder, write


def write_figure(results: Results, name: str, out: str | os.PathLike[str], factors: Sequence[str] = ()) -> str:
    """Write one figure of a run, and return its place.

    Args:
        results: As `analysis.load` gives them, of a run directory or of Parquet tables alone.
        name: A key of `analysis.figures.FIGURES`.
        out: The file; its suffix, a key of `RENDER`, decides the format.
        factors: Factors to look at, if the figure lets them be chosen.

    Raises:
        ValueError: If the suffix, the name or a factor is unknown, or the figure does not apply to the run; the message
            names what is allowed.
    """
    place = os.fspath(out)
    folder, slash, file = place.rpartition("/")
    kind = file.rpartition(".")[2]
    if kind not in RENDER or kind == file:
        known = ", ".join(f".{suffix}" for suffix in RENDER)
        raise InputError(f"{place}: the suffix of a figure's file is one of {known}")
    content = RENDER[kind](drawing(results, name, factors))
    write(open_folder(folder or slash or "."), file, content)
    return place


RENDER: dict[str, Callable[[Drawing], bytes]] = {
    "svg": lambda drawing: drawing.svg.encode(),
    "pdf": lambda drawing: bytes(vl_convert.svg_to_pdf(drawing.svg)),
    "png": lambda drawing: bytes(vl_convert.svg_to_png(drawing.svg, scale=2)),
    "html": lambda drawing: rendered("figure.html", {"drawing": drawing, "libraries": libraries()}).encode(),
    "json": lambda drawing: json.dumps(drawing.specification, indent=1, ensure_ascii=False).encode(),
}
"""Suffix -> the function that makes the file; HTML is interactive and needs no network."""
