"""What a driver does about a trial of which nothing is heard, and what it says of a worker that died."""

import os
import signal
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.tune.experiment import Trial
from rich.console import Console

from cktf.cluster import tune
from cktf.cluster.machine import cores
from cktf.cluster.searcher import PlannerScheduler, PlannerSearcher, _last_words
from cktf.cluster.slot import Slot
from cktf.driver import launch
from cktf.epoch_result import EpochResult
from cktf.plan.planner import Planner
from cktf.rows import EpochRow, Row
from cktf.study.spec import StudySpec
from tests.kinds import MakeResult, MakeSpec
from tests.planning import ends, next_row
from tests.runs import rows_of


@pytest.mark.parametrize("stall", ["retry", "wait"])
def test_a_trial_of_which_nothing_is_heard_is_told_and_its_worker_ended_if_the_study_wants_it(
    stall: str, make_spec: MakeSpec, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = Two(make_spec(stall=stall, stall_seconds=60, seeds=1), monkeypatch)
    two.look(0)
    for epoch in (1, 2, 3):  # the first is heard, the second is silent
        two.look(25)
        two.hear(0, make_result(epoch, 50.0))
    assert [line.split(";")[0] for line in two.said] == ["momentum=0, seed 0: nothing was heard of it for 60 s"]
    assert two.killed == (["worker 1"] if stall == "retry" else [])
    two.trials[1].temporary_state.ray_actor = None  # it waits for another worker
    two.look(1)
    two.trials[1].temporary_state.ray_actor = "worker 2"
    two.look(60)
    assert [line.split(",")[0] for line in two.said] == ["momentum=0", "baseline"], "another worker has its own time"
    two.look(1)
    assert len(two.said) == 3
    told = "nothing was heard of it for 60 s" if stall == "retry" else None
    assert two.searcher.deaths.get(two.trials[1].config["trial_id"]) == told


def test_a_worker_that_may_be_waiting_for_the_storage_is_waited_for_as_much_longer(
    make_spec: MakeSpec, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = Two(make_spec(stall_seconds=60, seeds=1), monkeypatch, storage_patience=100.0)
    for number in range(2):
        two.hear(number, make_result(1, 50.0))
    two.look(159)
    assert not two.said
    two.look(1)
    assert two.killed == ["worker 0", "worker 1"]


def test_what_a_driver_could_not_hear_because_it_was_held_up_is_no_silence(
    make_spec: MakeSpec, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = Two(make_spec(stall_seconds=60, seeds=1), monkeypatch)
    for number in range(2):
        two.hear(number, make_result(1, 50.0))
    two.look(40)
    two.now += 500  # it waits for the bucket, or is stopped
    two.hear(0, make_result(2, 50.0))
    two.look(1)
    assert not two.said, "the second's result may be the next that is read"
    two.look(14)
    assert not two.said
    two.look(1)
    assert [line.split(";")[0] for line in two.said] == ["momentum=0, seed 0: nothing was heard of it for 60 s"]
    two.look(44)
    assert len(two.said) == 1
    two.look(1)
    assert two.said[1].startswith("baseline, seed 0: nothing was heard of it for 60 s"), (
        "of the first, what it was heard"
    )


def test_a_free_slot_takes_the_latest_trial_so_that_the_first_keeps_the_slot_that_is_being_started_for_it(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = Two(make_spec(seeds=1), monkeypatch)
    trials: list[Any] = [SimpleNamespace(status=status) for status in (Trial.RUNNING, Trial.PENDING, Trial.PENDING)]
    controller = SimpleNamespace(get_trials=lambda: trials, get_live_trials=list)

    def chosen() -> Any:
        return two._scheduler.choose_trial_to_run(controller)

    assert chosen() is trials[2]
    trials[2].status = Trial.TERMINATED
    assert chosen() is trials[1]
    trials[1].status = Trial.RUNNING
    assert chosen() is None


def test_a_trial_whose_slot_dies_when_it_is_to_take_it_over_is_put_back_a_few_times(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    rows: list[Row] = []
    planner = Planner(make_spec(seeds=1, max_failures=2), rows.append)
    searcher = PlannerSearcher(planner, lambda _: Assigned(), lambda: 2, say=lambda _: None)  # type: ignore[arg-type, return-value]
    scheduler = PlannerScheduler(planner, searcher, lambda: None, lambda _: None)
    (tmp_path / "error.txt").write_text("Failure # 1 (occurred at 08:00)\nThe actor died unexpectedly.\n")
    first, second = planner.state.trials
    for number in range(4):
        assert searcher.suggest(str(number))
        status = Trial.RUNNING if number == 0 else Trial.PENDING  # of the first Tune has made all tries
        key = first if number == 0 else second
        died: Any = SimpleNamespace(
            trial_id=str(number), config={"trial_id": key}, status=status, error_file=str(tmp_path / "error.txt")
        )
        scheduler.on_trial_error(None, died)
        searcher.on_trial_complete(str(number), error=True)
        assert [row.trial_id for row in ends(rows)] == [first] + [second] * (number == 3)
    assert {row.reason for row in ends(rows)} == {"its worker died: The actor died unexpectedly."}


@pytest.mark.ray
@pytest.mark.usefixtures("ray_on_this_machine")
def test_a_slot_that_dies_between_two_trials_costs_no_trial(
    make_spec: MakeSpec, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(Slot):
        def reset_config(self, new_config: dict[str, Any]) -> bool:
            if not (marker := tmp_path / "has died").exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().reset_config(new_config)

    monkeypatch.setattr(tune, "Slot", Dying)
    summary = launch(make_spec(seeds=1), tmp_path / "run", console=console)
    assert (tmp_path / "has died").exists()
    assert (summary.complete, summary.failed) == (2, 0)


@pytest.mark.ray
@pytest.mark.skipif(cores() < 2, reason="two trials at a time need two CPUs")
@pytest.mark.usefixtures("ray_on_this_machine")
def test_two_slots_work_where_all_trials_wait_for_one_teacher(
    make_spec: MakeSpec, tmp_path: Path, console: Console
) -> None:
    teacher = {"model": "resnet5", "epochs": 1}
    baseline = {"teacher": teacher, "objective": {"cross_entropy": {}, "kd": {}}, "epochs": 6}
    data = {"name": "digits", "train_fraction": 0.5}
    spec = make_spec({**baseline, "data": data}, seeds=20, resources={"cpus": 1, "gpus": 0, "slots": 2})
    assert launch(spec, tmp_path, console=console).complete == 40
    times: dict[str, list[float]] = {}
    for row in rows_of(str(tmp_path), EpochRow):
        times.setdefault(row.trial_id, []).append(row.time)
    spans = sorted((min(each), max(each)) for each in times.values())
    assert any(later[0] < earlier[1] for earlier, later in pairwise(spans)), "no two were in training at a time"


class Two:
    """Two running trials of a study with two, under a driver that looks each second of a clock of its own."""

    def __init__(self, spec: StudySpec, monkeypatch: pytest.MonkeyPatch, storage_patience: float = 0.0) -> None:
        self.now, self.said, self.killed = 1000.0, list[str](), list[object]()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(ray, "kill", self.killed.append)
        planner, say = Planner(spec, record=lambda _: None), self.said.append
        self.searcher = PlannerSearcher(planner, assign=lambda _: None, capacity=lambda: 2, say=say)  # type: ignore[arg-type, return-value]
        self._scheduler = PlannerScheduler(planner, self.searcher, lambda: None, say, storage_patience)
        self.trials: Any = []
        for number in range(2):
            row = next_row(planner)
            worker = SimpleNamespace(ray_actor=f"worker {number}")
            self.trials.append(Hashed(trial_id=str(number), config={"trial_id": row.trial_id}, temporary_state=worker))

    def look(self, seconds: int) -> None:
        """Let time pass, and look after each second."""
        for _ in range(max(1, seconds)):
            self.now += min(1, seconds)
            self._scheduler._look(self.trials)

    def hear(self, number: int, result: EpochResult) -> None:
        self._scheduler.on_trial_result(None, self.trials[number], {"epoch": result})


@dataclass
class Assigned:
    """An assignment that says nothing."""

    name: str = "a trial"


class Hashed(SimpleNamespace):
    """A trial as Tune has it, in sets."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.trial_id)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('ray::Slot.train() (pid=1)\n  File "slot.py", line 1\nValueError: of the trial\n', "ValueError: of the trial"),
        (
            "The actor died because of an error raised in its creation task, \x1b[36mray::Slot.__init__()\x1b[39m "
            '(pid=1)\nTraceback (most recent call last):\n  File "six.py", line 1\nImportError: in the way\n',
            "ImportError: in the way",
        ),
        (
            "The actor died unexpectedly before finishing this task.\n\tclass_name: Slot\n\tactor_id: 1\n",
            "The actor died unexpectedly before finishing this task.",
        ),
        ("", "nothing is known of it"),
    ],
)
def test_of_a_dead_worker_the_line_that_says_why_is_told(written: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "error.txt"
    file.write_text(f"Failure # 1 (occurred at 08:00)\nanother\nFailure # 2 (occurred at 09:00)\n{written}")
    trial: Any = SimpleNamespace(error_file=str(file))
    assert _last_words(trial) == f"its worker died: {said}"
