"""Everything a run has to say, written at once: Parquet tables, figures, tables for a paper, one page."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet
from pyarrow import fs

from analysis.collect import FACTS_KEY, VERSION_KEY, collect
from analysis.folder import open_folder, write
from analysis.load import load
from analysis.results import Facts, Results
from cktf.rows import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd

DERIVED = ("arms", "effects", "over_contexts", "ranks", "interactions", "leaderboard", "importance")
"""Tables that are derived from trials and epochs; written where they hold anything."""

EXPOSE = "window.vegaEmbed = vegaEmbed;"
"""What the page's own script sees of the bundled libraries."""


@dataclass(frozen=True)
class ReportPaths:
    """Where a report lies.

    Attributes:
        html: The page: one file that needs no network.
        tables: Name to Parquet file: ``trials``, ``epochs``, ``arms``, ``effects``, ...
        figures: Name to vector file; a PNG and a PDF of the same name lie beside each.
        papers: Tables in Markdown, LaTeX and CSV.
        results: What is reported.
    """

    html: str
    tables: dict[str, str]
    figures: dict[str, str]
    papers: list[str]
    results: Results

    @property
    def files(self) -> list[str]:
        """All of them, the page first."""
        return [self.html, *self.tables.values(), *self.figures.values(), *self.papers]


def write_report(run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> ReportPaths:
    """Write the report of a run and return where everything lies.

    Args:
        run: The run directory, a folder or a URI. It may still be running.
        out: Where the report goes; ``RUN/report`` by default.

    Raises:
        ValueError: If there is no ledger, or a line of it is broken other than by a killed writer.
    """
    place = os.fspath(out) if out is not None else f"{os.fspath(run).rstrip('/')}/report"
    folder = open_folder(place)
    trials, epochs = collect(run, place)
    results = load(place)
    tables = {"trials": trials, "epochs": epochs}
    for name in DERIVED:
        frame: pd.DataFrame = getattr(results, name)
        if not frame.empty:
            tables[name] = f"{place}/{name}.parquet"
            write(folder, f"{name}.parquet", _parquet(frame, results.facts))
    papers = [f"{place}/{name}" for name in _write_papers(folder, results)]
    specifications = figure_specifications(results)
    for name, figure in specifications.items():
        _write_figure(folder, name, figure["specification"])
    write(folder, "report.html", page(results, specifications).encode())
    figures = {name: f"{place}/figures/{name}.svg" for name in specifications}
    return ReportPaths(f"{place}/report.html", tables, figures, papers, results)


def figure_specifications(results: Results) -> dict[str, dict[str, Any]]:
    """Return the figures that apply: name to ``title``, ``caption`` and Vega-Lite ``specification``."""
    from analysis.figures import FIGURES
    from analysis.figures.theme import themed

    found = {}
    for name, figure in FIGURES.items():
        record = figure.record(results)
        if record is not None:
            specification = themed(figure.chart(record))
            found[name] = {"title": figure.title, "caption": record.caption, "specification": specification}
    return found


def page(results: Results, specifications: dict[str, dict[str, Any]]) -> str:
    """Return the HTML page. Whatever comes from the study is escaped, inside the embedded figures too."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    from analysis.methods import methods_text, provenance_rows
    from analysis.side_tables import side_tables
    from analysis.tables import SMOKE, main_tables, trial_rows

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html").render(
        study=results.facts.study,
        facts=results.facts,
        smoke=SMOKE,
        main_tables=main_tables(results),
        side_tables=side_tables(results),
        is_search_score=results.arms.empty,
        figures=specifications,
        trial_rows=trial_rows(results),
        status_counts=results.trials["status"].value_counts().to_dict(),
        methods=methods_text(results),
        provenance=provenance_rows(results),
        bundle=Markup(_libraries()) if specifications else "",  # noqa: S704 - nothing of the study is in it
    )


@cache
def _libraries() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    bundle = vl_convert.javascript_bundle(EXPOSE)
    assert "</script" not in bundle
    return bundle


def _parquet(frame: "pd.DataFrame", facts: Facts) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {VERSION_KEY: str(SCHEMA_VERSION).encode(), FACTS_KEY: facts.to_json().encode()}
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _write_papers(folder: fs.SubTreeFileSystem, results: Results) -> list[str]:
    """Write the statistics as CSV with every digit, what people read in Markdown and LaTeX; return the names."""
    from analysis.latex import latex
    from analysis.side_tables import side_tables
    from analysis.tables import csv, main_tables, markdown_tables

    papers = {f"{name}.csv": csv(frame) for name in DERIVED if not (frame := getattr(results, name)).empty}
    answering = "leaderboard" if results.arms.empty else "effects"
    sides = {name: [table] for name, table in side_tables(results).items()}
    for name, tables in {answering: main_tables(results), **sides}.items():
        papers |= {f"{name}.md": markdown_tables(tables), f"{name}.tex": latex(tables)}
    for name, content in papers.items():
        write(folder, f"tables/{name}", content.encode())
    return [f"tables/{name}" for name in papers]


def _write_figure(folder: fs.SubTreeFileSystem, name: str, specification: dict[str, Any]) -> None:
    """Write one figure as SVG, PNG and PDF, on white paper."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg(specification | {"background": "white"}, allowed_base_urls=[])
    write(folder, f"figures/{name}.svg", svg.encode())
    write(folder, f"figures/{name}.png", vl_convert.svg_to_png(svg, scale=2))
    write(folder, f"figures/{name}.pdf", vl_convert.svg_to_pdf(svg))
