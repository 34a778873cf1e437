"""Writing of a report: Parquet tables, figures, tables for a paper, one HTML page."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.facts import Facts
from analysis.figures import FIGURES
from analysis.figures.drawing import Drawing, all_drawings
from analysis.foreign import kind_of
from analysis.ledger.collect import Engine, ledger_tables, parsed_here, report_place
from analysis.ledger.columns import metadata_of, parquet_bytes
from analysis.ledger.epochs import EPOCHS_FILE
from analysis.ledger.trials import TRIALS_FILE
from analysis.loading import results_from_tables, results_of
from analysis.record import Record
from analysis.report.answer import answer_text
from analysis.report.citations import cited
from analysis.report.drawing import RENDER
from analysis.report.latex import latex, tabular, text
from analysis.report.methods import methods_text
from analysis.report.pages import libraries, rendered
from analysis.report.provenance import provenance_rows
from analysis.report.reading import is_look, scope_text
from analysis.report.table import SMOKE, csv, main_name, markdown_tables, markdown_text
from analysis.report.tables import TABLES, main_tables, side_tables
from analysis.report.trial_table import trial_table
from analysis.results import Results
from analysis.statistics.any_table import of_fixed_arms
from analysis.unmade import noted
from cktf.errors import InputError, naming
from cktf.foreign_options import NOTHING_SAID, Options
from cktf.rows import Status
from cktf.storage import below, open_folder, without_slash, write_all

DERIVED = (
    *("arms", "effects", "measures", "best", "over_contexts", "over_teachers", "ranks", "interactions", "shapley"),
    *("teachers", "health", "leaderboard", "confirmed", "pareto", "importance", "path"),
)
"""Tables that are derived from trials and epochs; written unless they are empty."""

AFTERTHOUGHT = "afterthought"
"""Folder of a run's report on comparisons that its study did not plan."""

PAPER_KINDS = ("csv", "md", "tex")
"""Suffixes of the files of a table: its statistics with every digit, and the table for readers."""

FIGURE_KINDS = ("svg", "png", "pdf")
"""Suffixes of the files of each figure, the vector file first."""

POSSIBLE = frozenset(
    {"report.html", TRIALS_FILE, EPOCHS_FILE}
    | {f"{name}.parquet" for name in DERIVED}
    | {f"tables/{name}.{kind}" for name in {*DERIVED, *TABLES, "methods"} for kind in PAPER_KINDS}
    | {"tables/methods.bib", *(f"tables/{name}_tabular.tex" for name in TABLES)}
    | {f"figures/{name}.{kind}" for name in FIGURES for kind in (*FIGURE_KINDS, "txt")}
)
"""Files that a report may have."""


@dataclass(frozen=True)
class ReportPaths:
    """The paths of all files of a written report.

    Attributes:
        html: The page: one file that needs no network.
        tables: Name -> Parquet file: ``trials``, ``epochs``, ``arms``, ``effects``, ...
        figures: Name -> SVG file; a PNG, a PDF and the caption, of the same name, lie beside it.
        papers: Tables in Markdown, LaTeX and CSV, the methods paragraph and its references.
        results: The reported results.
        unmade: Part that could not be made -> the reason, which stands in its place.
    """

    html: str
    tables: dict[str, str]
    figures: dict[str, str]
    papers: list[str]
    results: Results
    unmade: dict[str, str]

    @property
    def files(self) -> list[str]:
        """Paths of all files, the page first."""
        return [self.html, *self.tables.values(), *self.figures.values(), *self.papers]


def write_report(
    run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, engine: Engine = parsed_here
) -> ReportPaths:
    """Write the report of a run and return the paths of its files.

    Args:
        run: The run directory, a folder or a URI. It may still be running.
        out: Where the report goes; ``RUN/report`` by default.
        engine: Function that parses the ledger; see `analysis.ledger.collect.collect`.

    Raises:
        ValueError: If there is no ledger, a line of it is broken other than by a killed writer, or a file that no
            earlier report wrote is in the place of one that is to be written.
    """
    with naming(run):
        trials, epochs = ledger_tables(run, engine)
    tables = {TRIALS_FILE: parquet_bytes(trials), EPOCHS_FILE: parquet_bytes(epochs)}
    return _written(results_from_tables(trials, epochs), report_place(run, out), tables)


def write_results(results: Results, out: str | os.PathLike[str]) -> ReportPaths:
    """Write the report of results of any origin, several runs or foreign ones, and return the paths of its files.

    Args:
        results: As `analysis.load` and `analysis.foreign` give them.
        out: Where the report goes. `analysis.load` reads it again.

    Raises:
        ValueError: If a file that no earlier report wrote is in the place of one that is to be written.
    """
    frames = {TRIALS_FILE: results.trials, EPOCHS_FILE: results.epochs}
    tables = {name: _parquet(frame, results.facts) for name, frame in frames.items()}
    return _written(results, without_slash(out), tables)


def report_on(
    places: Sequence[str],
    out: str | None,
    kind: str | None = None,
    options: Options = NOTHING_SAID,
    engine: Engine = parsed_here,
    against: str | None = None,
) -> ReportPaths:
    """Write the report that a command line asks for, and return the paths of its files.

    Arguments are those of `results_of` and `write_report`. Only the report of one run can do without ``out``: it then
    goes to ``RUN/report``, or with ``against`` to ``RUN/afterthought``. ``engine`` is used by `write_report` alone.

    Raises:
        ValueError: If something is missing or does not fit, or the results cannot be read.
    """
    kind = kind or kind_of(places[0])
    if kind is None and len(places) == 1 and against is None and not options.given:
        return write_report(places[0], out, engine)
    if kind is None and len(places) == 1 and out is None:
        out = below(places[0], AFTERTHOUGHT)
    if out is None:
        what = "several runs" if kind is None else "foreign results"
        raise InputError(f"--out is missing: the report of {what} has no place of its own")
    return write_results(results_of(places, kind, options, against), out)


def _written(results: Results, place: str, tables: dict[str, bytes]) -> ReportPaths:
    """Write a report with these tables of trials and epochs, and delete what is left of an earlier one."""
    record, study = Record(place), results.facts.study
    record.refuse_others(POSSIBLE)  # before the rest is computed, which takes long
    record.claim({*tables})
    complete = int((of_fixed_arms(results.trials)["status"] == Status.COMPLETE).sum())
    num_reports = record.looked(study.run, complete, is_look=is_look(results))
    results = replace(results, facts=replace(results.facts, num_reports=num_reports))
    made, unmade = _made(results)
    files = tables | made
    record.claim({*files})
    write_all(open_folder(place), files)
    # Nothing that is left of an earlier report may contradict this one.
    record.release(record.names - {*files})
    named = {"trials": TRIALS_FILE, "epochs": EPOCHS_FILE} | {name: f"{name}.parquet" for name in DERIVED}
    pictures = {name: f"figures/{name}.{FIGURE_KINDS[0]}" for name in FIGURES}
    return ReportPaths(
        html=below(place, "report.html"),
        tables={name: below(place, file) for name, file in named.items() if file in files},
        figures={name: below(place, picture) for name, picture in pictures.items() if picture in files},
        papers=[below(place, name) for name in files if name.startswith("tables/")],
        results=results,
        unmade=unmade,
    )


def _made(results: Results) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the files of a report, without the tables of trials and epochs, and why other parts could not be made."""
    unmade: dict[str, str] = {}
    derived: dict[str, pd.DataFrame] = {}
    for name in DERIVED:
        with noted(unmade, f"table {name}"):
            if not (frame := getattr(results, name)).empty:
                derived[name] = frame
    papers = {f"tables/{name}": text.encode() for name, text in _papers(results, derived, unmade).items()}
    drawings, why_not = all_drawings(results)
    pictures: dict[str, bytes] = {}
    for name, drawing in [*drawings.items()]:
        with noted(why_not, name):
            pictures |= {f"figures/{name}.{kind}": RENDER[kind](drawing) for kind in FIGURE_KINDS}
            pictures[f"figures/{name}.txt"] = f"{drawing.caption}\n".encode()
        if name in why_not:
            del drawings[name]
    html = page(results, drawings, why_not, unmade)
    unmade |= {f"figure {name}": reason for name, reason in why_not.items()}
    files = {f"{name}.parquet": _parquet(frame, results.facts) for name, frame in derived.items()}
    return files | papers | pictures | {"report.html": html.encode()}, unmade


def _part(unmade: dict[str, str], what: str, make: Callable[[Results], Any], results: Results, otherwise: Any) -> Any:
    """Return a part of the page; if it cannot be made, ``otherwise``, with the reason stored in ``unmade``."""
    with noted(unmade, what):
        return make(results)
    return otherwise


def page(results: Results, drawings: dict[str, Drawing], why_not: dict[str, str], unmade: dict[str, str]) -> str:
    """Return the HTML page. Whatever comes from the study is escaped, inside the embedded figures too.

    Figures that could not be made are in ``why_not``, with the reason; other parts are added to ``unmade``.
    """
    return rendered(
        "report.html",
        {
            "study": results.facts.study,
            "facts": results.facts,
            "smoke": SMOKE,
            "answer": _part(unmade, "answer", answer_text, results, ""),
            "main_tables": main_tables(results),
            "side_tables": side_tables(results),
            "figures": {name: FIGURES[name].title for name in FIGURES if name in {*drawings, *why_not}},
            "drawings": drawings,
            "why_not": why_not,
            "status_counts": results.trials["status"].value_counts().to_dict(),
            "methods": _part(unmade, "methods", methods_text, results, "") or unmade["methods"],
            "scope": _part(unmade, "scope", scope_text, results, ""),
            "is_search_score": _part(unmade, "table arms", main_name, results, "effects") == "leaderboard",
            "trials": _part(unmade, "trials", trial_table, results, {"columns": [], "rows": []}),
            "provenance": _part(unmade, "provenance", provenance_rows, results, []),
            "libraries": libraries() if drawings else "",
            "unmade": unmade,
        },
    )


def _parquet(frame: pd.DataFrame, facts: Facts) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return parquet_bytes(table.replace_schema_metadata(metadata_of(facts)))


def _papers(results: Results, derived: dict[str, pd.DataFrame], unmade: dict[str, str]) -> dict[str, str]:
    """Return file name -> text: statistics as CSV with every digit, tables and methods in Markdown and LaTeX."""
    papers = {f"{name}.csv": csv(frame) for name, frame in derived.items()}
    answer = _part(unmade, "table effects", main_name, results, "effects")
    sides = {name: [table] for name, table in side_tables(results).items()}
    for name, tables in {answer: main_tables(results), **sides}.items():
        unmade |= {f"table {table.title}": table.why_not for table in tables if table.why_not}
        papers |= {f"{name}.md": markdown_tables(tables), f"{name}.tex": latex(tables)}
        for number, table in enumerate((table for table in tables if len(table.rows) > 1), 1):
            papers[f"{name}_tabular{f'_{number}' if number > 1 else ''}.tex"] = tabular(table)
    methods = _part(unmade, "methods", methods_text, results, "") or unmade["methods"]
    entries = cited(results.trials)
    published = ""
    if entries:
        published = " Methods and networks: " + ", ".join(rf"{key}~\cite{{{key}}}" for key in entries) + "."
        papers["methods.bib"] = "\n\n".join(entries.values()) + "\n"
    return papers | {"methods.md": f"{markdown_text(methods)}\n", "methods.tex": f"{text(methods)}{published}\n"}
