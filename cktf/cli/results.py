"""The commands that read results: report, compare and plot."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cktf.cli.arguments import Address, RunDirectory
from cktf.cli.terminal import out, print_answers, say, table_of, warn
from cktf.errors import UserError
from cktf.foreign_options import AGAINST, KINDS, Options

if TYPE_CHECKING:
    from analysis.ledger.collect import Engine


PANEL = "Results that were not measured here"
"""Heading of the options for foreign results in the help."""


def with_foreign_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes each field of `Options` as an option, in place of its argument ``options``."""
    own = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = Options(**{option.name: given.pop(option.name) for option in fields(Options)})
        command(**given, options=options)

    added = [
        inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=option.default,
            annotation=Annotated[
                option.type,
                typer.Option(
                    f"--{option.name}",
                    metavar=option.metadata["metavar"],
                    help=option.metadata["help"],
                    rich_help_panel=PANEL,
                ),
            ],
        )
        for option in fields(Options)
    ]
    parameters = [each for name, each in own.parameters.items() if name != "options"]
    run.__signature__ = own.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined]
    return run


class ReportEngine(StrEnum):
    """Engine that parses the ledger for a report."""

    LOCAL = "local"
    RAY = "ray"


Places = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...", help="Run directories: folders or URIs; or a table, or what --from reads.", show_default=False
    ),
]
Kind = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="KIND",
        help=f"What is read: {', '.join(KINDS)}; default a run, of x.csv csv.",
        rich_help_panel=PANEL,
    ),
]
Against = Annotated[str | None, typer.Option(metavar="ARM", help=AGAINST)]


@with_foreign_options
def report(
    runs: Places,
    out_dir: Annotated[
        str | None, typer.Option("--out", help="Where it is written; default, of one run: RUN/report.")
    ] = None,
    engine: Annotated[
        ReportEngine, typer.Option(help="What reads the ledger: this process, or Ray Data on all machines.")
    ] = ReportEngine.LOCAL,
    address: Address = None,
    against: Against = None,
    kind: Kind = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show the page to this machine's browser, anew as the run grows.")
    ] = False,
    *,
    options: Options,
) -> None:
    """Turn runs, or foreign results, into Parquet tables, statistics, figures and one HTML page.

    Runs of one study are united; runs of different studies are contexts, each with its own baseline.
    """
    from analysis.foreign import kind_of
    from analysis.report.tables import main_tables
    from analysis.report.write import report_on

    if address is not None and engine is not ReportEngine.RAY:
        raise UserError(f"--address {address}: only --engine ray joins a cluster")
    if engine is ReportEngine.RAY and (len(runs) > 1 or kind is not None or against is not None):
        raise UserError("--engine ray: it reads the ledger of one run, without --from and --against")
    if serve and (len(runs) > 1 or kind_of(runs[0]) or kind is not None or options.given):
        raise UserError("--serve: it shows one run, whose ledger it watches")
    from cktf.cli.serving import serve_page  # which needs pyarrow

    with _ledger_reader(engine, address) as reader:
        write = functools.partial(report_on, runs, out_dir, kind, options, reader, against)
        paths = write()
        print_answers(main_tables(paths.results))
        warn((f"{part} {reason}" for part, reason in paths.unmade.items()), style="red")
        say(paths.files)
        if serve:
            serve_page(runs[0], paths, write)


@with_foreign_options
def compare(runs: Places, against: Against = None, kind: Kind = None, *, options: Options) -> None:
    """Print the verdicts on runs, or on foreign results; nothing is written."""
    from analysis.loading import results_of
    from analysis.report.tables import main_tables

    results = results_of(runs, kind, options, against)
    print_answers(main_tables(results))
    if results.facts.foreign:
        warn(results.facts.foreign.cannot_be_vouched_for)


@contextmanager
def _ledger_reader(engine: ReportEngine, address: str | None) -> "Iterator[Engine]":
    """Yield the function that parses the ledger; Ray stays connected until the report is written."""
    if engine is ReportEngine.LOCAL:
        from analysis.ledger.collect import parsed_here

        yield parsed_here
        return
    from cktf.cluster.environment import prepare

    if warning := prepare(is_local=address is None):
        warn([warning])
    from cktf.cluster.ledger_tables import parsed_on_ray
    from cktf.cluster.machine import Machine
    from cktf.cluster.nodes import connected

    with connected(Machine(address)):
        yield parsed_on_ray


def plot(
    run: RunDirectory,
    figure: Annotated[
        str | None, typer.Option(help="Which one; without it, those that apply to the run are listed.")
    ] = None,
    out_file: Annotated[
        str | None, typer.Option("--out", help="Its file: .svg, .pdf, .png, .html or .json; default NAME.svg.")
    ] = None,
    factor: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="A factor to look at, where the figure is of one or two of them."),
    ] = None,
) -> None:
    """Write one figure of a run, or list those that apply to it."""
    from analysis.figures.drawing import applicable
    from analysis.loading import load
    from analysis.report.drawing import write_figure

    if figure is None and (out_file or factor):
        raise UserError("--out and --factor are of one figure: name it by --figure")
    results = load(run)
    if figure is None:
        out.print(table_of(("figure", "what it shows"), applicable(results).items()))
    else:
        say([write_figure(results, figure, out_file or f"{figure}.svg", factor or ())])
