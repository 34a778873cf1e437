"""How many trials fit on which nodes."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from cktf.cluster import nodes as cluster
from cktf.cluster.machine import Machine
from cktf.cluster.nodes import Capacity, TrialResources, _require_answer, trials_that_fit, wait_for_capacity
from cktf.errors import ClusterNotFound, ClusterTooSmall
from cktf.study.sections import Resources

BIG = {"CPU": 16.0, "GPU": 4.0, "memory": 1e9}
SMALL = {"CPU": 2.0}


def share(nodes: Any = (BIG, SMALL), **resources: Any) -> Any:
    return TrialResources.of(Resources(**resources), nodes)


@pytest.mark.parametrize(
    ("resources", "nodes", "fits"),
    [
        ({"cpus": 1, "gpus": 0}, [SMALL], 2),
        ({"cpus": 1, "gpus": 0}, [BIG, SMALL], 18),
        ({"cpus": 3, "gpus": 0}, [BIG, SMALL], 5),
        ({"cpus": 4, "gpus": 1}, [BIG, SMALL], 4),
        ({"cpus": 1, "gpus": 0.25}, [BIG], 16),
        ({"cpus": 0.1, "gpus": 1 / 3}, [BIG], 12),
        ({"cpus": 100, "gpus": 1}, [BIG, BIG], 0),
        ({"cpus": 8, "gpus": 8, "workers": 8}, [BIG, BIG], 1),
        ({"cpus": 4, "gpus": 0, "workers": 2}, [SMALL, SMALL], 1),
        ({"cpus": 4, "gpus": 0}, [SMALL, SMALL], 0),
        ({"cpus": 1, "gpus": 0}, [], 0),
    ],
)
def test_as_many_trials_fit_as_the_nodes_have_room_for(resources: dict[str, Any], nodes: list[Any], fits: int) -> None:
    assert trials_that_fit(share(nodes, **resources), nodes) == fits


def test_gpus_left_open_are_taken_where_there_are_any() -> None:
    assert share([BIG]).gpus == 1
    assert share([BIG], workers=2, cpus=2).gpus == 1
    assert share([SMALL]).gpus == 0
    assert share([BIG], gpus=0).gpus == 0


def test_workers_divide_what_the_trial_takes() -> None:
    assert share(workers=4, cpus=8, gpus=4) == TrialResources(workers=4, cpus=2, gpus=1)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"cpus": 1, "gpus": 0}, "1 CPU"),
        ({"cpus": 2, "gpus": 0.5}, "2 CPUs and 0.5 GPUs"),
        ({"cpus": 4, "gpus": 2, "workers": 2}, "2 workers with 2 CPUs and 1 GPU each"),
    ],
)
def test_a_share_is_said_in_words(resources: dict[str, Any], words: str) -> None:
    assert str(share(**resources)) == words


def capacity(trial: TrialResources, slots: int | None, nodes: Any, *, is_local: bool = True) -> Capacity:
    return Capacity(trial, slots, lambda: nodes, is_local=is_local, say=lambda _: None)


def test_slots_limit_what_runs_at_the_same_time() -> None:
    one_cpu = TrialResources(workers=1, cpus=1, gpus=0)
    assert capacity(one_cpu, 1, [SMALL]).now() == 1
    assert capacity(one_cpu, None, [SMALL]).now() == 2
    assert capacity(TrialResources(workers=1, cpus=1000, gpus=0), None, [SMALL]).now() == 1


def test_a_cluster_that_loses_its_last_node_is_waited_for_and_that_is_said_once_each_time() -> None:
    nodes, said = [SMALL], list[str]()
    one_cpu = TrialResources(workers=1, cpus=1, gpus=0)
    of_cluster = Capacity(one_cpu, None, lambda: nodes, is_local=False, say=said.append)
    for up in ([SMALL], [], [], [SMALL], []):
        nodes[:] = up
        assert of_cluster.now() == (2 if up else 1)
    assert said == ["no node is up that has 1 CPU: waiting for one; Ctrl-C ends, and nothing is lost"] * 2


@pytest.fixture
def launcher_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What Ray's launcher would leave on the head of our cluster.yaml's cluster."""
    file = tmp_path / "ray_bootstrap_config.yaml"
    file.write_text((Path(__file__).parents[2] / "cluster.yaml").read_text())
    monkeypatch.setattr(cluster, "LAUNCHER_FILE", file)
    return file


@pytest.mark.usefixtures("launcher_file")
def test_nodes_that_an_autoscaler_may_add_count_as_room() -> None:
    one_gpu = TrialResources(workers=1, cpus=4, gpus=1)
    assert capacity(one_gpu, None, [], is_local=False).now() == 8
    assert capacity(one_gpu, 3, [], is_local=False).now() == 3
    assert capacity(TrialResources(workers=4, cpus=8, gpus=1), None, [], is_local=False).now() == 2


@pytest.mark.usefixtures("launcher_file")
def test_a_head_that_takes_trials_counts_as_room_beside_the_nodes_that_are_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = {"CPU": 8.0, "GPU": 1.0, cluster.HEAD: 1.0}
    assert capacity(TrialResources(workers=3, cpus=8, gpus=1), None, [head], is_local=False).now() == 3

    def stop(said: str) -> None:
        raise InterruptedError(said)

    monkeypatch.setattr(cluster, "alive_nodes", lambda: [head])
    with pytest.raises(InterruptedError, match="waiting for a node with 9 workers"):
        wait_for_capacity(Resources(workers=9, cpus=72, gpus=9), is_local=False, say=stop)


@pytest.mark.usefixtures("ray_on_this_machine", "launcher_file")
def test_what_no_node_of_an_autoscaler_has_is_refused_without_waiting() -> None:
    with pytest.raises(ClusterTooSmall, match=r"takes 9 CPUs and 1 GPU, .*8 CPUs and 1 GPU\)"):
        wait_for_capacity(Resources(cpus=9, gpus=1), is_local=False, say=print)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:10001"])
def test_an_address_at_which_there_is_no_cluster_is_refused_at_once(address: str) -> None:
    with pytest.raises(ClusterNotFound, match=f"--address {address}: "):
        _require_answer(address)


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """Python leaves SIGINT ignored where it was when the process began, as behind ``&`` in a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_while_ray_starts_its_processes_is_heard_when_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def start(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("started")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", start)
    monkeypatch.setattr(ray, "shutdown", lambda: done.append("ended"))
    monkeypatch.setattr(cluster, "Pulse", lambda *_, **__: done.append("felt"))
    with pytest.raises(KeyboardInterrupt), cluster.connected(Machine()):
        done.append("used")
    assert done == ["started", "ended"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ray_on_this_machine")
def test_a_ray_that_this_process_has_joined_is_not_taken_for_another_one() -> None:
    here = ray.get_runtime_context().gcs_address
    for machine in (Machine(), Machine(address="auto"), Machine(address=here)):
        with cluster.connected(machine):
            assert ray.is_initialized()
    with (
        pytest.raises(ClusterNotFound, match=f"10.0.0.1:6379: this process has joined the Ray at {here} before"),
        cluster.connected(Machine(address="10.0.0.1:6379")),
    ):
        pass
