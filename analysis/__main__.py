"""Reports and figures without the half that trains, torch and Ray.

``python -m analysis report RUN`` writes the report of a run; ``python -m analysis plot PLACE --figure NAME --out FILE``
one figure, of a run or of its Parquet tables alone.
"""

import argparse
import sys

from analysis.load import load
from analysis.plot import applicable, write_figure
from analysis.report import write_report
from analysis.tables import main_tables, markdown


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 2 the user's input is wrong."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    commands = parser.add_subparsers(required=True)
    report = commands.add_parser("report", help="write the tables, figures and page of a run")
    report.add_argument("run", metavar="RUN", help="run directory, a folder or a URI")
    report.add_argument("--out", metavar="DIR", help="where the report goes (default: RUN/report)")
    report.set_defaults(command=_report)
    plot = commands.add_parser("plot", help="write one figure, or list those that apply")
    plot.add_argument(
        "place", metavar="PLACE", help="run directory, folder of Parquet tables, or one of these"
    )
    plot.add_argument("--figure", metavar="NAME", help="which one; without it, those that apply are listed")
    plot.add_argument("--out", metavar="FILE", help=".svg, .pdf, .png, .html or .json (default: NAME.svg)")
    plot.add_argument(
        "--factor", metavar="PATH", action="append", default=[], help="a factor to look at; may be repeated"
    )
    plot.set_defaults(command=_plot)
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _report(options: argparse.Namespace) -> None:
    paths = write_report(options.run, options.out)
    for table in main_tables(paths.results):
        sys.stdout.write(f"{table.title}\n\n{markdown(table.rows)}\n")
        if table.remark:
            sys.stdout.write(f"{table.remark}\n\n")
    sys.stdout.write("\n".join(paths.files) + "\n")


def _plot(options: argparse.Namespace) -> None:
    results = load(options.place)
    if options.figure is None:
        for name, title in applicable(results).items():
            sys.stdout.write(f"{name}: {title}\n")
        return
    out = options.out or f"{options.figure}.svg"
    sys.stdout.write(f"{write_figure(results, options.figure, out, options.factor)}\n")


if __name__ == "__main__":
    sys.exit(main())
