"""Drivers in processes of their own, which tests kill, and what a run must hold then."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cktf.rows import EndRow, EpochRow, PlannedRow, Status
from cktf.study.load import dump_study
from cktf.study.spec import StudySpec
from tests.kinds import FindProcesses
from tests.runs import rows_of

PATIENCE = 300.0
"""Seconds that anything here may take on a busy machine."""

DRIVER = (
    "import sys\n"
    "from cktf.driver import launch\n"
    "from cktf.study.load import load_study\n"
    "address = sys.argv[3] if len(sys.argv) > 3 else None\n"
    "summary = launch(load_study(sys.argv[1]), sys.argv[2], address=address)\n"
    "print(summary)\n"
    "sys.exit(summary.failed)\n"
)


def start_driver(
    spec: StudySpec, folder: Path, *address: str, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Launch a study into ``folder/run``; ``folder/driver.txt`` has what the driver says."""
    study = folder / "tiny.yaml"
    study.write_text(dump_study(spec))
    command = [sys.executable, "-c", DRIVER, str(study), str(folder / "run"), *address]
    with (folder / "driver.txt").open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)


def wait_until(
    condition: Callable[[], object],
    what: str,
    driver: subprocess.Popen[bytes] | None = None,
    patience: float = PATIENCE,
) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        assert driver is None or driver.poll() is None, f"the driver ended before {what}"
        time.sleep(0.05)


def kill_driver(driver: subprocess.Popen[bytes], find: FindProcesses, slots: list[int]) -> None:
    """Kill a driver and all that its Ray is but the slots; wait until these have ended by themselves."""
    helpers = find(driver.pid)
    driver.kill()
    driver.wait()
    for process in set(helpers) - set(slots):  # Ray's agents would look for their node for a minute
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(process) for process in slots), "the killed driver's slots were gone")


def is_alive(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def assert_complete_once(run: str, num_trials: int, num_epochs: int) -> None:
    planned = rows_of(run, PlannedRow)
    assert len(planned) == len({row.trial_id for row in planned}) == num_trials
    assert Counter((row.trial_id, row.status) for row in rows_of(run, EndRow)) == Counter(
        (row.trial_id, Status.COMPLETE) for row in planned
    )
    assert Counter((row.trial_id, row.epoch) for row in rows_of(run, EpochRow)) == Counter(
        (row.trial_id, epoch) for row in planned for epoch in range(1, num_epochs + 1)
    )


@contextmanager
def killing(find: FindProcesses, run_dir: str, title: bytes) -> Iterator[list[Any]]:
    """Kill a process of this title, once the run has three epochs; yield a list that holds it then."""
    killed: list[int] = []

    def kill_after_three_epochs() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            if len(rows_of(run_dir, EpochRow)) >= 3:
                killed.extend(find(os.getpid(), title)[:1])
                for process in killed:
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.02)

    thread = threading.Thread(target=kill_after_three_epochs)
    thread.start()
    yield killed
    thread.join()
