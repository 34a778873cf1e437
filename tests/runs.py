"""Runs on a disk, for the tests of what a driver does with them."""

import io
import os
from typing import Any

from rich.console import Console

from cktf import driver as run_module
from cktf.plan.planner import Planner
from cktf.rows import EpochRow
from cktf.run.directory import STUDY, require_study
from cktf.run.growth import require_grown
from cktf.run.ledger import Ledger, read_ledger
from cktf.storage import Storage
from cktf.study.spec import StudySpec
from tests.kinds import RunToEnd


def rows_of(run_dir: str | os.PathLike[str], kind: Any) -> list[Any]:
    return [row for row in read_ledger(Storage(run_dir)) if isinstance(row, kind)]


def facts(run: str) -> Any:
    """What a run's trainings came to, which does not depend on how they were run."""
    return sorted((row.trial_id, row.epoch, row.train_loss, row.test_accuracy) for row in rows_of(run, EpochRow))


def printed_on(console: Console) -> str:
    """What a console in memory has been given."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def begin(spec: StudySpec, run_dir: str) -> None:
    """Plan a study, as a driver does that is killed before anything is trained."""
    run = Storage(run_dir)
    with Ledger(run) as ledger:
        run_module._planner(spec, run, ledger, retry_failed=False)


def go_on(
    spec: StudySpec, run_dir: str | os.PathLike[str], run_to_end: RunToEnd, score: Any, **how: Any
) -> tuple[Planner, list[str]]:
    """Launch, resume or extend a run without Ray, with made-up scores; return what it planned, and ran in order."""
    run = Storage(run_dir)
    stored = require_study(run) if run.exists(STUDY) else None
    if stored:
        require_grown(spec, stored, run)
    with Ledger(run) as ledger:
        planner = run_module._planner(spec, run, ledger, stored, retry_failed=False)
        order = run_to_end(planner, score, **how)
    return planner, order
