"""The machines: starting a local Ray or joining a cluster, and how many trials fit."""

import logging
import math
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import ray
import yaml
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError
from ray.tune import PlacementGroupFactory

from cktf.cluster.local import left, started, starting
from cktf.cluster.machine import Machine
from cktf.cluster.pulse import Node, Pulse, alive_nodes
from cktf.errors import ClusterNotFound, ClusterTooSmall
from cktf.study.sections import Resources

ANSWER_SECONDS = 10.0
"""Longest time that a cluster's head may take to accept a connection."""

JOIN_SECONDS = 60.0
"""Longest time to wait for a node on which a trial fits, in a cluster without an autoscaler."""

SCALE_UP_SECONDS = 900.0
"""The same with an autoscaler: a cloud's GPU node takes minutes to come up."""

LAUNCHER_FILE = Path("~/ray_bootstrap_config.yaml")
"""The autoscaler's limits, on the head of a cluster that ``ray up`` has started."""

HEAD = "node:__internal_head__"
"""Resource of every cluster's head node: it holds the slots that take no CPU or GPU themselves."""


@dataclass(frozen=True)
class TrialResources:
    """Resources of one trial: its worker processes, and the CPUs and GPUs of each."""

    workers: int
    cpus: float
    gpus: float

    @classmethod
    def of(cls, resources: Resources, nodes: Sequence[Node]) -> "TrialResources":
        """Divide a trial's resources among its workers; without a number of GPUs, each gets one if a node has any."""
        open_gpus = float(any(node.get("GPU", 0) for node in nodes)) * resources.workers
        gpus = open_gpus if resources.gpus is None else resources.gpus
        return cls(resources.workers, resources.cpus / resources.workers, gpus / resources.workers)

    @property
    def bundle(self) -> dict[str, float]:
        """The resources of one worker, as Ray writes them."""
        return {"CPU": self.cpus, **({"GPU": self.gpus} if self.gpus else {})}

    def placement(self) -> PlacementGroupFactory:
        """Return the resources of a slot: its worker's, or almost none, since Ray Train takes those of several."""
        if self.workers == 1:
            return PlacementGroupFactory([self.bundle])
        return PlacementGroupFactory([{HEAD: 0.001}])

    def __str__(self) -> str:
        each = _amount(self.cpus, "CPU") + (f" and {_amount(self.gpus, 'GPU')}" if self.gpus else "")
        return each if self.workers == 1 else f"{self.workers} workers with {each} each"


@contextmanager
def connected(machine: Machine, advice: str = "launch again") -> Iterator[Pulse]:
    """Start a Ray on this machine, or join a running one; yield its pulse, and leave it at the end.

    A Ray that this process has already started is used as it is, unless CPUs, GPUs or another address are asked for.
    ``advice`` ends the message that Ray was lost.
    """
    address = machine.address
    place = "the Ray of this machine" if address is None else f"the Ray cluster at {address}"
    with ExitStack() as ending, ExitStack() as stack:  # the pulse goes on until Ray is left, which may hang
        if not ray.is_initialized():
            stack.enter_context(started(machine) if address is None else _joined(address))
        elif (machine.cpus, machine.gpus) != (None, None):
            raise ClusterNotFound("--cpus and --gpus: this process has started Ray before, with what that one has")
        elif address not in (None, "auto", ray.get_runtime_context().gcs_address):
            before = ray.get_runtime_context().gcs_address
            raise ClusterNotFound(f"--address {address}: this process has joined the Ray at {before} before")
        pulse = Pulse(place, is_local=address is None, advice=advice)
        ending.callback(pulse.end)
        try:
            yield pulse
        except KeyboardInterrupt:
            pulse.is_interrupted = True
            raise


@contextmanager
def _joined(address: str) -> Iterator[None]:
    _require_answer(address)
    try:
        with starting():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        raise ClusterNotFound(
            f"--address {address}: cannot join the Ray cluster: {error}; an address is auto or HOST:PORT, "
            "and the cluster's token must be on this machine if it has one"
        ) from error
    try:
        yield
    finally:
        left()


def _require_answer(address: str) -> None:
    """Refuse an address at which no cluster answers; Ray itself would try for minutes."""
    if "://" in address:
        raise ClusterNotFound(f"--address {address}: a driver runs on a machine of the cluster, with --address auto")
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
        except OSError as error:
            raise ClusterNotFound(f"--address {address}: no Ray cluster answers there: {error}") from error


def trials_that_fit(trial: TrialResources, nodes: Sequence[Node]) -> int:
    """Return how many trials fit on these nodes at the same time."""
    workers = sum(
        # Three times 1/3 of a GPU fit.
        min(math.floor(node.get(name, 0) / amount + 1e-9) for name, amount in trial.bundle.items())
        for node in nodes
    )
    return workers // trial.workers


def wait_for_capacity(resources: Resources, *, is_local: bool, say: Callable[[str], None]) -> TrialResources:
    """Return the resources of one trial once it fits on the cluster; raise a ClusterTooSmall if it will not."""
    kinds = [] if is_local else _node_kinds()
    expected = [node for node, _ in kinds]
    patience = 0.0 if is_local else SCALE_UP_SECONDS if kinds else JOIN_SECONDS
    deadline = time.monotonic() + patience
    is_asked = False
    try:
        while True:
            nodes = alive_nodes()
            trial = TrialResources.of(resources, [*nodes, *expected])
            if trials_that_fit(trial, nodes):
                return trial
            if time.monotonic() > deadline or (kinds and not _potential(trial, nodes, kinds)):
                found = ", ".join(
                    f"{_amount(n.get('CPU', 0), 'CPU')} and {_amount(n.get('GPU', 0), 'GPU')}" for n in nodes + expected
                )
                raise ClusterTooSmall(
                    f"one trial takes {trial}, which no node of the cluster has (nodes: {found or 'none'}); "
                    "ask for less under 'resources:', or add nodes"
                )
            if not is_asked:
                say(f"waiting for a node with {trial}")
                request_resources(bundles=[trial.bundle] * trial.workers)
                is_asked = True
            time.sleep(1.0)
    finally:
        if is_asked:
            request_resources(bundles=[])  # from here on, the trials themselves are the demand


@dataclass
class Capacity:
    """Number of trials that may run at the same time, also on nodes that an autoscaler may add.

    ``slots`` is the study's own limit, and ``nodes`` returns the nodes that are up. If Ray ``is_local``, no other node
    can come.
    """

    trial: TrialResources
    slots: int | None
    nodes: Callable[[], Sequence[Node]]
    _: KW_ONLY
    is_local: bool
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self._potential = 0 if self.is_local else _potential(self.trial, self.nodes(), _node_kinds())
        self._is_waiting = False

    def now(self) -> int:
        """Return the present number; at least 1, because a cluster that has lost its last node may get another."""
        fit = trials_that_fit(self.trial, self.nodes())
        if not (fit or self._is_waiting or self.is_local):  # no other node replaces this machine: the run ends
            self.say(f"no node is up that has {self.trial}: waiting for one; Ctrl-C ends, and nothing is lost")
        self._is_waiting = not fit
        most = max(1, fit, self._potential)
        return min(most, self.slots or most)


def _node_kinds() -> list[tuple[Node, int]]:
    """Return the kinds of nodes that the cluster's autoscaler may add, and how many of each; none without it.

    Ray's launcher leaves its configuration on the head, where the driver runs; Ray has no call that returns it.
    """
    file = LAUNCHER_FILE.expanduser()
    if not file.is_file():
        return []
    launcher = yaml.safe_load(file.read_text())
    most = launcher.get("max_workers", 0)
    return [
        (kind.get("resources", {}), min(kind.get("max_workers", most), most))
        for name, kind in launcher.get("available_node_types", {}).items()
        if name != launcher.get("head_node_type")
    ]


def _potential(trial: TrialResources, nodes: Sequence[Node], kinds: Sequence[tuple[Node, int]]) -> int:
    """Return how many trials fit on the head, one of the nodes that are up, and all nodes that may be added to it."""
    heads = [node for node in nodes if HEAD in node]
    return trials_that_fit(trial, [*heads, *(node for node, count in kinds for _ in range(count))])


def _amount(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'' if number == 1 else 's'}"
