"""``python -m analysis report RUN``: a report without the half that trains, torch and Ray."""

import argparse
import sys

from analysis.report import write_report
from analysis.tables import main_tables, markdown


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 2 the user's input is wrong."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="write the tables, figures and page of a run")
    report.add_argument("run", metavar="RUN", help="run directory, a folder or a URI")
    report.add_argument("--out", metavar="DIR", help="where the report goes (default: RUN/report)")
    options = parser.parse_args(arguments)
    try:
        paths = write_report(options.run, options.out)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for table in main_tables(paths.results):
        sys.stdout.write(f"{table.title}\n\n{markdown(table.rows)}\n")
        if table.remark:
            sys.stdout.write(f"{table.remark}\n\n")
    sys.stdout.write("\n".join(paths.files) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
