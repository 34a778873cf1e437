"""A study whose driver is killed: every planned trial is complete once, and nothing is lost.

Other deaths are in ``tests/faults``.
"""

import io
from pathlib import Path

import pytest
from rich.console import Console

from cktf.driver import resume
from cktf.rows import EndRow, EpochRow, PlannedRow
from cktf.storage import Storage
from cktf.trainer.checkpoint import load_checkpoint, trial_storage
from tests.drivers import assert_complete_once, kill_driver, start_driver, wait_until
from tests.kinds import FindProcesses, MakeSpec
from tests.runs import rows_of


@pytest.mark.usefixtures("ray_on_this_machine")
def test_a_search_whose_driver_is_killed_is_resumed_to_the_same_trials(
    make_spec: MakeSpec, tmp_path: Path, processes_below: FindProcesses
) -> None:
    spec = make_spec(
        {"epochs": 10, "data": {"name": "digits", "train_fraction": 0.5}},
        search={"optimizer.learning_rate": {"float": [0.01, 0.2], "log": True}},
        trials=7,
        checkpoint_seconds=0,
    )
    run = Storage(tmp_path / "run")
    slots: list[int] = []
    driver = start_driver(spec, tmp_path)
    try:
        wait_until(
            lambda: rows_of(run.root, EndRow) and rows_of(run.root, EpochRow)[-1].epoch in range(3, 8),
            "it was under way",
            driver,
        )
        slots = processes_below(driver.pid, b"ray::Slot")
    finally:
        kill_driver(driver, processes_below, slots)
    assert slots

    ended = {row.trial_id for row in rows_of(run.root, EndRow)}
    running = [row.trial_id for row in rows_of(run.root, PlannedRow) if row.trial_id not in ended]
    assert ended
    assert running
    lost = lose_rows(run, running)

    summary = resume(run.root, console=Console(file=io.StringIO()))
    assert (summary.complete, summary.failed) == (7, 0)
    assert_complete_once(run.root, num_trials=7, num_epochs=10)
    told = {(row.trial_id, row.epoch): row.epoch_seconds for row in rows_of(run.root, EpochRow)}
    assert lost
    assert {key: told[key] for key in lost} == lost


def lose_rows(run: Storage, running: list[str]) -> dict[tuple[str, int], float]:
    """Take the epochs of the running trials out of the ledger, as if the driver had died before they came.

    Returns:
        (trial, epoch) to the time it took, by which one sees whether it was trained again or only told again.
    """
    (name,) = run.child("ledger").names()
    lines = (run.child("ledger").read(name) or b"").splitlines(keepends=True)
    kept = [line for line in lines if not (b'"kind":"epoch"' in line and any(key.encode() in line for key in running))]
    run.write(f"ledger/{name}", b"".join(kept))
    known = {}
    for trial_id in running:
        checkpoint = load_checkpoint(trial_storage(run, trial_id))
        for result in checkpoint.history if checkpoint else ():
            known[trial_id, result.epoch] = result.epoch_seconds
    return known
