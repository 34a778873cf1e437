"""Studies whose driver or machine is killed: every planned trial is complete once, and nothing is lost."""

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cktf.driver import resume
from cktf.rows import EndRow, EpochRow, PlannedRow, Stage, Status, TeacherRow
from cktf.run.ledger import read_ledger
from cktf.run.progress import status
from cktf.storage import Storage
from cktf.study.load import dump_study
from cktf.study.spec import StudySpec
from cktf.trainer.checkpoint import load_checkpoint, trial_storage
from tests.kinds import Cluster, FindProcesses, MakeSpec

pytestmark = pytest.mark.ray

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


def start_driver(spec: StudySpec, folder: Path, *address: Any, env: dict[str, str] | None = None) -> Any:
    study = folder / "tiny.yaml"
    study.write_text(dump_study(spec))
    command = [sys.executable, "-c", DRIVER, str(study), str(folder / "run"), *address]
    with (folder / "driver.txt").open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)


def wait_until(condition: Callable[[], object], what: str, driver: Any = None) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        assert driver is None or driver.poll() is None, f"the driver ended before {what}"
        time.sleep(0.05)


def rows_of(run: Storage, kind: Any) -> list[Any]:
    return [row for row in read_ledger(run) if isinstance(row, kind)]


def is_alive(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def assert_complete_once(run: Storage, num_trials: int, num_epochs: int) -> None:
    planned = rows_of(run, PlannedRow)
    assert len(planned) == len({row.trial_id for row in planned}) == num_trials
    assert Counter((row.trial_id, row.status) for row in rows_of(run, EndRow)) == Counter(
        (row.trial_id, Status.COMPLETE) for row in planned
    )
    assert Counter((row.trial_id, row.epoch) for row in rows_of(run, EpochRow)) == Counter(
        (row.trial_id, epoch) for row in planned for epoch in range(1, num_epochs + 1)
    )


@pytest.mark.usefixtures("ray_on_this_machine")
def test_teachers_are_seen_before_the_first_student_and_go_on_when_their_driver_was_killed(
    make_spec: MakeSpec, tmp_path: Path, processes_below: FindProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CKTF_CACHE", str(tmp_path / "cache"))
    taught = {"teacher": {"model": "resnet8", "epochs": 12}, "objective": {"cross_entropy": {}, "kd": {}}}
    spec = make_spec(taught, ablate={"teacher.model": ["resnet14"]}, seeds=2, checkpoint_seconds=0)
    run, console = Storage(tmp_path / "run"), Console(file=io.StringIO(), width=200)
    slots: list[int] = []
    driver = start_driver(spec, tmp_path)
    try:
        wait_until(lambda: len(rows_of(run, EpochRow)) >= 4, "a teacher was in training", driver)
        console.print(status(run.root))
        slots = processes_below(driver.pid, b"ray::Slot")
    finally:
        helpers = processes_below(driver.pid)
        driver.kill()
        driver.wait()
        for process in set(helpers) - set(slots):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(process) for process in slots), "the killed driver's slots were gone")
    planned = {row.trial_id: row for row in rows_of(run, PlannedRow)}
    teachers = [key for key, row in planned.items() if row.stage == Stage.TEACHER]
    assert [planned[key].arm for key in teachers] == ["resnet8 on digits", "resnet14 on digits"]
    assert len(planned) == 6
    begun = rows_of(run, EpochRow)
    assert {row.trial_id for row in begun} <= {*teachers}
    assert "teacher resnet8 on digits, seed 0, running, epoch" in console.file.getvalue()

    summary = resume(run.root, console=Console(file=io.StringIO()))
    assert (summary.complete, summary.failed) == (4, 0)
    rows = list(read_ledger(run))
    for key, row in planned.items():
        epochs = [each.epoch for each in rows if isinstance(each, EpochRow) and each.trial_id == key]
        assert epochs == [*range(1, row.epochs + 1)], "nothing was trained twice"
    ends = {row.trial_id: rows.index(row) for row in rows if isinstance(row, EndRow)}
    scores = {row.teacher_id: row for row in rows if isinstance(row, TeacherRow)}
    for key, row in planned.items():
        if row.stage != Stage.TEACHER:
            first = next(i for i, each in enumerate(rows) if isinstance(each, EpochRow) and each.trial_id == key)
            assert rows.index(scores[row.teacher_id]) < ends[row.teacher_id] < first
    assert {row.epochs for row in scores.values()} == {12}
    assert all(row.wall_seconds for row in scores.values())
    assert sorted(run.child("teachers").names(".safetensors")) == sorted(f"{key}.safetensors" for key in teachers)
    assert not any(trial_storage(run, key).names() for key in teachers), (
        "the run's folder of teachers has their weights"
    )


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
    driver = start_driver(spec, tmp_path)
    try:
        wait_until(
            lambda: rows_of(run, EndRow) and rows_of(run, EpochRow)[-1].epoch in range(3, 8), "it was under way", driver
        )
        slots = processes_below(driver.pid, b"ray::Slot")
    finally:
        helpers = processes_below(driver.pid)
        driver.kill()
        driver.wait()
        for process in set(helpers) - set(slots):  # Ray's agents would look for their node for a minute
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(process) for process in slots), "the killed driver's slots were gone")

    ended = {row.trial_id for row in rows_of(run, EndRow)}
    running = [row.trial_id for row in rows_of(run, PlannedRow) if row.trial_id not in ended]
    assert ended
    assert running
    lost = lose_rows(run, running)

    summary = resume(run.root, console=Console(file=io.StringIO()))
    assert (summary.complete, summary.failed) == (7, 0)
    assert_complete_once(run, num_trials=7, num_epochs=10)
    told = {(row.trial_id, row.epoch): row.epoch_seconds for row in rows_of(run, EpochRow)}
    assert lost
    assert {key: told[key] for key in lost} == lost


def lose_rows(run: Storage, running: Any) -> Any:
    """Take the epochs of the running trials out of the ledger, as if the driver had died before they came.

    Returns:
        (trial, epoch) to the time it took, by which one sees whether it was trained again or only told again.
    """
    (name,) = run.child("ledger").names()
    lines = run.child("ledger").read(name).splitlines(keepends=True)
    kept = [line for line in lines if not (b'"kind":"epoch"' in line and any(key.encode() in line for key in running))]
    run.write(f"ledger/{name}", b"".join(kept))
    known = {}
    for trial_id in running:
        checkpoint = load_checkpoint(trial_storage(run, trial_id))
        for result in checkpoint.history if checkpoint else ():
            known[trial_id, result.epoch] = result.epoch_seconds
    return known


def test_a_driver_that_is_told_to_end_leaves_as_at_ctrl_c(
    make_spec: MakeSpec, tmp_path: Path, processes_below: FindProcesses
) -> None:
    run = Storage(tmp_path / "run")
    driver = start_driver(make_spec({"epochs": 200}), tmp_path)
    try:
        wait_until(lambda: len(rows_of(run, EpochRow)) >= 2, "it was at work", driver)
        slots = processes_below(driver.pid, b"ray::Slot")
        driver.terminate()
        assert driver.wait(PATIENCE) == 0
    finally:
        driver.kill()
        driver.wait()
    assert "is_interrupted=True" in (tmp_path / "driver.txt").read_text()
    assert slots
    wait_until(lambda: not any(is_alive(process) for process in slots), "its slots were gone")


def test_a_study_on_a_cluster_survives_the_death_of_a_node(
    make_spec: MakeSpec, tmp_path: Path, ray_cluster: Cluster
) -> None:
    address, start_worker, env = ray_cluster
    spec = make_spec({"epochs": 12, "data": {"name": "digits", "train_fraction": 0.5}}, seeds=3)
    run = Storage(tmp_path / "run")
    victim = start_worker()
    driver = start_driver(spec, tmp_path, address, env=env)
    try:
        wait_until(lambda: len(rows_of(run, EpochRow)) >= 2, "the first node was at work", driver)
        start_worker()
        os.kill(victim, signal.SIGKILL)
        driver.wait(timeout=PATIENCE)
        assert driver.returncode == 0, (tmp_path / "driver.txt").read_text()
    finally:
        driver.kill()
        driver.wait()
    assert_complete_once(run, num_trials=6, num_epochs=12)
