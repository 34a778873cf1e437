"""Everything a run has to say, written at once: Parquet tables, figures, tables for a paper, one page."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import fs

from analysis.collect import Engine, collect, report_place
from analysis.earlier import forget_earlier
from analysis.epochs import FOLDER, delete_other_parts, part_name
from analysis.figures import FIGURES
from analysis.folder import below, open_folder, without_slash, write
from analysis.foreign import NOTHING_SAID, Options
from analysis.foreign import read as read_foreign
from analysis.in_memory import RowsInMemory
from analysis.load import load
from analysis.pages import html_page, libraries
from analysis.parquet import metadata_of, parquet_bytes
from analysis.plot import RENDER, Drawing, all_drawings
from analysis.results import Facts, Results
from analysis.trials import TRIALS_FILE

if TYPE_CHECKING:
    import pandas as pd

DERIVED = (
    *("arms", "effects", "best", "over_contexts", "ranks", "interactions"),
    *("health", "leaderboard", "confirmed", "importance"),
)
"""Tables that are derived from trials and epochs; written where they hold anything."""

FOR_PAPERS = (*DERIVED, "pairing", "importances")
"""Tables that people read; written, in some of these kinds, where they hold anything."""

PAPER_KINDS = ("csv", "md", "tex")

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
    place = report_place(run, out)
    trials, epochs = collect(run, place, engine)
    return _write_rest(load(place), place, {"trials": trials, "epochs": epochs})


def write_results(results: Results, out: str | os.PathLike[str]) -> ReportPaths:
    """Write the report of results of any origin, several runs or foreign ones, and return where everything lies.

    Args:
        results: As `analysis.load` and `analysis.foreign` give them.
        out: Where the report goes. `analysis.load` reads it again.
    """
    place = without_slash(out)
    folder = open_folder(place)
    forget_earlier(folder)
    parts = {TRIALS_FILE: results.trials, part_name(0): results.epochs}
    for name, frame in parts.items():
        write(folder, name, _parquet(frame, results.facts))
    delete_other_parts(folder, set(parts))
    return _write_rest(results, place, {"trials": below(place, TRIALS_FILE), "epochs": below(place, FOLDER)})


def report_on(
    places: Sequence[str],
    out: str | None,
    kind: str | None = None,
    options: Options = NOTHING_SAID,
    engine: Engine = RowsInMemory,
) -> ReportPaths:
    """Write the report that a command line asks for, and return where everything lies.

    Args:
        places: Run directories; or one place of foreign results.
        out: Where the report goes; None, which only one run allows: beside it.
        kind: Of foreign results; None: they are runs.
        options: What is said of foreign results.
        engine: What parses the ledger of one run, see `analysis.collect.collect`; those of several are parsed in this
            process.

    Raises:
        ValueError: If something is missing or does not fit, or the results cannot be read.
    """
    if kind is None and options.given:
        raise ValueError(f"--{options.given[0]}: only foreign results take it (--from); a run says it itself")
    if out is not None:
        _refuse_other_folder(out)
    if kind is None and len(places) == 1:
        return write_report(places[0], out, engine)
    if out is None:
        what = "several runs" if kind is None else "foreign results"
        raise ValueError(f"--out is missing: the report of {what} has no place of its own")
    if kind is None:
        return write_results(load(*places), out)
    if len(places) > 1:
        raise ValueError(f"--from {kind} reads one place; got {', '.join(places)}")
    return write_results(read_foreign(kind, places[0], options), out)


def _refuse_other_folder(out: str) -> None:
    """Refuse a file, and a folder that holds anything but a report, which would lie among it."""
    if "://" not in out and Path(out).expanduser().is_file():
        raise ValueError(f"--out {out}: is a file; a report needs a folder")
    selector = fs.FileSelector("", allow_not_found=True)
    names = sorted(info.base_name for info in open_folder(out).get_file_info(selector))
    if TRIALS_FILE in names:
        return
    own = ("figures", "tables", "report.html")
    if others := [
        name for name in names if not (name in own or name.endswith(".parquet") or name.startswith("."))
    ]:
        raise ValueError(
            f"--out {out}: holds no report, but {', '.join(others[:3])}{' and more' if len(others) > 3 else ''}; "
            "choose a folder that is new or empty"
        )


def _write_rest(results: Results, place: str, tables: dict[str, str]) -> ReportPaths:
    """Write all but the two tables that everything else is derived from."""
    drawings = all_drawings(results)
    derived = {name: frame for name in DERIVED if not (frame := getattr(results, name)).empty}
    files = {f"{name}.parquet": _parquet(frame, results.facts) for name, frame in derived.items()}
    papers = {f"tables/{name}": text.encode() for name, text in _papers(results).items()}
    files |= papers
    for name, drawing in drawings.items():
        files |= {f"figures/{name}.{kind}": RENDER[kind](drawing) for kind in FIGURE_KINDS}
    folder = open_folder(place)
    for name, content in files.items():
        write(folder, name, content)
    write(folder, "report.html", page(results, drawings).encode())
    _delete_earlier(folder, files)
    return ReportPaths(
        html=below(place, "report.html"),
        tables=tables | {name: below(place, f"{name}.parquet") for name in derived},
        figures={name: below(place, f"figures/{name}.svg") for name in drawings},
        papers=[below(place, name) for name in papers],
        results=results,
    )


def _delete_earlier(folder: fs.SubTreeFileSystem, written: Iterable[str]) -> None:
    """Delete what an earlier report may have written that this one has not, so that nothing there contradicts it."""
    possible = {f"{name}.parquet" for name in DERIVED}
    possible |= {f"tables/{name}.{kind}" for name in FOR_PAPERS for kind in PAPER_KINDS}
    possible |= {f"figures/{name}.{kind}" for name in FIGURES for kind in FIGURE_KINDS}
    for info in folder.get_file_info(sorted(possible.difference(written))):
        if info.is_file:
            folder.delete_file(info.path)


def page(results: Results, drawings: dict[str, Drawing]) -> str:
    """Return the HTML page. Whatever comes from the study is escaped, inside the embedded figures too."""
    from analysis.methods import methods_text, provenance_rows
    from analysis.scope import scope_text
    from analysis.side_tables import side_tables
    from analysis.tables import SMOKE, main_tables
    from analysis.trial_table import trial_table

    values = {
        "study": results.facts.study,
        "facts": results.facts,
        "smoke": SMOKE,
        "main_tables": main_tables(results),
        "side_tables": side_tables(results),
        "scope": scope_text(results),
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


def _papers(results: Results) -> dict[str, str]:
    """Return files by name: the statistics as CSV with every digit, what people read in Markdown and LaTeX."""
    from analysis.latex import latex, text
    from analysis.methods import methods_text
    from analysis.side_tables import side_tables
    from analysis.tables import csv, main_name, main_tables, markdown_tables

    papers = {f"{name}.csv": csv(frame) for name in DERIVED if not (frame := getattr(results, name)).empty}
    sides = {name: [table] for name, table in side_tables(results).items()}
    for name, tables in {main_name(results): main_tables(results), **sides}.items():
        papers |= {f"{name}.md": markdown_tables(tables), f"{name}.tex": latex(tables)}
    methods = methods_text(results)
    return papers | {"methods.md": f"{methods}\n", "methods.tex": f"{text(methods)}\n"}
