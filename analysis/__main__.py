"""Reports and figures without the half that trains, torch and Ray.

``python -m analysis report RUN`` writes the report of a run, or of several runs, or of foreign results;
``python -m analysis plot PLACE --figure NAME --out FILE`` one figure, of a run or of the Parquet tables of a report.
"""

import argparse
import sys
from dataclasses import fields

from analysis.figures.drawing import applicable
from analysis.loading import load
from analysis.report.drawing import WITHOUT_FIGURE, write_figure
from analysis.report.table import markdown
from analysis.report.tables import main_tables
from analysis.report.write import report_on
from cktf.errors import InputError, UserError, fault
from cktf.foreign_options import AGAINST, TAKES, Options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 2 the input is wrong, 70 a fault of the program."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _add_report(commands.add_parser("report", help="write the tables, figures and page of runs"))
    plot = commands.add_parser("plot", help="write one figure, or list those that apply")
    plot.add_argument("place", metavar="PLACE", help="run directory, folder of Parquet tables, or one of these")
    plot.add_argument("--figure", metavar="NAME", help="which one; without it, those that apply are listed")
    plot.add_argument("--out", metavar="FILE", help=".svg, .pdf, .png, .html or .json (default: NAME.svg)")
    plot.add_argument(
        "--factor", metavar="PATH", action="append", default=[], help="a factor to look at; may be repeated"
    )
    plot.set_defaults(command=_plot)
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except Exception as error:
        sys.stderr.write(f"{fault(error)}\n")
        return 70
    return 0


def _add_report(report: argparse.ArgumentParser) -> None:
    report.add_argument("runs", metavar="RUN", nargs="+", help="run directories, folders or URIs; or what --from reads")
    report.add_argument("--out", metavar="DIR", help="where the report goes (default, of one run: RUN/report)")
    report.add_argument("--against", metavar="ARM", help=AGAINST)
    foreign = report.add_argument_group("foreign results, which were not measured here")
    foreign.add_argument("--from", dest="kind", metavar="KIND", help=f"what is read: {', '.join(TAKES)}")
    for of in fields(Options):
        text = of.metadata["help"]
        if isinstance(of.default, bool):
            foreign.add_argument(f"--{of.name}", action="store_true", help=text)
        else:
            kind = float if of.name in ("delta", "margin") else str
            action = "append" if of.name == "contrast" else "store"
            foreign.add_argument(f"--{of.name}", type=kind, metavar=of.metadata["metavar"], help=text, action=action)
    report.set_defaults(command=_report)


def _report(given: argparse.Namespace) -> None:
    options = Options(**{of.name: getattr(given, of.name) for of in fields(Options)})
    paths = report_on(given.runs, given.out, given.kind, options, against=given.against)
    for table in main_tables(paths.results):
        sys.stdout.write(f"{table.title}\n\n{markdown(table.rows)}\n")
        if table.remark:
            sys.stdout.write(f"{table.remark}\n\n")
    for part, reason in paths.unmade.items():
        sys.stderr.write(f"{part} {reason}\n")
    sys.stdout.write("\n".join(paths.files) + "\n")


def _plot(options: argparse.Namespace) -> None:
    if options.figure is None and (options.out or options.factor):
        raise InputError(WITHOUT_FIGURE)
    results = load(options.place)
    if options.figure is None:
        for name, title in applicable(results).items():
            sys.stdout.write(f"{name}: {title}\n")
        return
    out = options.out or f"{options.figure}.svg"
    sys.stdout.write(f"{write_figure(results, options.figure, out, options.factor)}\n")


if __name__ == "__main__":
    sys.exit(main())
