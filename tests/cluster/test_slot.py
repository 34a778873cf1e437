"""How a trial's training is described to Ray Train, and how a worker carries it out."""

import os
import re
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
import ray
import torch

from cktf.cluster import slot
from cktf.cluster.assignment import Assignment, TrialEnd
from cktf.cluster.nodes import TrialResources
from cktf.cluster.remarks import remarks
from cktf.cluster.slot import outcomes
from cktf.cluster.worker_group import run_config
from cktf.epoch_result import EpochResult
from cktf.plan.planner import Planner
from cktf.rows import PlannedRow, Row, Stage, Status
from cktf.storage import Storage
from cktf.study.spec import StudySpec
from cktf.trainer.train import TrainingFailed
from cktf.trial.trained_teachers import trained_row
from tests.kinds import MakeSpec
from tests.planning import next_row


def assignment_of(row: PlannedRow, run: Storage, spec: StudySpec) -> Assignment:
    options = spec.train_options(read_test=True, teacher_is_scored=False)
    return Assignment.of(row, run, TrialResources(workers=1, cpus=1.0, gpus=0.0), options, {})


def first_of(spec: StudySpec, run: Storage) -> Assignment:
    """The first trial of a study."""
    return assignment_of(next_row(Planner(spec, record=lambda _: None)), run, spec)


def outcome(assignment: Assignment) -> tuple[list[EpochResult], TrialEnd]:
    """The epochs of a trial, and how it ends."""
    *epochs, end = outcomes(assignment)
    assert isinstance(end, TrialEnd)
    return [each for each in epochs if isinstance(each, EpochResult)], end


def test_the_workers_folder_lies_in_the_trial_s_own_folder_of_a_bucket() -> None:
    run = "s3://bucket/run?region=us-east-1"
    assignment = Assignment(
        "abc", configuration="", options="", run=run, patience=0.0, plugins="{}", workers=2, cpus=1.0, gpus=0.0
    )
    config = run_config(assignment)
    assert config.storage_path == "s3://bucket/run/trials/abc?region=us-east-1"
    assert config.name == "workers"


@pytest.mark.usefixtures("ray_on_this_machine")
@pytest.mark.parametrize("once", [True, False])
def test_trials_of_a_study_share_what_they_read_of_the_teacher_where_it_asks_for_it(
    once: bool, make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CKTF_CACHE", str(tmp_path / "cache"))
    baseline = {"teacher": {"model": "resnet5", "epochs": 1}, "objective": {"cross_entropy": {}, "kd": {}}}
    spec = make_spec(baseline, ablate={"objective.kd.temperature": [2.0]}, seeds=1, teacher_once=once)
    run = Storage(tmp_path / "run")
    run.write("study.yaml", b"")
    planner = Planner(spec, record=lambda _: None)
    threads = torch.get_num_threads()
    while isinstance(row := planner.next_trial(), PlannedRow):
        epochs, end = outcome(assignment_of(row, run, spec))
        assert len(epochs) == (1 if row.stage == Stage.TEACHER else 2)
        assert end.status is Status.COMPLETE
        planner.on_end(row.trial_id, Status.COMPLETE)
    torch.set_num_threads(threads)
    assert planner.total() == 2
    kept = list((tmp_path / "cache").rglob("*.float16"))
    assert len(kept) == (2 if once else 0), "the logits of two epochs, for both arms"


@pytest.mark.usefixtures("ray_on_this_machine")
def test_trials_of_a_study_are_measured_where_it_asks_for_it_and_keep_their_identity(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    run = Storage(tmp_path / "run")
    run.write("study.yaml", b"")
    threads = torch.get_num_threads()
    trial_ids, found = set(), []
    for health in (None, {"every": 2}):
        Storage(tmp_path / "run" / "trials").clear()
        assignment = first_of(make_spec(seeds=1, health=health), run)
        trial_ids.add(assignment.trial_id)
        epochs, _ = outcome(assignment)
        found.append([set(result.health) for result in epochs])
    torch.set_num_threads(threads)
    assert len(trial_ids) == 1
    assert found == [[set(), set()], [set(), {"gradient.cross_entropy.logits"}]]


def test_a_slot_trains_a_teacher_says_where_it_found_one_and_one_that_fails_fails_its_students(
    make_spec: MakeSpec, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CKTF_CACHE", str(tmp_path / "cache"))
    data = {"name": "digits", "train_fraction": 0.1}
    good, bad = ({"model": "resnet5", "epochs": 1, "optimizer": {"learning_rate": rate}} for rate in (0.05, 1e30))
    taught = {"data": data, "teacher": {**good, "train_fraction": 0.1}, "objective": {"cross_entropy": {}, "kd": {}}}
    spec = make_spec({**taught, "epochs": 1}, ablate={"teacher": [{**bad, "train_fraction": 0.1}]}, seeds=1)
    threads, reasons = torch.get_num_threads(), []
    for name in ("first", "second"):
        rows.clear()
        run = Storage(tmp_path / name)
        run.write("study.yaml", b"")
        planner = Planner(spec, rows.append, find_teacher=partial(trained_row, run))
        while isinstance(row := planner.next_trial(), PlannedRow):
            epochs, end = outcome(assignment_of(row, run, spec))
            for each in epochs:
                planner.on_epoch(row.trial_id, each)
            planner.on_end(row.trial_id, end.status, end.reason)
        assert planner.state.counts() == {Status.COMPLETE: 1, Status.FAILED: 1}
        good_end, bad_end = (trial.end for trial in planner.state.teacher_trials.values())
        (failure,) = planner.state.failures()
        assert good_end
        assert bad_end
        assert failure.end
        assert failure.end.reason == f"its teacher resnet5 on digits, seed 0, failed: {bad_end.reason}"
        assert "loss is nan" in bad_end.reason
        (score,) = planner.state.teachers.values()
        assert score.test_accuracy is not None
        assert score.wall_seconds is not None
        reasons.append((good_end.reason, good_end.epochs, score.wall_seconds > 0))
    torch.set_num_threads(threads)
    assert reasons == [("", 1, True), ("found in the cache of teachers", 0, False)]


def test_a_checkpoint_that_cannot_be_written_is_trouble_of_the_storage_and_other_errors_are_not(
    make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Storage(tmp_path / "run")
    run.write("study.yaml", b"")
    (tmp_path / "run" / "trials").write_text("in the way")
    _, end = outcome(first_of(make_spec(seeds=1), run))
    assert (end.status, end.is_error, end.is_storage) == (Status.FAILED, True, True)
    (tmp_path / "run" / "trials").unlink()
    monkeypatch.setattr(slot, "run_trial", lambda *_, **__: [].pop())
    epochs, end = outcome(first_of(make_spec(seeds=1), run))
    assert not epochs
    assert (end.status, end.is_error, end.is_storage) == (Status.FAILED, True, False)
    assert end.reason == "IndexError: pop from empty list"


def fault(name: str) -> Exception:
    if name == "memory":
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    if name == "class":
        return torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    if name == "cause":
        error = TrainingFailed("the teacher failed")
        error.__cause__ = RuntimeError("CUDA error: uncorrectable ECC error encountered")
        return error
    texts = {"cuDNN": "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", "Triton": "Triton Error [CUDA]: an illegal address"}
    return RuntimeError(texts.get(name, "device-side assert triggered"))


@pytest.mark.parametrize("name", ["class", "cause", "text", "cuDNN", "Triton", "memory"])
def test_a_fault_of_the_gpu_is_raised_so_that_the_process_ends_and_is_no_failed_trial(
    name: str, make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "get_gpu_ids", list)  # or Ray starts
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "")
    monkeypatch.delenv("PYTORCH_ALLOC_CONF")
    run = Storage(tmp_path / "run")
    run.write("study.yaml", b"")
    shared = replace(first_of(make_spec(seeds=1), run), gpus=0.5)
    monkeypatch.setattr(slot, "run_trial", Mock(side_effect=fault(name)))
    with pytest.raises(type(fault(name)), match=re.escape(str(fault(name)))):
        list(outcomes(shared))
    assert os.environ["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"
    assert b"Traceback" in (run.child("trials", shared.trial_id).read("error.txt") or b"")
    if name == "memory":  # on a GPU of its own it is the trial's own doing
        epochs, end = outcome(replace(shared, gpus=1.0))
        assert not epochs
        assert (end.status, end.is_error, end.reason) == (Status.FAILED, True, f"OutOfMemoryError: {fault(name)}")


def test_a_damaged_checkpoint_is_set_aside_told_and_the_trial_trained_again(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    run = Storage(tmp_path / "run")
    run.write("study.yaml", b"")
    assignment = first_of(make_spec(seeds=1), run)
    whole, _ = outcome(assignment)
    path = tmp_path / "run" / "trials" / assignment.trial_id / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    remarks()
    again, end = outcome(assignment)
    assert end.status is Status.COMPLETE
    assert [result.train_loss for result in again] == [result.train_loss for result in whole]
    (said,) = remarks()
    assert said.startswith(f"{path} is damaged (its checksum does not fit): set aside as checkpoint.pt.damaged")
    assert (path.parent / "checkpoint.pt.damaged").stat().st_size == 1000


def test_what_goes_wrong_when_a_slot_begins_its_next_trial_is_raised_by_that_trial_s_first_step(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    own = slot.Slot.__new__(slot.Slot)
    own.setup(asdict(first_of(make_spec(seeds=1), Storage(tmp_path))))
    assert own.reset_config({"nothing": "of an assignment"})
    with pytest.raises(TypeError, match="nothing"):
        own.step()


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer"), True),
        (torch.distributed.DistBackendError("anything"), True),
        (RuntimeError("no kernel for /data/gloo/images"), False),
        (FileNotFoundError("[/home/gloo/x:1] is not there"), False),
    ],
)
def test_another_worker_is_lost_if_the_exchange_says_so_and_not_if_a_path_does(error: Exception, is_lost: bool) -> None:
    assert slot._has_lost_another(error) == is_lost
