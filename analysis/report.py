"""Everything a run has to say, written at once: Parquet tables, figures, tables for a paper, one page."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import fs

from analysis.collect import Engine, collect
from analysis.folder import open_folder, write
from analysis.in_memory import RowsInMemory
from analysis.load import load
from analysis.pages import html_page, libraries
from analysis.parquet import metadata_of, parquet_bytes
from analysis.plot import RENDER, Drawing, all_drawings
from analysis.results import Facts, Results

if TYPE_CHECKING:
    import pandas as pd

DERIVED = (
    *("arms", "effects", "over_contexts", "ranks", "interactions"),
    *("health", "leaderboard", "confirmed", "importance"),
)
"""Tables that are derived from trials and epochs; written where they hold anything."""

FIGURE_KINDS = ("svg", "png", "pdf")
"""In which each figure is written."""


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


def write_report(
    run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, engine: Engine = RowsInMemory
) -> ReportPaths:
    """Write the report of a run and return where everything lies.

    Args:
        run: The run directory, a folder or a URI. It may still be running.
        out: Where the report goes; ``RUN/report`` by default.
        engine: What parses the ledger; see `analysis.collect.collect`.

    Raises:
        ValueError: If there is no ledger, or a line of it is broken other than by a killed writer.
    """
    place = os.fspath(out) if out is not None else f"{os.fspath(run).rstrip('/')}/report"
    folder = open_folder(place)
    trials, epochs = collect(run, place, engine)
    results = load(place)
    tables = {"trials": trials, "epochs": epochs}
    for name in DERIVED:
        frame: pd.DataFrame = getattr(results, name)
        if not frame.empty:
            tables[name] = f"{place}/{name}.parquet"
            write(folder, f"{name}.parquet", _parquet(frame, results.facts))
    papers = [f"{place}/{name}" for name in _write_papers(folder, results)]
    drawings = all_drawings(results)
    for name, drawing in drawings.items():
        for kind in FIGURE_KINDS:
            write(folder, f"figures/{name}.{kind}", RENDER[kind](drawing))
    write(folder, "report.html", page(results, drawings).encode())
    figures = {name: f"{place}/figures/{name}.svg" for name in drawings}
    return ReportPaths(f"{place}/report.html", tables, figures, papers, results)


def page(results: Results, drawings: dict[str, Drawing]) -> str:
    """Return the HTML page. Whatever comes from the study is escaped, inside the embedded figures too."""
    from analysis.methods import methods_text, provenance_rows
    from analysis.side_tables import side_tables
    from analysis.tables import SMOKE, main_tables
    from analysis.trial_table import trial_table

    values = {
        "study": results.facts.study,
        "facts": results.facts,
        "smoke": SMOKE,
        "main_tables": main_tables(results),
        "side_tables": side_tables(results),
        "is_search_score": results.arms.empty,
        "drawings": drawings,
        "trials": trial_table(results),
        "status_counts": results.trials["status"].value_counts().to_dict(),
        "methods": methods_text(results),
        "provenance": provenance_rows(results),
        "libraries": libraries() if drawings else "",
    }
    return html_page("report.html", values)


def _parquet(frame: "pd.DataFrame", facts: Facts) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return parquet_bytes(table.replace_schema_metadata(metadata_of(facts)))


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
