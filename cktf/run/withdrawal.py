"""A trial taken back: its files are deleted, and the ledger says that its result does not count. No PyTorch here."""

import time
from collections.abc import Callable
from dataclasses import replace

from cktf.errors import InputError, naming, visible
from cktf.names import arm_label
from cktf.rows import WITHDRAWN, EndRow, Stage, Status
from cktf.run.ledger import Ledger, read_ledger
from cktf.run.one_trial import find_trial
from cktf.run.progress import read_run
from cktf.storage import TRIALS, Storage


def withdraw(
    run_dir: str, is_sure: Callable[[str], bool], trial: str | None, arm: str | None, seed: int | None, reason: str
) -> str:
    """Withdraw a trial of a run, and return what was done; empty if ``is_sure`` says no to its description.

    A row is added that ends the trial as a failed one, with the reason, so that reports list it and ``resume
    --retry-failed`` trains it from its beginning. Nothing is taken from the ledger. One that has not ended loses its
    files, and the epochs that it has do not count. The trial is named as for `cktf.run.one_trial.find_trial`.

    Raises:
        UserError: If there is no such trial, it trains a teacher, or the run is in use.
    """
    run = Storage(run_dir)
    read_run(run_dir)  # a lock is written only where there is a run
    with naming(run.root):
        ledger = Ledger(run)
    with ledger:
        found = find_trial(read_run(run_dir, read_ledger)[1], trial, arm, seed)
        row, end = found.planned, found.end
        if row.stage == Stage.TEACHER:
            raise InputError(f"{row.trial_id}: trains a teacher, whose students have learnt from it")
        what = f"{arm_label(row.arm, row.context)}, {row.replicate} ({row.trial_id}), {found.status}"
        if not is_sure(what):
            return ""
        with naming(run.root):
            if end or found.curve:
                said = ": ".join(filter(None, (WITHDRAWN, visible(" ".join(reason.split())))))
                last = end or EndRow(trial_id=row.trial_id, status=Status.FAILED, epochs=len(found.curve))
                ledger.append(replace(last, status=Status.FAILED, reason=said, time=time.time()))
                if end is None:
                    ledger.append(row)
                ledger.flush()
            run.child(TRIALS, row.trial_id).clear()
    again = "resume" if end is None else "resume --retry-failed"
    return f"{what}: withdrawn; 'cktf {again}' trains it from its beginning"
