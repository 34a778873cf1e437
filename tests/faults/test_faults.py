"""Studies on a Ray of this machine of which something is killed or stopped, in processes of their own.

Each goes on or ends with one message, and what a resume then completes has every trial once. ``make faults`` runs these
(minutes); `make test` runs the logic of each without Ray.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from cktf.rows import EpochRow
from cktf.storage import Storage
from cktf.study.load import dump_study
from tests.drivers import assert_complete_once, kill_driver, wait_until
from tests.kinds import FindProcesses, MakeSpec
from tests.runs import facts, rows_of

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.timeout(1800)]

START_SECONDS = 600.0
"""How long Ray and a slot may take to start on a busy machine."""

LOST_SECONDS = 30.0
"""Within which a driver has noticed that its cluster is lost, and has ended."""

EPOCHS = 30

MANY_EPOCHS = 150
"""So many that a fast machine trains on for longer than it takes to notice that Ray is lost."""


def _heed() -> None:
    """Have the process that is to be heed what a script's background (SIGINT) and nohup (SIGHUP) ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


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
            preexec_fn=_heed,
        )
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def epochs_of(folder: Path) -> int:
    run = folder / "run"
    return len(rows_of(str(run), EpochRow)) if (run / "ledger").is_dir() else 0


def assert_resumed_to_the_end(spec: Any, folder: Path, train_without_ray: Callable[..., Any]) -> None:
    """Resume a run; it has then the numbers of the same trials that nothing has disturbed."""
    with launched(spec, folder, "resume", str(folder / "run")) as driver:
        assert driver.wait(START_SECONDS) == 0, (folder / "said.txt").read_text()
    assert_complete_once(str(folder / "run"), 2, spec.baseline_config.total_epochs)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a slot has
    train_without_ray(spec, Storage(folder / "undisturbed"))
    torch.set_num_threads(threads)
    assert facts(str(folder / "run")) == facts(str(folder / "undisturbed"))


@pytest.mark.parametrize("title", ["raylet/raylet", "gcs/gcs_server"])
def test_a_ray_of_this_machine_that_dies_is_said_and_a_resume_goes_on(
    title: str,
    make_spec: MakeSpec,
    train_without_ray: Callable[..., Any],
    tmp_path: Path,
    processes_below: FindProcesses,
) -> None:
    spec = make_spec({"epochs": MANY_EPOCHS, "data": {"name": "digits", "train_fraction": 0.5}}, seeds=1)
    with launched(spec, tmp_path) as driver:
        wait_until(lambda: epochs_of(tmp_path) >= 2, "a trial was in training", driver, START_SECONDS)
        for process in processes_below(driver.pid):
            with suppress(OSError):
                if title in Path(f"/proc/{process}/cmdline").read_text().split("\0")[0]:
                    os.kill(process, signal.SIGKILL)
        assert driver.wait(LOST_SECONDS) == 3
    said = (tmp_path / "said.txt").read_text()
    assert said.splitlines()[-1].endswith(f"nothing is lost: 'cktf resume {tmp_path / 'run'}' goes on")
    assert "the Ray of this machine was lost: " in said
    assert_resumed_to_the_end(spec, tmp_path, train_without_ray)


def test_a_worker_that_is_stopped_is_told_and_its_trial_goes_on_elsewhere(
    make_spec: MakeSpec, tmp_path: Path, processes_below: FindProcesses
) -> None:
    data = {"name": "digits", "train_fraction": 0.5}
    spec = make_spec({"epochs": EPOCHS, "data": data}, seeds=1, stall_seconds=30)
    with launched(spec, tmp_path) as driver:
        wait_until(lambda: epochs_of(tmp_path) >= 2, "a trial was in training", driver, START_SECONDS)
        (slot,) = processes_below(driver.pid, b"ray::Slot")
        os.kill(slot, signal.SIGSTOP)
        assert driver.wait(START_SECONDS) == 0
    assert "seed 0: nothing was heard of it for " in (tmp_path / "said.txt").read_text()
    assert_complete_once(str(tmp_path / "run"), 2, EPOCHS)


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
MOMENTS = {
    "imports": ENDING,
    "ray.init": (signal.SIGINT, signal.SIGTERM),
    "training": (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2),  # of the others each has a test without `faults`
}


@pytest.mark.parametrize(("moment", "number"), [(moment, number) for moment in MOMENTS for number in MOMENTS[moment]])
def test_a_signal_ends_a_driver_like_ctrl_c_at_any_moment(
    moment: str, number: signal.Signals, make_spec: MakeSpec, tmp_path: Path, processes_below: FindProcesses
) -> None:
    spec = make_spec({"epochs": EPOCHS}, seeds=1)
    with launched(spec, tmp_path) as driver:
        if moment == "imports":
            time.sleep(1.0)
        elif moment == "ray.init":
            wait_until(lambda: processes_below(driver.pid), "Ray was starting", driver, START_SECONDS)
        else:
            wait_until(lambda: epochs_of(tmp_path) >= 2, "a trial was in training", driver, START_SECONDS)
        own = processes_below(driver.pid)
        driver.send_signal(number)
        assert driver.wait(START_SECONDS) == 130
    assert "interrupted" in (tmp_path / "said.txt").read_text()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{process}").exists() for process in own) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [process for process in own if Path(f"/proc/{process}").exists()]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "changed": lambda content: content[:-100] + bytes(100),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_checkpoint_that_is_damaged_after_a_kill_is_set_aside_and_its_trial_trained_again(
    how: str,
    make_spec: MakeSpec,
    train_without_ray: Callable[..., Any],
    tmp_path: Path,
    processes_below: FindProcesses,
) -> None:
    data = {"name": "digits", "train_fraction": 0.5}
    spec = make_spec({"epochs": EPOCHS, "data": data}, seeds=1, checkpoint_seconds=0)
    with launched(spec, tmp_path) as driver:
        wait_until(lambda: epochs_of(tmp_path) >= 5, "a trial was in training", driver, START_SECONDS)
        kill_driver(driver, processes_below, slots=[])
    checkpoints = [*tmp_path.glob("run/trials/*/checkpoint.pt")]
    assert checkpoints
    for path in checkpoints:
        path.write_bytes(DAMAGE[how](path.read_bytes()))
    assert_resumed_to_the_end(spec, tmp_path, train_without_ray)
    assert "checkpoint.pt" in (tmp_path / "said.txt").read_text()


@pytest.mark.parametrize("seconds", [2.0, 5.0, 8.0, 12.0, 17.0])
def test_a_driver_that_is_killed_at_any_moment_loses_nothing(
    seconds: float,
    make_spec: MakeSpec,
    train_without_ray: Callable[..., Any],
    tmp_path: Path,
    processes_below: FindProcesses,
) -> None:
    spec = make_spec({"epochs": EPOCHS}, seeds=1, checkpoint_seconds=0)
    with launched(spec, tmp_path) as driver:
        with suppress(subprocess.TimeoutExpired):
            driver.wait(seconds)
        kill_driver(driver, processes_below, slots=[])
    if not epochs_of(tmp_path):  # perhaps there is no run yet
        with launched(spec, tmp_path) as driver:
            assert driver.wait(START_SECONDS) == 0, (tmp_path / "said.txt").read_text()
    assert_resumed_to_the_end(spec, tmp_path, train_without_ray)
