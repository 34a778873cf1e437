"""A cluster that is lost is noticed, and one that answers is not."""

import os
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from cktf.cluster import pulse
from cktf.errors import ClusterLost


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A head that answers with one node, both of which can be changed."""
    state = SimpleNamespace(nodes=[{"CPU": 1.0}], answers=threading.Event())
    state.answers.set()

    def alive_nodes() -> Any:
        state.answers.wait(30)
        return list(state.nodes)

    monkeypatch.setattr(pulse, "alive_nodes", alive_nodes)
    monkeypatch.setattr(pulse, "ASK_SECONDS", 0.01)
    yield state
    state.answers.set()


def why_lost(felt: pulse.Pulse, seconds: float) -> str:
    """Return why a cluster is lost, as soon as it is; an empty text if it is not within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            felt.require()
        except ClusterLost as error:
            felt.end()
            return str(error)
        time.sleep(0.02)
    felt.end()
    return ""


def test_a_machine_of_its_own_without_a_node_is_lost_and_a_cluster_may_get_another(head: Any) -> None:
    local = pulse.Pulse("the Ray of this machine", is_local=True, advice="go on")
    cluster = pulse.Pulse("the cluster", is_local=False, advice="go on")
    local.require()
    head.nodes.clear()
    assert why_lost(local, 30).startswith("the Ray of this machine was lost: Ray's main process on this machine has en")
    assert not cluster.nodes
    assert why_lost(cluster, 0.3) == ""


def test_a_head_that_is_silent_for_long_is_lost_and_a_slow_one_is_not(
    head: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    felt = pulse.Pulse("the cluster", is_local=False, advice="'cktf resume RUN' goes on")
    head.answers.clear()
    time.sleep(1.5)
    felt.require()
    monkeypatch.setattr(pulse, "SILENT_SECONDS", 0.5)
    assert "the cluster was lost: its head has not answered for " in (why := why_lost(felt, 30))
    assert why.endswith("; 'cktf resume RUN' goes on")


@pytest.mark.parametrize(
    ("is_interrupted", "code", "said"), [(False, 3, "this machine was lost"), (True, 130, "interr")]
)
def test_a_driver_that_hangs_in_a_lost_cluster_is_ended_with_the_message_and_its_code(
    is_interrupted: bool,
    code: int,
    said: str,
    head: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    codes = list[int]()
    monkeypatch.setattr(pulse, "LEAVE_SECONDS", 0.1)
    monkeypatch.setattr(pulse, "kill_own_processes", lambda: codes.append(0))
    monkeypatch.setattr(os, "_exit", codes.append)
    felt = pulse.Pulse("the Ray of this machine", is_local=True, advice="go on")
    felt.is_interrupted = is_interrupted
    head.nodes.clear()
    deadline = time.monotonic() + 30
    while len(codes) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    felt.end()
    assert codes == [0, code]
    assert said in capfd.readouterr().err
