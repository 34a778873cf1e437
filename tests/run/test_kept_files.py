"""Which files of the trials stay."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cktf.errors import StorageTrouble
from cktf.plan.planner import Planner
from cktf.rows import PlannedRow, Row, Stage, Status
from cktf.run.kept_files import TrialFiles
from cktf.storage import Storage
from tests.buckets import Proxy
from tests.kinds import MakeSpec, RunToEnd
from tests.planning import by_arm, by_learning_rate, next_row


@pytest.fixture
def ended(make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd) -> Callable[[Storage, Any], Planner]:
    """Run a study to its end in which each trial has a checkpoint and a student, and return its planner."""

    def run_study(run: Storage, keep: Any) -> Planner:
        spec = make_spec(keep=keep)
        planner = Planner(spec, rows.append)
        files = TrialFiles(run, planner.state, spec)
        for trial_id in planner.state.trials:
            run.write(f"trials/{trial_id}/student.safetensors", b"weights")
            run.write(f"trials/{trial_id}/checkpoint.pt", b"all")
        planner.listeners.append(files.on_row)
        run_to_end(planner, by_arm)
        files.finish()
        return planner

    return run_study


@pytest.mark.parametrize(
    ("keep", "kept"), [("all", 4), ("best", 2), ("none", 0), (["momentum=0"], 2), (["momentum=0", "baseline"], 4)]
)
def test_students_stay_as_the_study_says(keep: str | list[str], kept: int, tmp_path: Path, ended: Any) -> None:
    planner = ended(Storage(tmp_path), keep)
    assert len(list(tmp_path.glob("trials/*/student.safetensors"))) == kept
    assert not list(tmp_path.glob("trials/*/checkpoint.pt"))
    assert len(list(tmp_path.glob("trials/*"))) == kept, "no folder without files is left"
    if keep == ["momentum=0"]:
        arms = {planner.state.trials[path.name].planned.arm for path in tmp_path.glob("trials/*")}
        assert arms == {"momentum=0"}


@pytest.mark.parametrize("maximise", [True, False])
def test_while_a_study_goes_on_the_students_of_arms_that_are_not_the_best_are_deleted(
    maximise: bool, make_spec: MakeSpec, tmp_path: Path, rows: list[Row], run_to_end: RunToEnd
) -> None:
    metric = "validation_accuracy" if maximise else "validation_loss"
    spec, run = make_spec(keep="best", metric=metric, ablate={"optimizer.momentum": [0.0, 0.5, 0.6]}), Storage(tmp_path)
    planner = Planner(spec, rows.append)
    scores = {"momentum=0": 3.0, "momentum=0.5": 4.0, "momentum=0.6": 4.0 if maximise else 5.0, "baseline": 1.0}
    files = TrialFiles(run, planner.state, spec)
    planner.listeners.append(files.on_row)
    for trial_id in planner.state.trials:
        run.write(f"trials/{trial_id}/student.safetensors", b"weights")
    run_to_end(planner, lambda row, _: (scores[row.arm], scores[row.arm]))
    files.close()
    left = {planner.state.trials[path.parent.name].planned.arm for path in tmp_path.glob("trials/*/*")}
    assert left == ({"momentum=0.5", "momentum=0.6"} if maximise else {"baseline"}), "which of equal arms is left open"
    TrialFiles(run, planner.state, spec).finish()
    left = {planner.state.trials[path.parent.name].planned.arm for path in tmp_path.glob("trials/*/*")}
    assert left == {"momentum=0.5" if maximise else "baseline"}


def test_of_a_search_the_students_of_the_best_confirmed_arm_stay(
    make_search: MakeSpec, tmp_path: Path, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec, run = make_search(keep="best", seeds=1, confirm={"top": 2, "seeds": 2}), Storage(tmp_path)
    planner = Planner(spec, rows.append)
    files = TrialFiles(run, planner.state, spec)

    def write_student(row: Row) -> None:
        if isinstance(row, PlannedRow):
            run.write(f"trials/{row.trial_id}/student.safetensors", b"weights")

    planner.listeners += [write_student, files.on_row]
    for trial_id in planner.state.trials:
        run.write(f"trials/{trial_id}/student.safetensors", b"weights")
    run_to_end(planner, by_learning_rate)
    files.close()
    (best,) = planner.state.best_arms(maximise=True).values()
    left = [planner.state.trials[path.parent.name].planned for path in tmp_path.glob("trials/*/*")]
    assert [(row.stage, row.arm_id) for row in left] == [(Stage.CONFIRM, best.arm_id)] * 2


def test_a_named_arm_is_kept_whose_study_has_grown_by_one_that_trains_alike(
    make_spec: MakeSpec, tmp_path: Path, rows: list[Row], run_to_end: RunToEnd
) -> None:
    plain = {"optimizer": {"momentum": 0.0}}
    named = {**plain, "objective": {"kd": {"weight": 0, "temperature": 2}}}
    how: dict[str, Any] = {"baseline": {"teacher": {"model": "resnet5"}}, "keep": ["named"], "seeds": 1}
    run_to_end(Planner(make_spec(**how, compare={"named": named}), rows.append), by_arm)
    run, spec = Storage(tmp_path), make_spec(**how, compare={"plain": plain, "named": named})
    planner = Planner(spec, rows.append, list(rows))
    assert planner.is_done
    for trial_id in planner.state.trials:
        run.write(f"trials/{trial_id}/student.safetensors", b"weights")
    TrialFiles(run, planner.state, spec).finish()
    kept = {planner.state.trials[path.parent.name].planned.arm for path in tmp_path.glob("trials/*/*")}
    assert kept == {"named"}


def test_before_its_end_a_race_keeps_all_students(
    make_spec: MakeSpec, tmp_path: Path, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec = make_spec(keep="best", seeds=4, race={"looks": [2, 4]})
    run = Storage(tmp_path)
    planner = Planner(spec, rows.append)
    files = TrialFiles(run, planner.state, spec)
    planner.listeners.append(files.on_row)
    first = list(planner.state.trials)
    for trial_id in first:
        run.write(f"trials/{trial_id}/student.safetensors", b"weights")
    run_to_end(planner, by_arm)
    files.close()
    assert {path.parent.name for path in tmp_path.glob("trials/*/*")} == {*first}
    TrialFiles(run, planner.state, spec).finish()
    assert {planner.state.trials[path.parent.name].planned.arm for path in tmp_path.glob("trials/*/*")} == {"baseline"}


def test_an_arm_with_a_failed_trial_keeps_its_students_and_is_the_best_only_once_that_is_tried_again(
    make_spec: MakeSpec, tmp_path: Path, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec, run = make_spec(keep="best"), Storage(tmp_path)
    planner = Planner(spec, rows.append)
    failing = next_row(planner)
    assert failing.arm == "baseline"
    planner.on_end(failing.trial_id, Status.FAILED, "out of memory")
    for trial_id in run_to_end(planner, by_arm):
        run.write(f"trials/{trial_id}/student.safetensors", b"weights")

    def kept(planner: Planner) -> list[str]:
        TrialFiles(run, planner.state, spec).finish()
        return sorted(planner.state.trials[path.parent.name].planned.arm for path in tmp_path.glob("trials/*/*"))

    assert kept(planner) == ["baseline", "momentum=0", "momentum=0"]
    planner = Planner(spec, rows.append, list(rows), retry_failed=True)
    (tried,) = run_to_end(planner, by_arm)
    run.write(f"trials/{tried}/student.safetensors", b"weights")
    assert kept(planner) == ["baseline", "baseline"]


@pytest.mark.parametrize(("keep", "kept"), [("best", 2), ("none", 0)])
def test_in_a_bucket_a_study_leaves_what_it_keeps_and_no_empty_folders(
    keep: str, kept: int, proxy: Proxy, ended: Any
) -> None:
    run = Storage(proxy.uri(f"keep-{keep}"))
    ended(run, keep)
    left = run.child("trials")
    assert [name.partition("/")[2] for name in left.names(below=True)] == ["student.safetensors"] * kept
    assert len(left.folders()) == kept


def test_the_checkpoint_of_a_failed_trial_stays_for_another_try(
    make_spec: MakeSpec, tmp_path: Path, rows: list[Row]
) -> None:
    spec, run = make_spec(), Storage(tmp_path)
    planner = Planner(spec, rows.append)
    files = TrialFiles(run, planner.state, spec)
    planner.listeners.append(files.on_row)
    failing, complete = (next_row(planner).trial_id for _ in range(2))
    for trial_id in (failing, complete):
        run.write(f"trials/{trial_id}/checkpoint.pt", b"all")
        run.write(f"trials/{trial_id}/error.txt", b"why")
        (tmp_path / f"trials/{trial_id}/checkpoint.pt.0f.partial").write_bytes(b"of a killed worker")
    planner.on_end(failing, Status.FAILED, "out of memory")
    planner.on_end(complete, Status.COMPLETE)
    files.close()
    assert run.exists(f"trials/{failing}/checkpoint.pt")
    assert len(list(tmp_path.glob(f"trials/{failing}/*"))) == 3
    assert not list(tmp_path.glob(f"trials/{complete}/*"))


def test_a_checkpoint_that_a_kill_left_behind_an_end_is_deleted_when_the_study_ends(
    make_spec: MakeSpec, tmp_path: Path, rows: list[Row], run_to_end: RunToEnd
) -> None:
    spec, run = make_spec(seeds=1), Storage(tmp_path)
    planner = Planner(spec, rows.append)
    failing = next_row(planner).trial_id
    planner.on_end(failing, Status.FAILED, "out of memory")
    (complete,) = run_to_end(planner, by_arm)
    for trial_id in (failing, complete):
        run.write(f"trials/{trial_id}/checkpoint.pt", b"all")
    TrialFiles(run, planner.state, spec).finish()
    assert [path.parent.name for path in tmp_path.glob("trials/*/checkpoint.pt")] == [failing]


def test_the_best_arm_of_each_context_is_kept(
    make_spec: MakeSpec, tmp_path: Path, rows: list[Row], run_to_end: RunToEnd
) -> None:
    contexts = {"one": {}, "two": {"student": {"model": "resnet8"}}}
    spec, run = make_spec(contexts=contexts, ablate={"optimizer.momentum": [0.0]}, seeds=2), Storage(tmp_path)
    planner = Planner(spec, rows.append)
    best = {"one": "baseline", "two": "momentum=0"}
    done = run_to_end(planner, lambda row, _: 10.0 * (row.arm == best[row.context]))
    for trial_id in done:
        run.write(f"trials/{trial_id}/student.safetensors", b"weights")
    TrialFiles(run, planner.state, spec).finish()
    kept = [path.parent.name for path in tmp_path.glob("trials/*/student.safetensors")]
    rows_kept = [planner.state.trials[trial_id].planned for trial_id in kept]
    assert {(row.context, row.arm) for row in rows_kept} == {("one", "baseline"), ("two", "momentum=0")}
    assert len(kept) == 4


def test_files_that_cannot_be_deleted_end_nothing(
    make_spec: MakeSpec,
    tmp_path: Path,
    rows: list[Row],
    run_to_end: RunToEnd,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec, run = make_spec(seeds=1), Storage(tmp_path)
    planner = Planner(spec, rows.append)
    files = TrialFiles(run, planner.state, spec)
    planner.listeners.append(files.on_row)
    monkeypatch.setattr(Storage, "delete", refuse)
    run_to_end(planner, by_arm)
    files.finish()
    assert {record.getMessage() for record in caplog.records} == {
        f"{tmp_path}: files of ended trials cannot be deleted now: not now"
    }


def refuse(*_: object) -> None:
    raise StorageTrouble("not now")
