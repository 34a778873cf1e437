"""Whole studies on a Ray of this machine: launched, broken, resumed, extended."""

import errno
import io
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from cktf.models import build_model
from cktf.rows import EndRow, EpochRow, PlannedRow, Stage, Status, StudyRow
from cktf.search import run as run_module
from cktf.search.errors import (
    BadRunDirectory,
    ClusterTooSmall,
    NotExtensible,
    NotRunnable,
    RunInUse,
    RunNotFound,
    StudyDiffers,
    Unwritable,
)
from cktf.search.keep import Keeper
from cktf.search.ledger import Ledger, read_ledger
from cktf.search.progress import status
from cktf.search.run import STUDY, extend, extended, launch, resume, write_what_was_asked
from cktf.storage import Storage
from cktf.study.load import dump_study, read_study
from cktf.study.problems import StudyError

pytestmark = pytest.mark.usefixtures("ray_on_this_machine")


@pytest.fixture
def run_dir(tmp_path):
    return str(tmp_path / "run")


@pytest.fixture
def console():
    """A console that is no terminal; what it was told is in its file."""
    return Console(file=io.StringIO(), width=200)


def rows_of(run_dir, kind):
    return [row for row in read_ledger(Storage(run_dir)) if isinstance(row, kind)]


def printed(renderable):
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    return console.file.getvalue()


def begin(spec, run_dir):
    """Plan a study, as a driver does that is killed before anything is trained."""
    run = Storage(run_dir)
    with Ledger(run) as ledger:
        run_module._planner(spec, run, ledger, retry_failed=False)


def test_a_design_runs_to_its_end_and_runs_nothing_twice(make_spec, run_dir, console):
    spec = make_spec()
    summary = launch(spec, run_dir, console=console)
    assert (summary.complete, summary.failed, summary.is_interrupted) == (4, 0, False)
    assert summary.in_words().endswith("4 complete")
    assert "[4/4]" in console.file.getvalue()

    planned, ends = rows_of(run_dir, PlannedRow), rows_of(run_dir, EndRow)
    assert {row.trial_id for row in ends} == {row.trial_id for row in planned}
    assert [row.status for row in ends] == [Status.COMPLETE] * 4
    assert {row.device for row in ends} == {"cpu"}
    assert all(row.node and row.wall_seconds > 0 and row.epochs == 2 for row in ends)
    epochs = rows_of(run_dir, EpochRow)
    assert sorted((row.trial_id, row.epoch) for row in epochs) == sorted(
        (row.trial_id, epoch) for row in planned for epoch in (1, 2)
    )
    assert all((row.test_accuracy is not None) == (row.epoch == 2) for row in epochs)

    arms = {row.trial_id: row.arm_id for row in planned}
    last = {row.trial_id: row.validation_accuracy for row in epochs}
    totals = {arm: sum(last[key] for key in arms if arms[key] == arm) for arm in set(arms.values())}
    kept = [path.parent.name for path in Path(run_dir).glob("trials/*/student.safetensors")]
    assert [arms[key] for key in kept] == [max(totals, key=totals.get)] * 2
    assert not list(Path(run_dir).glob("trials/*/checkpoint.pt"))

    (study,) = rows_of(run_dir, StudyRow)
    assert (study.study, study.run, study.design) == ("tiny", "run", "one_at_a_time")
    assert study.factors == ["optimizer.momentum"]
    assert (study.sampler, study.pruner) == ("", "")
    assert {"torch", "ray", "optuna"} <= study.versions.keys()
    assert study.machine
    assert (Path(run_dir) / "provenance.json").is_file()

    again = launch(spec.model_copy(update={"delta": 0.5}), run_dir, console=console)
    assert again.complete == 4
    assert [row.delta for row in rows_of(run_dir, StudyRow)] == [None, 0.5]
    assert rows_of(run_dir, EpochRow) == epochs
    assert len(rows_of(run_dir, EndRow)) == 4

    more = extend(run_dir, seeds=1, console=console)
    assert more.complete == 6
    assert len(rows_of(run_dir, PlannedRow)) == 6
    assert resume(run_dir, console=console).complete == 6
    with pytest.raises(StudyDiffers, match=r"differs in: seeds; use 'cktf extend"):
        launch(spec, run_dir, console=console)


def test_a_trial_that_fails_is_a_row_and_the_study_goes_on(make_spec, run_dir, console):
    spec = make_spec(ablate={"optimizer.learning_rate": [1e30]}, seeds=2)
    summary = launch(spec, run_dir, console=console)
    assert (summary.complete, summary.failed) == (2, 2)
    (reason,) = summary.failures
    assert reason.startswith("the loss is nan in epoch")
    assert summary.failures[reason] == 2
    failed = [row for row in rows_of(run_dir, EndRow) if row.status == Status.FAILED]
    assert {row.reason for row in failed} == {reason}
    for row in failed:
        assert "TrainingFailed" in (Path(run_dir) / "trials" / row.trial_id / "error.txt").read_text()
    assert reason in printed(status(run_dir))


def test_a_search_prunes_confirms_and_reads_the_test_split_only_then(make_spec, run_dir, console):
    spec = make_spec(
        {"epochs": 5, "data": {"name": "digits", "train_fraction": 0.5}},
        search={"optimizer.learning_rate": {"float": [1e-6, 0.2], "log": True}},
        trials=10,
        prune="median",
        confirm={"top": 1, "seeds": 1},
        resources={"cpus": 1, "gpus": 0, "slots": 1},
    )
    summary = launch(spec, run_dir, console=console)
    assert summary.pruned >= 1
    assert summary.complete + summary.pruned == 12
    (study,) = rows_of(run_dir, StudyRow)
    assert (study.sampler, study.pruner) == ("tpe", "median")
    stages = {row.trial_id: row.stage for row in rows_of(run_dir, PlannedRow)}
    for row in rows_of(run_dir, EpochRow):
        assert (row.test_accuracy is not None) == (stages[row.trial_id] == Stage.CONFIRM and row.epoch == 5)
    pruned = [row for row in rows_of(run_dir, EndRow) if row.status == Status.PRUNED]
    assert all(3 <= row.epochs < 5 and row.reason.startswith("pruned (median)") for row in pruned)


def test_a_trial_whose_worker_dies_goes_on_from_its_checkpoint(make_spec, run_dir, console, processes_below):
    spec = make_spec({"epochs": 40}, seeds=1, resources={"cpus": 1, "gpus": 0, "slots": 1})
    killed = []

    def kill_after_three_epochs():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not killed:
            if len(rows_of(run_dir, EpochRow)) >= 3:
                killed.extend(processes_below(os.getpid(), b"ray::Slot"))
                os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.02)

    thread = threading.Thread(target=kill_after_three_epochs)
    thread.start()
    summary = launch(spec, run_dir, console=console)
    thread.join()
    assert len(killed) == 1
    assert (summary.complete, summary.failed) == (2, 0)
    for end in rows_of(run_dir, EndRow):
        assert [row.epoch for row in rows_of(run_dir, EpochRow) if row.trial_id == end.trial_id] == [
            *range(1, 41)
        ]


def test_a_trial_that_fits_on_no_node_is_refused_before_anything_starts(make_spec, run_dir, console):
    spec = make_spec(resources={"cpus": 1000, "gpus": 0})
    with pytest.raises(ClusterTooSmall, match=r"one trial takes 1000 CPUs, which no node of the cluster has"):
        launch(spec, run_dir, console=console)
    # No run is left behind that a mended study would differ from; but one that was there stays.
    with pytest.raises(RunNotFound):
        status(run_dir)
    begin(make_spec(seeds=1), run_dir)
    with pytest.raises(ClusterTooSmall):
        launch(make_spec(seeds=1, resources={"cpus": 1000, "gpus": 0}), run_dir, console=console)
    assert len(rows_of(run_dir, PlannedRow)) == 2


def test_a_run_directory_of_another_study_is_refused(make_spec, run_dir, console):
    begin(make_spec(), run_dir)
    with pytest.raises(
        StudyDiffers, match="differs in: baseline, ablate, seeds; nothing has been trained in it"
    ):
        launch(make_spec({"epochs": 3}, ablate={"batch_size": [16]}), run_dir, console=console)
    # Its rounding holds for all trials of a run or for none.
    with pytest.raises(StudyDiffers, match="differs in: teacher_once; nothing"):
        launch(make_spec(teacher_once=True), run_dir, console=console)


def test_what_a_trial_takes_may_change_between_launches_but_not_what_batch_norm_sees(
    make_spec, run_dir, console
):
    begin(make_spec(resources={"cpus": 1}), run_dir)
    with pytest.raises(ClusterTooSmall):  # so far it comes
        launch(make_spec(resources={"cpus": 1001, "slots": 1}), run_dir, console=console)
    with pytest.raises(StudyDiffers, match=r"differs in: resources\.workers; nothing"):
        launch(make_spec(resources={"cpus": 1000, "workers": 2}), run_dir, console=console)


def test_what_a_cluster_cannot_build_is_told_before_anything_starts(make_spec, run_dir, console):
    spec = make_spec(ablate={"augmentation.crop": [64]})
    with pytest.raises(
        NotRunnable, match=r"^tiny, arm crop=64: phase train: augmentation\.crop: must be 8 or less.*64$"
    ):
        launch(spec, run_dir, address="auto", console=console)
    assert not rows_of(run_dir, EpochRow)


def test_what_is_measured_beside_the_results_may_change_between_launches(make_spec, run_dir, console):
    begin(make_spec(), run_dir)
    with pytest.raises(ClusterTooSmall):  # so far it comes
        launch(make_spec(resources={"cpus": 1000}, health={"every": 1}), run_dir, console=console)


def test_a_size_of_the_cache_that_is_no_number_is_refused_before_anything_starts(
    make_spec, run_dir, console, monkeypatch
):
    monkeypatch.setenv("CKTF_CACHE_GB", "much")
    with pytest.raises(NotRunnable, match=r"\$CKTF_CACHE_GB: must be a number of gigabytes"):
        launch(make_spec(teacher_once=True), run_dir, console=console)


def test_a_teacher_s_file_that_has_changed_since_it_was_planned_is_refused(
    make_spec, run_dir, console, tmp_path
):
    path = tmp_path / "teacher.pth"

    def spec():
        baseline = {
            "objective": {"cross_entropy": {}, "kd": {}},
            "teacher": {"model": "resnet5", "checkpoint": str(path)},
        }
        return make_spec(baseline, resources={"cpus": 1000})

    def carry_out():
        launch(spec(), run_dir, console=console)

    weights = build_model("resnet5", 10, (1, 8, 8)).state_dict()
    torch.save(weights, path)
    begin(spec(), run_dir)
    torch.save({key: value + 1 for key, value in weights.items()}, path)
    with pytest.raises(StudyDiffers, match=r"teacher\.pth has changed since trials were planned with it"):
        carry_out()
    with pytest.raises(StudyDiffers, match="has changed"):
        resume(run_dir, console=console)
    path.unlink()
    with pytest.raises(StudyDiffers, match="can no longer be read here since trials were planned"):
        resume(run_dir, address="auto", console=console)
    torch.save(weights, path)
    with pytest.raises(ClusterTooSmall):
        carry_out()


def test_a_run_directory_that_another_driver_uses_is_refused(make_spec, run_dir, console):
    with Ledger(Storage(run_dir)), pytest.raises(RunInUse, match="in use by process"):
        launch(make_spec(), run_dir, console=console)


def test_a_run_directory_that_cannot_be_written_is_refused(make_spec, tmp_path, console):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unwritable, match="cannot be written to"):
        launch(make_spec(), str(tmp_path / "file" / "run"), console=console)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("writer", "name", "kind", "at"),
    [
        (Ledger, "append", PlannedRow, 2),
        (Ledger, "append", EpochRow, 3),
        (Ledger, "append", EndRow, 2),  # the last one, after which nothing else would be written
        (Keeper, "__call__", EndRow, 2),
    ],
)
def test_a_full_disk_ends_a_launch_with_one_message_and_a_resume_goes_on(
    writer, name, kind, at, make_spec, run_dir, console, monkeypatch
):
    write, seen = getattr(writer, name), []

    def fail_once(self, row):
        seen.append(row) if isinstance(row, kind) else None
        if len(seen) == at and row is seen[-1]:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, row)

    monkeypatch.setattr(writer, name, fail_once)
    with pytest.raises(Unwritable, match="cannot be written to: No space left on device"):
        launch(make_spec(seeds=1), run_dir, console=console)
    monkeypatch.undo()
    assert resume(run_dir, console=console).complete == 2
    ended = [row.trial_id for row in rows_of(run_dir, EndRow)]
    assert len(ended) == len(set(ended)) == 2
    epochs = [(row.trial_id, row.epoch) for row in rows_of(run_dir, EpochRow)]
    assert len(epochs) == len(set(epochs)) == 4
    assert not list(Path(run_dir).glob("trials/*/checkpoint.pt"))


def test_a_run_that_another_driver_has_begun_meanwhile_is_not_made_another_study_s(
    make_spec, run_dir, console, monkeypatch
):
    def be_overtaken(*_):
        with Ledger(Storage(run_dir)) as ledger:
            write_what_was_asked(make_spec({"epochs": 3}), Storage(run_dir), ledger)

    monkeypatch.setattr(run_module, "require_runnable", be_overtaken)
    with pytest.raises(RunInUse, match="another driver has changed its study just now"):
        launch(make_spec(), run_dir, console=console)
    assert len(rows_of(run_dir, StudyRow)) == 1


def test_a_run_that_is_not_there_is_said_to_be_not_there(run_dir):
    for act in (status, resume, extend):
        with pytest.raises(RunNotFound, match="there is no run"):
            act(run_dir)


def test_a_place_that_cannot_be_opened_is_refused(make_spec):
    for act in (status, resume, extend, lambda place: launch(make_spec(), place)):
        with pytest.raises(BadRunDirectory, match="foo://x: is not a run directory"):
            act("foo://x")


@pytest.mark.parametrize(
    ("place", "told"), [("", "is empty; use a folder"), ("s3://", "s3://: names no bucket")]
)
def test_a_place_without_a_name_is_refused(make_spec, place, told):
    for act in (status, resume, extend, lambda place: launch(make_spec(), place)):
        with pytest.raises(BadRunDirectory, match=told):
            act(place)


def test_a_study_that_is_no_text_is_told(run_dir):
    Storage(run_dir).write(STUDY, b"\xff\x00")
    for act in (resume, extend):
        with pytest.raises(StudyError, match=r"study\.yaml: is not UTF-8 text"):
            act(run_dir)


def test_only_what_a_study_has_can_be_extended(make_spec, make_search):
    assert extended(make_spec(seeds=2), seeds=2).seeds == (0, 1, 2, 3)
    assert extended(make_search(trials=6), trials=4).trials == 10
    confirming = make_search(confirm={"top": 1, "seeds": 2})
    assert extended(confirming, seeds=3).confirm_seeds == (1, 2, 3, 4, 5)
    with pytest.raises(NotExtensible, match="only a search has trials"):
        extended(make_spec(), trials=1)
    with pytest.raises(NotExtensible, match="grows by --trials"):
        extended(make_search(), seeds=1)
    with pytest.raises(NotExtensible, match="use --trials or --seeds"):
        extended(make_spec())


def test_a_study_is_extended_only_to_what_can_be_read_again(make_spec, make_search):
    for seeds in (995, 10**15):
        with pytest.raises(NotExtensible, match="seeds: must be between 1 and 1000"):
            extended(make_spec(seeds=8), seeds=seeds)
    confirming = make_search(confirm={"top": 1, "seeds": 8})
    with pytest.raises(NotExtensible, match=r"confirm\.seeds"):
        extended(confirming, seeds=995)
    spec = make_spec(seeds=8)
    text = dump_study(extended(spec, seeds=992))
    assert read_study(text, "study.yaml") == extended(spec, seeds=992)


def test_a_trial_of_two_workers_ends_and_fails_as_one_of_one_does_and_outlives_a_worker_s_death(
    make_spec, run_dir, console, processes_below
):
    spec = make_spec(
        {"epochs": 8},
        ablate={"optimizer.learning_rate": [1e30]},
        seeds=1,
        resources={"workers": 2, "cpus": 2, "gpus": 0},
    )
    killed = []

    def kill_after_three_epochs():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            if len(rows_of(run_dir, EpochRow)) >= 3:
                killed.extend(processes_below(os.getpid(), b"ray::RayTrainWorker"))
                if killed:
                    os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.02)

    thread = threading.Thread(target=kill_after_three_epochs)
    thread.start()
    summary = launch(spec, run_dir, console=console)
    thread.join()
    assert killed
    assert (summary.complete, summary.failed) == (1, 1)
    assert next(iter(summary.failures)).startswith("the loss is nan in epoch")
    assert [row.epoch for row in rows_of(run_dir, EpochRow)] == [*range(1, 9)]
    assert not list(Path(run_dir).glob("trials/*/workers"))


def test_planning_writes_one_object_of_a_bucket(make_spec, tmp_path):
    (tmp_path / "bucket" / "ledger").mkdir(parents=True)  # as buckets need not be told
    run = Storage(tmp_path / "bucket")
    run.is_local = False
    with Ledger(run) as ledger:
        planner = run_module._planner(make_spec(seeds=10), run, ledger, retry_failed=False)
        assert len(planner.state.trials) == 20
        assert len(run.child("ledger").names(".jsonl")) == 1
        assert sum(isinstance(row, PlannedRow) for row in read_ledger(run)) == 20


def test_a_search_that_finds_no_more_arms_says_so(make_spec, run_dir, run_to_end):
    spec = make_spec(search={"batch_size": {"choice": [16, 32]}}, trials=5, seeds=1)
    run = Storage(run_dir)
    with Ledger(run) as ledger:
        planner = run_module._planner(spec, run, ledger, retry_failed=False)
        run_to_end(planner, lambda *_: 50.0)
    summary = run_module._summary(planner, run, is_interrupted=False, seconds=1.0)
    assert summary.complete == 2
    assert summary.in_words().endswith("2 complete, 3 arms not found")


def test_a_folder_of_something_else_is_no_run_directory(make_spec, tmp_path, console):
    for name in ("README.md", "driver.lock", ".hidden"):
        (tmp_path / name).touch()
    with pytest.raises(
        BadRunDirectory, match=r"holds no run, but README\.md; choose a folder that is new or empty"
    ):
        launch(make_spec(), str(tmp_path), console=console)
    assert not (tmp_path / "ledger").exists()
    (tmp_path / "README.md").unlink()
    with pytest.raises(ClusterTooSmall):  # so far it comes
        launch(make_spec(resources={"cpus": 1000}), str(tmp_path), console=console)


def test_a_teacher_s_file_that_was_not_there_when_it_was_planned_is_not_known_anew(
    make_spec, run_dir, tmp_path
):
    path = tmp_path / "teacher.pth"
    baseline = {"objective": {"cross_entropy": {}}, "teacher": {"model": "resnet5", "checkpoint": str(path)}}
    begin(make_spec(baseline), run_dir)  # no arm learns from it
    with pytest.raises(
        NotRunnable, match=r"arm baseline: teacher\.checkpoint: .*cannot be read on this machine"
    ):
        begin(make_spec(baseline, health={}), run_dir)
    torch.save(build_model("resnet5", 10, (1, 8, 8)).state_dict(), path)
    with pytest.raises(StudyDiffers, match=r"teacher\.pth can be read here, and could not be where trials"):
        begin(make_spec(baseline), run_dir)
    assert len(rows_of(run_dir, PlannedRow)) == 4
