"""Whole studies on a Ray of this machine: launched, broken, resumed, extended."""

import errno
import os
import signal
import sys
import threading
import time
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from cktf import driver as run_module
from cktf.driver import Summary, extend, extended, launch, resume
from cktf.errors import ClusterTooSmall, InputError, NotExtensible, NotRunnable, RunNotFound, StudyDiffers
from cktf.plan.planner import Planner
from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Stage, Status, StudyRow
from cktf.run.directory import STUDY, write_what_was_asked
from cktf.run.ledger import Ledger
from cktf.run.progress import status
from cktf.storage import Storage
from cktf.study.load import dump_study, load_study, read_study
from tests.conftest import BASELINE, RESOURCES
from tests.drivers import killing
from tests.kinds import FindProcesses, MakeSpec, RunToEnd
from tests.runs import begin, printed_on, rows_of

on_ray = pytest.mark.usefixtures("ray_on_this_machine")


@on_ray
def test_a_design_runs_to_its_end_and_runs_nothing_twice(make_spec: MakeSpec, run_dir: str, console: Console) -> None:
    spec = make_spec(resources={"cpus": 1, "gpus": 0})
    summary = launch(spec, run_dir, console=console)
    assert (summary.complete, summary.failed, summary.is_interrupted) == (4, 0, False)
    assert summary.in_words().endswith("4 complete")
    assert "[4/4]" in printed_on(console)

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
    assert [arms[key] for key in kept] == [max(totals, key=lambda arm: totals[arm])] * 2
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

    larger = make_spec(ablate={"optimizer.momentum": [0.0, 0.5]}, seeds=3, delta=0.5)
    assert extend(run_dir, study=larger, console=console).complete == 9
    assert resume(run_dir, console=console).complete == 9
    with pytest.raises(StudyDiffers, match=r"differs in: .*seeds; .* or 'cktf extend"):
        launch(spec, run_dir, console=console)
    ended = [row.trial_id for row in rows_of(run_dir, EndRow)]
    assert len(ended) == len({*ended}) == 9, "nothing is trained again"


@on_ray
def test_a_search_prunes_confirms_and_reads_the_test_split_only_then(
    make_spec: MakeSpec, run_dir: str, console: Console
) -> None:
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


@on_ray
def test_a_trial_whose_worker_dies_goes_on_from_its_checkpoint(
    make_spec: MakeSpec, run_dir: str, console: Console, processes_below: FindProcesses
) -> None:
    spec = make_spec({"epochs": 40}, seeds=1, resources={"cpus": 1, "gpus": 0, "slots": 1})
    with killing(processes_below, run_dir, b"ray::Slot") as killed:
        summary = launch(spec, run_dir, console=console)
    assert len(killed) == 1
    assert (summary.complete, summary.failed) == (2, 0)
    for end in rows_of(run_dir, EndRow):
        assert [row.epoch for row in rows_of(run_dir, EpochRow) if row.trial_id == end.trial_id] == [*range(1, 41)]


@on_ray
def test_a_signal_ends_a_launch_as_ctrl_c_does(make_spec: MakeSpec, run_dir: str, console: Console) -> None:
    number = signal.SIGHUP  # tests/cluster/test_local.py has another, and tests/faults all, at any moment

    def send_after_two_epochs() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and len(rows_of(run_dir, EpochRow)) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    before = signal.signal(number, lambda *_: None)  # should it come too late, and as what nohup ignores is not taken
    thread = threading.Thread(target=send_after_two_epochs)
    try:
        thread.start()
        summary = launch(make_spec({"epochs": 400}), run_dir, console=console)
        thread.join()
    finally:
        signal.signal(number, before)
    assert summary.is_interrupted
    assert not rows_of(run_dir, EndRow)


def test_an_interrupt_leaves_no_empty_folder_of_a_trial(
    make_spec: MakeSpec, run_dir: str, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(planner: Planner, run: Storage, **_: Any) -> None:
        for trial_id in planner.state.trials:
            Path(run.full(f"trials/{trial_id}")).mkdir(parents=True)
        run.write(f"trials/{trial_id}/checkpoint.pt", b"all")
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "cktf.cluster.tune", SimpleNamespace(tune_to_end=interrupted))
    summary = launch(make_spec(), run_dir, console=console)
    assert summary.is_interrupted
    assert len(list(Path(run_dir).glob("trials/*"))) == 1


@on_ray
def test_a_trial_that_fits_on_no_node_is_refused_before_anything_starts(
    make_spec: MakeSpec, run_dir: str, console: Console
) -> None:
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


@on_ray
def test_a_refused_launch_leaves_what_was_trained_though_its_study_is_gone(
    make_spec: MakeSpec, run_dir: str, console: Console, run_to_end: RunToEnd
) -> None:
    spec = make_spec(seeds=1)
    with Ledger(Storage(run_dir)) as ledger:
        write_what_was_asked(spec, Storage(run_dir), ledger)
        run_to_end(Planner(spec, ledger.append), lambda *_: 50.0, most=1)
    (Path(run_dir) / STUDY).unlink()
    trained = rows_of(run_dir, EpochRow)
    with pytest.raises(ClusterTooSmall):
        launch(make_spec(seeds=1, resources={"cpus": 1000, "gpus": 0}), run_dir, console=console)
    assert rows_of(run_dir, EpochRow) == trained != []


@on_ray
def test_what_a_cluster_cannot_build_is_told_before_anything_starts(
    make_spec: MakeSpec, run_dir: str, console: Console
) -> None:
    spec = make_spec(ablate={"augmentation.crop": [64]})
    with pytest.raises(
        NotRunnable, match=r"^tiny, arm crop=64: phase train: augmentation\.crop: must be 8 or less.*64$"
    ):
        launch(spec, run_dir, address="auto", console=console)
    assert not rows_of(run_dir, EpochRow)


def test_a_size_of_the_cache_that_is_no_number_is_refused_before_anything_starts(
    make_spec: MakeSpec, run_dir: str, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CKTF_CACHE_GB", "much")
    with pytest.raises(NotRunnable, match=r"\$CKTF_CACHE_GB: must be a number of gigabytes"):
        launch(make_spec(teacher_once=True), run_dir, console=console)


@on_ray
def test_a_full_disk_ends_a_launch_with_one_message_whenever_it_comes_and_a_resume_goes_on(
    make_spec: MakeSpec, run_dir: str, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(seeds=2)

    def run_until_full(writer: Any, name: str, kind: Any, at: int) -> None:
        write, seen = getattr(writer, name), []

        def fail_once(self: Any, row: Row) -> None:
            seen.append(row) if isinstance(row, kind) else None
            if len(seen) == at and row is seen[-1]:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(self, row)

        with monkeypatch.context() as patched:
            patched.setattr(writer, name, fail_once)
            with pytest.raises(InputError, match="No space left on device"):
                launch(spec, run_dir, console=console)

    run_until_full(Ledger, "append", PlannedRow, 2)
    run_until_full(Ledger, "append", EpochRow, 3)
    left = 4 - len(rows_of(run_dir, EndRow))
    assert left >= 1
    run_until_full(Ledger, "append", EndRow, left)  # the last one, after which nothing else would be written
    assert resume(run_dir, console=console).complete == 4
    ended = [row.trial_id for row in rows_of(run_dir, EndRow)]
    assert len(ended) == len(set(ended)) == 4
    epochs = [(row.trial_id, row.epoch) for row in rows_of(run_dir, EpochRow)]
    assert len(epochs) == len(set(epochs)) == 8
    assert not list(Path(run_dir).glob("trials/*/checkpoint.pt"))


def test_a_command_that_is_suggested_is_one_for_a_shell(make_spec: MakeSpec, tmp_path: Path) -> None:
    run = str(tmp_path / "mine & yours")
    begin(make_spec(), run)
    with pytest.raises(StudyDiffers, match=f"cktf resume '{run}'' .* or 'cktf extend '{run}' --study"):
        launch(make_spec(seeds=9), run)
    failed, interrupted = (Summary(run, 1, 0, 1, {}, {}, 0, stopped, 1.0).in_words() for stopped in (False, True))
    assert f"cktf resume '{run}' --retry-failed" in failed
    assert f"cktf resume '{run}'' continues" in interrupted
    with pytest.raises(RunNotFound, match=f"cktf launch STUDY --run-dir '{run}/none'"):
        status(f"{run}/none")


def test_only_what_a_study_has_can_be_extended(make_spec: MakeSpec, make_search: MakeSpec) -> None:
    assert extended(make_spec(seeds=2), seeds=2).seeds == (0, 1, 2, 3)
    assert extended(make_search(trials=6), trials=4).trials == 10
    confirming = make_search(confirm={"top": 1, "seeds": 2})
    assert extended(confirming, seeds=3).confirm_seeds == (1, 2, 3, 4, 5)
    with pytest.raises(NotExtensible, match="--trials are added to a search"):
        extended(make_spec(), trials=1)
    with pytest.raises(NotExtensible, match="--seeds to a design, or a search with 'confirm:'"):
        extended(make_search(), seeds=1)
    with pytest.raises(NotExtensible, match="use --trials or --seeds and a number, or --study"):
        extended(make_spec())


def test_a_study_is_extended_only_to_what_can_be_read_again(make_spec: MakeSpec, make_search: MakeSpec) -> None:
    for seeds in (995, 10**15):
        with pytest.raises(NotExtensible, match="seeds: must be between 1 and 1000"):
            extended(make_spec(seeds=8), seeds=seeds)
    confirming = make_search(confirm={"top": 1, "seeds": 8})
    with pytest.raises(NotExtensible, match=r"confirm\.seeds"):
        extended(confirming, seeds=995)
    spec = make_spec(seeds=8)
    text = dump_study(extended(spec, seeds=992))
    assert read_study(text, "study.yaml") == extended(spec, seeds=992)


@on_ray
def test_a_trial_of_two_workers_ends_and_fails_as_one_of_one_does(
    make_spec: MakeSpec, run_dir: str, console: Console
) -> None:
    spec = make_spec(
        ablate={"optimizer.learning_rate": [1e30]}, seeds=1, resources={"workers": 2, "cpus": 2, "gpus": 0}
    )
    summary = launch(spec, run_dir, console=console)
    assert (summary.complete, summary.failed) == (1, 1)
    assert next(iter(summary.failures)).startswith("the loss is nan in epoch")
    assert [row.epoch for row in rows_of(run_dir, EpochRow)] == [1, 2]
    assert not list(Path(run_dir).glob("trials/*/workers"))


def test_a_search_that_finds_no_more_arms_says_so(make_spec: MakeSpec, run_dir: str, run_to_end: RunToEnd) -> None:
    spec = make_spec(search={"batch_size": {"choice": [16, 32]}}, trials=5, seeds=1)
    run = Storage(run_dir)
    with Ledger(run) as ledger:
        planner = run_module._planner(spec, run, ledger, retry_failed=False)
        run_to_end(planner, lambda *_: 50.0)
    summary = run_module._summary(planner, run, is_interrupted=False, seconds=1.0)
    assert summary.complete == 2
    assert summary.in_words().endswith("2 complete, 3 arms not found")


@pytest.mark.usefixtures("plain_registries")
@on_ray
def test_a_study_with_an_objective_of_its_own_runs_is_extended_and_needs_its_file_no_more(
    tmp_path: Path, run_dir: str, console: Console
) -> None:
    file = tmp_path / "objective.py"
    file.write_text((resources.files("cktf.templates") / "objective.py").read_text())
    baseline = {**BASELINE, "teacher": {"model": "resnet5", "epochs": 1}}
    values = {"baseline": baseline, "compare": {"mine": {"objective": {"directions": {}}}}, "resources": RESOURCES}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"plugins": ["objective.py"], "seeds": 1, **values}))
    begin(load_study(tmp_path / "study.yaml"), run_dir)
    file.unlink()
    assert extend(run_dir, seeds=1, console=console).complete == 4
    terms = [set(row.terms) for row in rows_of(run_dir, EpochRow)]
    assert terms.count({"cross_entropy.logits", "directions.cosines"}) == 4
    with Path(run_dir, "plugins", "objective.py").open("a") as stream:
        stream.write("# changed")
    with pytest.raises(StudyDiffers, match=r"plug-in objective\.py has changed since the last launch"):
        resume(run_dir, console=console)
