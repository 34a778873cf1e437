"""Two thousand short trials, with a slot killed every half minute: equal to the undisturbed run, and no leaks."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from cktf.rows import EndRow, EpochRow
from cktf.study.spec import StudySpec
from tests.drivers import assert_complete_once, start_driver
from tests.kinds import FindProcesses, MakeSpec
from tests.runs import rows_of

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.timeout(5400)]

SEEDS = 1000
"""Of each of the two arms."""

KILL_SECONDS = 30.0
LOOK_SECONDS = 2.0
RUN_SECONDS = 2400.0

MOST_GROWTH = {"files": 12, "threads": 12, "memory": 120 * 2**20, "shared memory": 64 * 2**20}
"""What a driver may grow by from its first quarter to its last one: the state of 1,000 trials, and noise."""


@dataclass
class Look:
    """What a driver holds at one time, and how many trials had ended."""

    ended: int
    held: dict[str, float]


def held_by(process: int) -> dict[str, float]:
    """Return the open files, threads and resident bytes of a process, and the bytes of the machine's shared memory."""
    folder = Path(f"/proc/{process}")
    said = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return {
        "files": len([*(folder / "fd").iterdir()]),
        "threads": int(said["Threads"]),
        "memory": int(said["VmRSS"].split()[0]) * 1024,
        "shared memory": shutil.disk_usage("/dev/shm").used,  # noqa: S108  # where Ray has its objects
    }


def finished(driver: "subprocess.Popen[bytes]", folder: Path, find: FindProcesses, *, kills: bool) -> list[Look]:
    """Wait for a driver to end, kill a slot now and then if asked to, and return what the driver held meanwhile."""
    looks: list[Look] = []
    began = killed = time.monotonic()
    num_killed = 0
    while driver.poll() is None:
        assert time.monotonic() - began < RUN_SECONDS
        time.sleep(LOOK_SECONDS)
        ended = len(rows_of(str(folder / "run"), EndRow)) if (folder / "run" / "ledger").is_dir() else 0
        with suppress(OSError, KeyError):  # it has just ended
            looks.append(Look(ended, held_by(driver.pid)))
        if kills and ended and time.monotonic() - killed > KILL_SECONDS:
            with suppress(OSError, IndexError):  # none works just now
                os.kill(find(driver.pid, b"ray::Slot")[0], signal.SIGKILL)
                killed = time.monotonic()
                num_killed += 1
    assert num_killed >= 2 * kills
    return looks


def numbers_of(folder: Path) -> dict[tuple[str, int], tuple[float | None, ...]]:
    """Return trial and epoch to what was measured, times left out."""
    return {
        (row.trial_id, row.epoch): (row.train_loss, row.validation_loss, row.validation_accuracy, row.test_accuracy)
        for row in rows_of(str(folder / "run"), EpochRow)
    }


def test_kills_change_nothing_and_nothing_grows(
    make_spec: MakeSpec, tmp_path: Path, processes_below: FindProcesses
) -> None:
    spec: StudySpec = make_spec({"epochs": 1}, seeds=SEEDS, resources={"cpus": 1, "gpus": 0, "slots": 2})
    folders = {"undisturbed": tmp_path / "undisturbed", "killed": tmp_path / "killed"}
    for name, folder in folders.items():
        folder.mkdir()
        driver = start_driver(spec, folder)
        try:
            looks = finished(driver, folder, processes_below, kills=name == "killed")
        finally:
            driver.kill()
            driver.wait()
        assert driver.returncode == 0, (folder / "driver.txt").read_text()
        assert_complete_once(str(folder / "run"), 2 * SEEDS, 1)
        first, last = (
            [look.held for look in looks if low <= look.ended / (2 * SEEDS) <= high]
            for low, high in ((0.05, 0.3), (0.75, 1.0))
        )
        for what, most in MOST_GROWTH.items():
            growth = min(held[what] for held in last) - min(held[what] for held in first)
            assert growth < most, f"{name}: {what} grew by {growth}"
    assert numbers_of(folders["killed"]) == numbers_of(folders["undisturbed"])
