"""What a person sees of a run, while it runs and at any other time."""

import io
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cktf.errors import InputError, RunNotFound
from cktf.plan.planner import Planner
from cktf.plan.state import RunState
from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Status, StudyRow
from cktf.run.ledger import Ledger, read_latest, read_ledger
from cktf.run.progress import status, watch
from cktf.storage import Storage
from cktf.study.spec import StudySpec
from tests import planning
from tests.kinds import MakeResult, MakeSpec, RunToEnd
from tests.planning import by_arm, next_row
from tests.runs import printed_on


def screen(**keys: Any) -> Console:
    return Console(file=io.StringIO(), width=160, **keys)


def shown(run: Storage) -> str:
    console = screen()
    console.print(status(run.root))
    return printed_on(console)


def study_row(spec: StudySpec) -> StudyRow:
    return StudyRow(
        study=spec.name,
        run="run",
        question="Does it matter?",
        design=spec.design,
        metric=spec.columns[0],
        report_metric=spec.report_metric,
        maximise=spec.maximise,
        baseline_arm_id=next(iter(spec.baseline_configs.values())).arm_id,
        factors=list(spec.factors),
    )


def test_without_a_terminal_each_end_is_one_line(make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd) -> None:
    planner, console = Planner(make_spec(), rows.append), screen()
    with watch(planner, console) as show:
        planner.listeners.append(show)
        first = next_row(planner)
        planner.on_end(first.trial_id, Status.FAILED, "out of memory")
        run_to_end(planner, by_arm, at_once=1)
    lines = printed_on(console).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("[1/4] baseline, seed 0, failed: out of memory")
    assert lines[2].endswith("; under 1 min left")
    assert lines[3] == "[4/4] momentum=0, seed 1, complete, validation_accuracy 80"


def test_the_live_line_fits_eighty_columns_and_long_names_are_cut(
    make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    long = "a study with a name that says all that there is to say"
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    planner = Planner(make_spec(name=long), rows.append)
    with watch(planner, console) as show:
        planner.listeners.append(show)
        planner.on_end(next_row(planner).trial_id, Status.FAILED, "out of memory")
        run_to_end(planner, by_arm)
    bars = [line for line in printed_on(console).replace("\r", "\n").splitlines() if "4/4" in line]
    assert bars
    assert all(len(line.partition("\x1b")[0]) <= 80 for line in bars)
    assert "a study with a name…" in bars[-1]
    assert "0 running, 1 failed" in bars[-1]

    piped = Console(file=io.StringIO(), width=80)
    arm = {"optimizer.momentum": [0.123456789012345], "optimizer.weight_decay": [0.000123456789]}
    planner = Planner(make_spec(grid=arm), list[Row]().append)
    with watch(planner, piped) as show:
        planner.listeners.append(show)
        run_to_end(planner, by_arm)
    assert "momentum=0.123456789012345, weight_deca…" in printed_on(piped)


def test_on_a_terminal_one_line_is_made_anew_and_failures_stay(
    make_spec: MakeSpec, rows: list[Row], run_to_end: RunToEnd
) -> None:
    planner, console = Planner(make_spec(), rows.append), screen(force_terminal=True)
    with watch(planner, console) as show:
        planner.listeners.append(show)
        first = next_row(planner)
        planner.on_end(first.trial_id, Status.FAILED, "out of memory")
        run_to_end(planner, by_arm)
    text = printed_on(console)
    assert "baseline, seed 0, failed: out of memory" in text
    assert "4/4" in text
    assert "best validation_accuracy 80 (momentum=0)" in text


def test_the_status_follows_from_the_ledger_alone(make_spec: MakeSpec, tmp_path: Path, run_to_end: RunToEnd) -> None:
    run = Storage(tmp_path / "run")
    with Ledger(run) as ledger:
        spec = make_spec(ablate={"optimizer.momentum": [0.0, 0.5]}, seeds=2)
        ledger.append(study_row(spec))
        planner = Planner(spec, ledger.append)
        run_to_end(planner, by_arm, most=4, at_once=1)
        failing = next_row(planner)
        assert isinstance(failing, PlannedRow)
        planner.on_end(failing.trial_id, Status.FAILED, "out of memory")
        text = shown(run)
        assert "tiny: Does it matter?" in text
        ledger.append(replace(study_row(spec), question="What did this launch ask?"))
        assert "tiny: What did this launch ask?" in shown(run)
        assert "at work" in text
        assert f"{failing.arm}, seed 1, failed: out of memory" in text
        assert "baseline, validation_accuracy 90" in text
    assert "none; 'cktf resume' continues the run" in shown(run)


def test_the_status_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="there is no run"):
        status(str(tmp_path))


def test_the_status_of_a_run_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("a file where a folder is expected")
    with pytest.raises(InputError, match=r"ledger: .*[Nn]ot a directory"):
        status(str(tmp_path))


def test_the_status_needs_neither_ray_nor_pytorch_nor_optuna() -> None:
    program = "import sys, cktf.run.progress; print({'ray', 'torch', 'optuna'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_what_stands_in_brackets_is_shown_as_it_is(make_spec: MakeSpec, tmp_path: Path) -> None:
    run, reason = Storage(tmp_path / "run"), "no [/x] in [bold]"
    spec = make_spec(name="tiny [last]")
    live = screen(force_terminal=True)
    with Ledger(run) as ledger:
        ledger.append(study_row(spec))
        planner = Planner(spec, ledger.append)
        with watch(planner, live) as show:
            planner.listeners.append(show)
            planner.on_end(next_row(planner).trial_id, Status.FAILED, reason)
    assert "tiny [last]: Does it matter?" in shown(run)
    assert reason in shown(run)
    assert "tiny [last]" in printed_on(live)
    assert reason in printed_on(live)


def test_arms_of_several_contexts_are_named_with_them(
    make_spec: MakeSpec, tmp_path: Path, run_to_end: RunToEnd
) -> None:
    contexts = {"one": {}, "two": {"student": {"model": "resnet8"}}}
    spec = make_spec(contexts=contexts, ablate={"optimizer.momentum": [0.0]}, seeds=1)
    run, console = Storage(tmp_path / "run"), screen()
    with Ledger(run) as ledger:
        ledger.append(study_row(spec))
        planner = Planner(spec, ledger.append)
        with watch(planner, console) as show:
            planner.listeners.append(show)
            run_to_end(planner, by_arm, at_once=1)
    lines = printed_on(console).splitlines()
    assert lines[3].startswith("[4/4] two: momentum=0, seed 0, complete, validation_accuracy 80")
    assert "best" not in lines[3]
    for best in ("one: baseline, validation_accuracy 90", "two: baseline, validation_accuracy 90"):
        assert best in shown(run)


def test_a_status_reads_of_each_trial_s_epochs_the_last_alone_and_tells_the_same(
    make_spec: MakeSpec, tmp_path: Path, run_to_end: RunToEnd
) -> None:
    run, spec = Storage(tmp_path / "run"), make_spec({"epochs": 3}, seeds=3)
    with Ledger(run) as ledger:
        ledger.append(study_row(spec))
        run_to_end(Planner(spec, ledger.append), by_arm, most=5)
    with Ledger(run) as ledger:  # another session, which goes on with the rest
        planner = Planner(spec, ledger.append, list(read_ledger(run)))
        running = next_row(planner)
        assert isinstance(running, PlannedRow)
        silent = replace(next(row for row in read_ledger(run) if isinstance(row, EpochRow)), time=time.time() - 700.0)
        for epoch in (1, 2):
            ledger.append(replace(silent, trial_id=running.trial_id, epoch=epoch))
        whole, latest = list(read_ledger(run)), list(read_latest(run))
        assert sum(isinstance(row, EpochRow) for row in whole) == 17
        assert sum(isinstance(row, EpochRow) for row in latest) == 6
        states = [RunState(spec.columns[0], rows) for rows in (whole, latest)]
        assert states[0].counts() == states[1].counts()
        assert states[0].best_arms(maximise=True) == states[1].best_arms(maximise=True)
        assert [trial.end for trial in states[0].trials.values()] == [trial.end for trial in states[1].trials.values()]
        assert "running, epoch 2 of 3, validation_accuracy 90; nothing was heard of it for 12 min" in shown(run)
    assert "nothing was heard" not in shown(run), "its driver has ended"
    broken = Path(run.full("ledger/000002.jsonl"))
    broken.write_bytes(broken.read_bytes().replace(b'"epoch":2', b'"epoch":"two"'))
    with pytest.raises(InputError, match=r"000002.jsonl, line 2: 'epoch' of a row of kind 'epoch' must be"):
        shown(run)


def test_before_the_first_row_the_live_line_says_what_is_waited_for(make_spec: MakeSpec, rows: list[Row]) -> None:
    planner, console = Planner(make_spec(), rows.append), screen(force_terminal=True, color_system=None)
    with watch(planner, console) as show:
        planner.listeners.append(show)
        assert "starting Ray and first epochs" in printed_on(console)
        planner.on_end(next_row(planner).trial_id, Status.FAILED, "out of memory")
    assert "starting" not in printed_on(console).rpartition("1/4")[2]


def test_the_live_time_left_is_at_the_pace_of_this_session(
    make_spec: MakeSpec,
    rows: list[Row],
    run_to_end: RunToEnd,
    make_result: MakeResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec, now = make_spec(seeds=4), [time.time() + 1000.0]
    run_to_end(planning.ledger(spec, rows), by_arm, most=5)  # another session's five of eight
    monkeypatch.setattr(time, "time", lambda: now[0])
    planner, console = Planner(spec, rows.append, [*rows], clock=lambda: now[0]), screen()

    with watch(planner, console) as show:
        planner.listeners.append(show)
        now[0] += 900.0
        while isinstance(row := planner.next_trial(), PlannedRow):
            for epoch in (1, 2):
                now[0] += 3600.0
                planner.on_epoch(row.trial_id, make_result(epoch, by_arm(row, epoch), epoch_seconds=3600.0))
            planner.on_end(row.trial_id, Status.COMPLETE)
    said = [line.partition("; ")[2] for line in printed_on(console).splitlines()]
    # Trials have two epochs of an hour; what passes before the session's first trial has begun is not counted.
    assert said == ["4.0 h left", "2.0 h left", ""]


def test_a_status_tells_of_each_running_trial_and_of_some_ten_at_most(
    make_spec: MakeSpec, make_result: MakeResult, tmp_path: Path
) -> None:
    run, spec = Storage(tmp_path / "run"), make_spec({"epochs": 9}, seeds=7)
    with Ledger(run) as ledger:
        ledger.append(study_row(spec))
        planner = Planner(spec, ledger.append, clock=lambda: time.time() - 300.0)
        for epoch in (3, 4):
            for row in [next_row(planner) for _ in range(6)]:
                planner.on_epoch(row.trial_id, make_result(epoch, 90.0))
        text = shown(run)
        assert "baseline, seed 0, running, epoch 3 of 9, validation_accuracy 90; heard of 5 min ago" in text
        assert text.count("heard of 5 min ago") == 10
        assert "and 2 more" in text
        assert re.search("│ running +│ +12 │", text)
        assert "was running" not in text
    text = shown(run)
    assert "baseline, seed 0, was running, epoch 3 of 9, validation_accuracy 90; heard of 5 min ago" in text
    assert re.search("│ was running +│ +12 │", text)
    assert not re.search("│ running", text)


def test_after_a_resume_a_trial_is_silent_from_there_and_running_once_it_is_heard_of(
    make_spec: MakeSpec, make_result: MakeResult, tmp_path: Path
) -> None:
    run, spec, now = Storage(tmp_path / "run"), make_spec({"epochs": 9}, seeds=1), time.time()
    with Ledger(run) as ledger:
        ledger.append(replace(study_row(spec), time=now - 40000.0))
        planner = Planner(spec, ledger.append, clock=lambda: now - 36000.0)
        (first, second) = (next_row(planner) for _ in range(2))
        for row in (first, second):
            planner.on_epoch(row.trial_id, make_result(1, 90.0))
        assert shown(run).count("nothing was heard of it for 10.0 h") == 2
        ledger.append(replace(study_row(spec), time=now - 300.0, stall_seconds=60.0))
        text = shown(run)
        assert "nothing was heard" not in text
        assert text.count("was running, epoch 1 of 9, validation_accuracy 90; heard of 10.0 h ago") == 2
        assert "at work; no epoch has come in the 5 min since its start" in text
        epoch = EpochRow(trial_id=first.trial_id, time=now - 120.0, **vars(make_result(2, 90.0)))
        ledger.append(epoch)
        text = shown(run)
        assert "seed 0, running, epoch 2 of 9, validation_accuracy 90; nothing was heard of it for 2 min" in text
        assert "no epoch has come" not in text
        ledger.append(replace(study_row(spec), time=now - 700.0, stall_seconds=60.0))
        assert f"{second.arm}, seed 0, was running, epoch 1 of 9" in shown(run)
        assert shown(run).count("nothing was heard of it for 12 min") == 1, "the second's first epoch of the session"


def test_a_status_has_the_time_left_at_the_pace_of_this_session(make_spec: MakeSpec, tmp_path: Path) -> None:
    run, spec, now = Storage(tmp_path / "run"), make_spec(seeds=4), time.time()
    with Ledger(run) as ledger:

        def end(trial_id: str, ago: float) -> None:
            ledger.append(EndRow(trial_id=trial_id, status=Status.COMPLETE, wall_seconds=1200.0, time=now - ago))

        ledger.append(replace(study_row(spec), time=now - 90000.0))
        first, second, third, fourth, *_ = Planner(spec, ledger.append).state.trials
        for trial_id in (first, second):
            end(trial_id, 80000.0)
        ledger.append(replace(study_row(spec), time=now - 36000.0))
        assert " left" not in shown(run).replace("left to run", ""), "none before the session's first end"
        end(third, 1200.0)
        assert "at work; 3.3 h left" in shown(run), "40 minutes since its start for one, five are to come"
        end(fourth, 0.0)
        assert "at work; 80 min left" in shown(run)
        ledger.append(replace(study_row(spec), time=now - 36000.0, design="search"))
        assert " left" not in shown(run).replace("left to run", ""), "how many there will be is not known"
