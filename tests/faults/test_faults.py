"""Studies on a Ray of this machine of which something is killed or stopped, in processes of their own.

Each goes on or ends with one message, and what a resume then completes has every trial once. ``make faults`` runs these
(minutes); `make test` runs the logic of each without Ray.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cktf.rows import EndRow, EpochRow, PlannedRow, Status
from cktf.study.load import dump_study
from tests.kinds import FindProcesses, MakeSpec
from tests.runs import rows_of

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.timeout(1800)]

START_SECONDS = 600.0
"""How long Ray and a slot may take to start on a busy machine."""

EPOCHS = 30


@contextmanager
def launched(spec: Any, folder: Path, *command: str) -> Iterator[Any]:
    """Start a driver by the command line; yield its process, and end it."""
    study, run = folder / "study.yaml", folder / "run"
    study.write_text(dump_study(spec))
    with (folder / "said.txt").open("ab") as output:
        driver = subprocess.Popen(
            [sys.executable, "-m", "cktf.cli", *(command or ("launch", str(study), "--run-dir", str(run)))],
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
        )
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def wait_until(condition: Callable[[], object], driver: Any, seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        assert driver.poll() is None, "the driver has ended"
        time.sleep(0.1)


def epochs_of(folder: Path) -> int:
    run = folder / "run"
    return len(rows_of(str(run), EpochRow)) if (run / "ledger").is_dir() else 0


def assert_resumed_to_the_end(spec: Any, folder: Path) -> None:
    with launched(spec, folder, "resume", str(folder / "run")) as driver:
        assert driver.wait(START_SECONDS) == 0, (folder / "said.txt").read_text()
    assert_all_once(folder)


def assert_all_once(folder: Path) -> None:
    run = str(folder / "run")
    planned = [row.trial_id for row in rows_of(run, PlannedRow)]
    assert Counter((row.trial_id, row.status) for row in rows_of(run, EndRow)) == Counter(
        (trial_id, Status.COMPLETE) for trial_id in planned
    )
    assert Counter((row.trial_id, row.epoch) for row in rows_of(run, EpochRow)) == Counter(
        (trial_id, epoch) for trial_id in planned for epoch in range(1, EPOCHS + 1)
    )


@pytest.mark.parametrize("title", ["raylet/raylet", "gcs/gcs_server"])
def test_a_ray_of_this_machine_that_dies_is_said_and_a_resume_goes_on(
    title: str, make_spec: MakeSpec, tmp_path: Path, processes_below: FindProcesses
) -> None:
    spec = make_spec({"epochs": EPOCHS, "data": {"name": "digits", "train_fraction": 0.5}}, seeds=1)
    with launched(spec, tmp_path) as driver:
        wait_until(lambda: epochs_of(tmp_path) >= 2, driver)
        for process in processes_below(driver.pid):
            with suppress(OSError):
                if title in Path(f"/proc/{process}/cmdline").read_text().split("\0")[0]:
                    os.kill(process, signal.SIGKILL)
        assert driver.wait(60) == 3
    said = (tmp_path / "said.txt").read_text()
    assert said.splitlines()[-1].endswith(f"nothing is lost: 'cktf resume {tmp_path / 'run'}' goes on")
    assert "the Ray of this machine was lost: " in said
    assert_resumed_to_the_end(spec, tmp_path)


def test_a_worker_that_is_stopped_is_told_and_its_trial_goes_on_elsewhere(
    make_spec: MakeSpec, tmp_path: Path, processes_below: FindProcesses
) -> None:
    data = {"name": "digits", "train_fraction": 0.5}
    spec = make_spec({"epochs": EPOCHS, "data": data}, seeds=1, stall_seconds=30)
    with launched(spec, tmp_path) as driver:
        wait_until(lambda: epochs_of(tmp_path) >= 2, driver)
        (slot,) = processes_below(driver.pid, b"ray::Slot")
        os.kill(slot, signal.SIGSTOP)
        assert driver.wait(START_SECONDS) == 0
    assert "seed 0: nothing was heard of it for " in (tmp_path / "said.txt").read_text()
    assert_all_once(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
@pytest.mark.parametrize("moment", ["imports", "ray.init", "training"])
def test_a_signal_ends_a_driver_like_ctrl_c_at_any_moment(
    moment: str, number: signal.Signals, make_spec: MakeSpec, tmp_path: Path, processes_below: FindProcesses
) -> None:
    spec = make_spec({"epochs": EPOCHS}, seeds=1)
    with launched(spec, tmp_path) as driver:
        if moment == "imports":
            time.sleep(1.0)
        elif moment == "ray.init":
            wait_until(lambda: len(processes_below(driver.pid)) >= 1, driver)
        else:
            wait_until(lambda: epochs_of(tmp_path) >= 2, driver)
        own = processes_below(driver.pid)
        driver.send_signal(number)
        assert driver.wait(START_SECONDS) == 130
    assert "interrupted" in (tmp_path / "said.txt").read_text()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{process}").exists() for process in own) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [process for process in own if Path(f"/proc/{process}").exists()]
