"""What Tune is made to do with a worker that was lost."""

from typing import Any

import pytest
from ray.air.execution._internal import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, RayTaskError

from cktf.cluster import tune


@pytest.mark.parametrize("kind", [OutOfMemoryError, NodeDiedError])
def test_a_worker_that_its_machine_has_ended_has_died(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = RayActorManager(resource_manager=None)  # type: ignore[arg-type]
    monkeypatch.setattr(manager, "_cleanup_actor", lambda **_: None)  # of an actor that there is
    told: list[Any] = []
    actor = TrackedActor(1, on_error=lambda *about: told.append(about))
    task = TrackedActorTask(actor, on_error=lambda *about: told.append(about))
    manager._actor_task_failed(task, kind("of node a"))
    assert [type(exception) for _, exception in told] == [RayActorError, RayActorError], "of the actor, of its task"
    assert "of node a" in str(told[0][1])


def test_an_error_of_a_trial_s_own_code_and_a_fault_of_this_one_stay_what_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Exception] = []
    monkeypatch.setattr(tune, "_actor_task_failed", lambda *about: seen.append(about[-1]))
    task_error: Any = RayTaskError
    own = [task_error("train", "Traceback", ValueError("of the trial")), RayActorError(), ValueError("of this code")]
    for error in own:
        tune._count_as_death(None, None, error)  # type: ignore[arg-type]
    assert seen == own
