"""Studies whose driver, worker or machine is killed: every planned trial is complete once, and nothing is lost."""

import io
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from cktf.driver import launch, resume
from cktf.rows import EndRow, EpochRow, PlannedRow, Stage, TeacherRow
from cktf.run.ledger import read_ledger
from cktf.run.progress import status
from cktf.storage import Storage
from cktf.trainer.checkpoint import trial_storage
from tests.drivers import PATIENCE, assert_complete_once, kill_driver, killing, start_driver, wait_until
from tests.kinds import Cluster, FindProcesses, MakeSpec
from tests.runs import rows_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


@pytest.mark.usefixtures("ray_on_this_machine")
def test_teachers_are_seen_before_the_first_student_and_go_on_when_their_driver_was_killed(
    make_spec: MakeSpec, tmp_path: Path, processes_below: FindProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CKTF_CACHE", str(tmp_path / "cache"))
    taught = {"teacher": {"model": "resnet8", "epochs": 12}, "objective": {"cross_entropy": {}, "kd": {}}}
    spec = make_spec(taught, ablate={"teacher.model": ["resnet14"]}, seeds=2, checkpoint_seconds=0)
    run, said = Storage(tmp_path / "run"), io.StringIO()
    slots: list[int] = []
    driver = start_driver(spec, tmp_path)
    try:
        wait_until(lambda: len(rows_of(run.root, EpochRow)) >= 4, "a teacher was in training", driver)
        Console(file=said, width=200).print(status(run.root))
        slots = processes_below(driver.pid, b"ray::Slot")
    finally:
        kill_driver(driver, processes_below, slots)
    planned = {row.trial_id: row for row in rows_of(run.root, PlannedRow)}
    teachers = [key for key, row in planned.items() if row.stage == Stage.TEACHER]
    assert [planned[key].arm for key in teachers] == ["resnet8 on digits", "resnet14 on digits"]
    assert len(planned) == 6
    begun = rows_of(run.root, EpochRow)
    assert {row.trial_id for row in begun} <= {*teachers}
    assert "teacher resnet8 on digits, seed 0, running, epoch" in said.getvalue()

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


def test_a_study_on_a_cluster_survives_the_death_of_a_node(
    make_spec: MakeSpec, tmp_path: Path, ray_cluster: Cluster
) -> None:
    address, start_worker, env = ray_cluster
    spec = make_spec({"epochs": 12, "data": {"name": "digits", "train_fraction": 0.5}}, seeds=3)
    run = str(tmp_path / "run")
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


@pytest.mark.usefixtures("ray_on_this_machine")
def test_a_trial_of_two_workers_outlives_a_worker_s_death(
    make_spec: MakeSpec, run_dir: str, console: Console, processes_below: FindProcesses
) -> None:
    # The other arm fails, as it would with one worker, and the death of the first is none of its own.
    spec = make_spec(
        {"epochs": 8},
        ablate={"optimizer.learning_rate": [1e30]},
        seeds=1,
        resources={"workers": 2, "cpus": 2, "gpus": 0},
    )
    with killing(processes_below, run_dir, b"ray::RayTrainWorker") as killed:
        summary = launch(spec, run_dir, console=console)
    assert len(killed) == 1
    assert (summary.complete, summary.failed) == (1, 1)
    assert next(iter(summary.failures)).startswith("the loss is nan in epoch")
    assert [row.epoch for row in rows_of(run_dir, EpochRow)] == [*range(1, 9)]
    assert not list(Path(run_dir).glob("trials/*/workers"))
