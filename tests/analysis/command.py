"""The command line, run in this process; what it prints is printed here."""

import sys
from pathlib import Path

from tests.cli.commands import cktf


def main(arguments: list[str]) -> int:
    """Run ``cktf`` with these arguments and return its exit code."""
    code, out, err = cktf(*arguments, cwd=Path.cwd())
    sys.stdout.write(out)
    sys.stderr.write(err)
    return code
