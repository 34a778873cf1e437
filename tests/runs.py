"""Runs on a disk, for the tests of what a driver does with them."""

import io
from typing import Any

from rich.console import Console

from cktf import driver as run_module
from cktf.run.ledger import Ledger, read_ledger
from cktf.storage import Storage
from cktf.study.spec import StudySpec


def rows_of(run_dir: str, kind: Any) -> list[Any]:
    return [row for row in read_ledger(Storage(run_dir)) if isinstance(row, kind)]


def printed_on(console: Console) -> str:
    """What a console in memory has been given."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def begin(spec: StudySpec, run_dir: str) -> None:
    """Plan a study, as a driver does that is killed before anything is trained."""
    run = Storage(run_dir)
    with Ledger(run) as ledger:
        run_module._planner(spec, run, ledger, retry_failed=False)
