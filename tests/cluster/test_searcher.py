"""What a driver does about a trial of which nothing is heard, and what it says of a worker that died."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from cktf.cluster.searcher import PlannerScheduler, PlannerSearcher, _last_words
from cktf.plan.planner import Planner
from cktf.rows import PlannedRow
from tests.kinds import MakeResult, MakeSpec


@pytest.mark.parametrize("stall", ["retry", "wait"])
def test_a_trial_of_which_nothing_is_heard_is_told_and_its_worker_ended_if_the_study_wants_it(
    stall: str, make_spec: MakeSpec, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, said, killed = [1000.0], list[str](), list[object]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(ray, "kill", killed.append)
    planner = Planner(make_spec(stall=stall, stall_seconds=60, seeds=1), record=lambda _: None)
    searcher = PlannerSearcher(planner, assign=lambda _: None, capacity=lambda: 2, say=said.append)  # type: ignore[arg-type, return-value]
    scheduler = PlannerScheduler(planner, searcher, lambda: None, said.append)
    trials = []
    for number in range(2):
        row = planner.next_trial()
        assert isinstance(row, PlannedRow)
        worker = SimpleNamespace(ray_actor=f"worker {number}")
        trials.append(SimpleNamespace(trial_id=str(number), config={"trial_id": row.trial_id}, temporary_state=worker))
    controller: Any = SimpleNamespace(get_live_trials=lambda: [Hashed(trial) for trial in trials])

    def look(seconds: float) -> None:
        now[0] += seconds
        scheduler._look(controller.get_live_trials())

    look(0)
    for epoch in (1, 2, 3):  # the first is heard, the second is silent
        now[0] += 25
        scheduler.on_trial_result(controller, Hashed(trials[0]), {"epoch": make_result(epoch, 50.0)})  # type: ignore[arg-type]
        look(0)
    assert [line.split(";")[0] for line in said] == ["momentum=0, seed 0: nothing was heard of it for 75 s"]
    assert killed == (["worker 1"] if stall == "retry" else [])
    trials[1].temporary_state.ray_actor = None  # it waits for another worker
    look(1)
    trials[1].temporary_state.ray_actor = "worker 2"
    for _ in range(2):
        look(30)
    assert [line.split(",")[0] for line in said] == ["momentum=0", "baseline"], "another worker has its own time"
    look(30)
    assert len(said) == 3
    told = "nothing was heard of it for 60 s" if stall == "retry" else None
    assert searcher.deaths.get(trials[1].config["trial_id"]) == told


class Hashed(SimpleNamespace):
    """A trial as Tune has it, in sets."""

    def __init__(self, trial: SimpleNamespace) -> None:
        super().__init__(**vars(trial))

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.trial_id)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            'ray::Slot.train() (pid=1)\n  File "slot.py", line 1\nValueError: of the trial\n',
            "ValueError: of the trial",
        ),
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
