"""Run directories: whose they are, and what may be gone on with in them."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

from cktf import driver as run_module
from cktf.driver import extend, extended, launch, resume
from cktf.errors import (
    ClusterTooSmall,
    InputError,
    NotRunnable,
    RunInUse,
    RunNotFound,
    StudyDiffers,
)
from cktf.models import build_model
from cktf.rows import PlannedRow, StudyRow
from cktf.run.directory import STUDY, require_study, write_what_was_asked
from cktf.run.ledger import Ledger, read_ledger
from cktf.run.progress import status
from cktf.storage import Storage
from cktf.study.problems import StudyError
from cktf.study.spec import StudySpec
from tests.kinds import MakeSpec
from tests.runs import begin, rows_of

on_ray = pytest.mark.usefixtures("ray_on_this_machine")


def test_a_run_directory_of_another_study_is_refused(make_spec: MakeSpec, run_dir: str, console: Console) -> None:
    begin(make_spec(), run_dir)
    with pytest.raises(StudyDiffers, match="differs in: baseline, ablate, seeds; choose another"):
        launch(make_spec({"epochs": 3}, ablate={"batch_size": [16]}), run_dir, console=console)
    # Its rounding holds for all trials of a run or for none.
    with pytest.raises(StudyDiffers, match="differs in: teacher_once; choose"):
        launch(make_spec(teacher_once=True), run_dir, console=console)


@on_ray
def test_what_a_trial_takes_may_change_between_launches_but_not_what_batch_norm_sees(
    make_spec: MakeSpec, run_dir: str, console: Console
) -> None:
    begin(make_spec(resources={"cpus": 1}), run_dir)
    with pytest.raises(ClusterTooSmall):  # so far it comes
        launch(make_spec(resources={"cpus": 1001, "slots": 1}), run_dir, console=console)
    with pytest.raises(StudyDiffers, match=r"differs in: resources\.workers; choose"):
        launch(make_spec(resources={"cpus": 1000, "workers": 2}), run_dir, console=console)


@on_ray
def test_what_is_measured_beside_the_results_may_change_between_launches(
    make_spec: MakeSpec, run_dir: str, console: Console
) -> None:
    begin(make_spec(), run_dir)
    with pytest.raises(ClusterTooSmall):  # so far it comes
        launch(make_spec(resources={"cpus": 1000}, health={"every": 1}), run_dir, console=console)


@on_ray
def test_a_teacher_s_file_that_has_changed_since_it_was_planned_is_refused(
    make_spec: MakeSpec, run_dir: str, console: Console, tmp_path: Path
) -> None:
    path = tmp_path / "teacher.pth"

    def spec() -> StudySpec:
        baseline = {
            "objective": {"cross_entropy": {}, "kd": {}},
            "teacher": {"model": "resnet5", "checkpoint": str(path), "accept_any": True},
        }
        return make_spec(baseline, resources={"cpus": 1000})

    def carry_out() -> None:
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
    with pytest.raises(StudyDiffers, match=r"has changed since trials were planned .* and is not to be read"):
        resume(run_dir, address="auto", console=console)
    torch.save(weights, path)
    with pytest.raises(ClusterTooSmall):
        carry_out()


def test_a_teacher_s_file_that_was_not_there_when_it_was_planned_is_not_known_anew(
    make_spec: MakeSpec, run_dir: str, tmp_path: Path
) -> None:
    path = tmp_path / "teacher.pth"
    baseline = {"objective": {"cross_entropy": {}}, "teacher": {"model": "resnet5", "checkpoint": str(path)}}
    begin(make_spec(baseline), run_dir)  # no arm learns from it
    with pytest.raises(NotRunnable, match=r"arm baseline: teacher\.checkpoint: .*cannot be read on this machine"):
        begin(make_spec(baseline, health={}), run_dir)
    torch.save(build_model("resnet5", 10, (1, 8, 8)).state_dict(), path)
    with pytest.raises(
        StudyDiffers,
        match=r"teacher\.pth has changed since trials were planned with it: its SHA-256 was not to be read",
    ):
        begin(make_spec(baseline), run_dir)
    assert len(rows_of(run_dir, PlannedRow)) == 4


@on_ray
def test_a_folder_of_something_else_is_no_run_directory(make_spec: MakeSpec, tmp_path: Path, console: Console) -> None:
    for name in ("README.md", "driver.lock", ".hidden"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"holds no run, but README\.md; choose a folder that is new or empty"):
        launch(make_spec(), str(tmp_path), console=console)
    assert not (tmp_path / "ledger").exists()
    (tmp_path / "README.md").unlink()
    with pytest.raises(ClusterTooSmall):  # so far it comes
        launch(make_spec(resources={"cpus": 1000}), str(tmp_path), console=console)


def test_a_run_directory_that_another_driver_uses_is_refused(
    make_spec: MakeSpec, run_dir: str, console: Console
) -> None:
    with Ledger(Storage(run_dir)), pytest.raises(RunInUse, match="in use by process"):
        launch(make_spec(), run_dir, console=console)


def test_a_run_directory_that_cannot_be_written_is_refused(
    make_spec: MakeSpec, tmp_path: Path, console: Console
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"run.*: Not a directory"):
        launch(make_spec(), str(tmp_path / "file" / "run"), console=console)


@pytest.mark.timeout(120)
def test_a_run_that_another_driver_has_begun_meanwhile_is_not_made_another_study_s(
    make_spec: MakeSpec, run_dir: str, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_overtaken(*_: object) -> None:
        with Ledger(Storage(run_dir)) as ledger:
            write_what_was_asked(make_spec({"epochs": 3}), Storage(run_dir), ledger)

    monkeypatch.setattr(run_module, "require_runnable", be_overtaken)
    with pytest.raises(RunInUse, match="another driver has changed its study just now"):
        launch(make_spec(), run_dir, console=console)
    assert len(rows_of(run_dir, StudyRow)) == 1


def test_a_run_that_is_not_there_is_said_to_be_not_there(run_dir: str) -> None:
    for act in (status, resume, extend):
        with pytest.raises(RunNotFound, match="there is no run"):
            act(run_dir)


@pytest.mark.parametrize(
    ("place", "told"),
    [("", "is empty; use '.'"), ("s3://", "s3://: names no bucket"), ("foo://x", "foo://x: is not a run directory")],
)
def test_a_place_that_cannot_be_opened_is_refused(make_spec: MakeSpec, place: str, told: str) -> None:
    for act in (status, resume, extend, lambda place: launch(make_spec(), place)):
        with pytest.raises(InputError, match=told):
            act(place)


def test_a_study_that_is_no_text_is_told(run_dir: str) -> None:
    Storage(run_dir).write(STUDY, b"\xff\x00")
    for act in (resume, extend):
        with pytest.raises(StudyError, match=r"study\.yaml: is not UTF-8 text"):
            act(run_dir)


def test_planning_writes_one_object_of_a_bucket(make_spec: MakeSpec, tmp_path: Path) -> None:
    (tmp_path / "bucket" / "ledger").mkdir(parents=True)  # as buckets need not be told
    run = Storage(tmp_path / "bucket")
    run.is_local = False
    with Ledger(run) as ledger:
        planner = run_module._planner(make_spec(seeds=10), run, ledger, retry_failed=False)
        assert len(planner.state.trials) == 20
        assert len(run.child("ledger").names(".jsonl")) == 1
        assert sum(isinstance(row, PlannedRow) for row in read_ledger(run)) == 20


@pytest.mark.parametrize("count", [-1, 1])
def test_a_planned_trial_that_is_none_of_this_version_s_is_named(
    make_spec: MakeSpec, run_dir: str, console: Console, count: int
) -> None:
    begin(make_spec(), run_dir)
    (segment,) = Path(run_dir, "ledger").iterdir()
    segment.write_text(segment.read_text().replace('"batch_size":32', '"batch_size":-1', count))
    with pytest.raises(InputError, match=r"ledger: the configuration of trial .*: batch_size: must be 2 or more; got"):
        resume(run_dir, console=console)


def test_a_study_file_edited_by_hand_is_noticed_where_results_depend_on_it(make_spec: MakeSpec, run_dir: str) -> None:
    begin(make_spec({"epochs": 4}), run_dir)
    begin(extended(make_spec({"epochs": 4}), seeds=1), run_dir)
    study = Path(run_dir, STUDY)
    text = study.read_text()
    study.write_text(f"# a word\n{text}\nkeep: all\n")
    begin(require_study(Storage(run_dir)), run_dir)
    study.write_text(text.replace("epochs: 4", "epochs: 3").replace("batch_size: 32", "batch_size: 16"))
    with pytest.raises(StudyDiffers, match=r"study\.yaml: was changed since the last launch, in: baseline; put back"):
        begin(require_study(Storage(run_dir)), run_dir)
    assert len(rows_of(run_dir, StudyRow)) == 3


def test_a_driver_killed_before_it_wrote_the_extended_study_leaves_one_that_goes_on(
    make_spec: MakeSpec, run_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(make_spec(), run_dir)
    monkeypatch.setattr(Storage, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        begin(extended(make_spec(), seeds=1), run_dir)
    monkeypatch.undo()
    begin(require_study(Storage(run_dir)), run_dir)
    assert require_study(Storage(run_dir)).seeds == (0, 1)


def test_the_ledger_of_a_search_has_what_the_baseline_has_of_its_factors(make_search: MakeSpec, run_dir: str) -> None:
    search = {
        "optimizer.learning_rate": {"float": [0.01, 0.1]},
        "objective.kd.temperature": {"choice": [1.0, 4.0]},  # which the baseline does not have
    }
    baseline = {"teacher": {"model": "resnet5", "epochs": 1}, "optimizer": {"learning_rate": 0.03}}
    begin(make_search(baseline=baseline, search=search), run_dir)
    (study,) = rows_of(run_dir, StudyRow)
    assert study.default_levels == {"optimizer.learning_rate": 0.03}


def test_the_ledger_of_a_design_has_no_default_levels_and_what_the_study_says_of_silent_trials(
    make_spec: MakeSpec, run_dir: str
) -> None:
    begin(make_spec(stall_seconds=1800), run_dir)
    (study,) = rows_of(run_dir, StudyRow)
    assert (study.default_levels, study.stall_seconds) == ({}, 1800.0)
