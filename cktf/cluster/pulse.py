"""Whether the Ray that a driver is connected to still answers, and which nodes it has.

Ray itself waits for ever for a node that never comes if the one process of a local Ray is gone (its raylet), and ends
its driver without a word a minute after the head is gone.
"""

import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

import ray

from cktf.errors import INTERRUPTED, LOST_CLUSTER, ClusterLost

ASK_SECONDS = 2.0
"""Time between two questions to the head; nodes come and go."""

SILENT_SECONDS = 20.0
"""How long a head may say nothing: it may be slow."""

LEAVE_SECONDS = 8.0
"""How long the driver may take to leave a cluster that is lost, before its process ends however Ray hangs."""

Node = Mapping[str, float]
"""Resources of one node: ``CPU``, ``GPU``, ... to amount."""


def alive_nodes() -> list[Node]:
    """Return the resources of every node that is up."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


class Pulse:
    """Watches the nodes of the Ray that this process is connected to.

    ``advice`` ends the message that Ray was lost. If Ray ``is_local``, on this machine alone, no other node will come.
    """

    def __init__(self, place: str, *, is_local: bool, advice: str) -> None:
        self.nodes = alive_nodes()
        self._place, self._is_local, self._advice = place, is_local, advice
        self._heard = time.monotonic()
        self._why = ""
        self.is_interrupted = False
        """Whether the driver leaves because of a signal, which Ray's processes may have received too."""
        self._is_over = threading.Event()
        for task in (self._ask, self._watch):
            threading.Thread(target=task, name="pulse", daemon=True).start()

    def require(self) -> None:
        """Raise a `ClusterLost` if the cluster is lost."""
        if self._why:
            raise ClusterLost(self._message())

    def end(self) -> None:
        """Stop watching, because the driver has left the cluster."""
        self._is_over.set()

    def _ask(self) -> None:
        while not self._is_over.wait(ASK_SECONDS):
            with suppress(Exception):  # it is judged by its silence
                self.nodes = alive_nodes()
                self._heard = time.monotonic()

    def _watch(self) -> None:
        while not (self._why or self._is_over.wait(1.0)):
            silent = time.monotonic() - self._heard
            if self._is_local and not self.nodes:
                self._why = "Ray's main process on this machine has ended, perhaps for want of memory"
            elif silent > SILENT_SECONDS:
                self._why = f"its head has not answered for {silent:.0f} s"
        if self._is_over.wait(LEAVE_SECONDS):
            return
        said = f"interrupted; {self._advice}" if self.is_interrupted else self._message()
        print(said, file=sys.stderr, flush=True)  # noqa: T201  # the driver hangs in Ray
        with suppress(Exception):
            kill_own_processes()
        os._exit(INTERRUPTED if self.is_interrupted else LOST_CLUSTER)

    def _message(self) -> str:
        return f"{self._place} was lost: {self._why}; {self._advice}"


def kill_own_processes() -> None:
    """Kill the processes of the Ray that this process has started."""
    node = ray._private.worker._global_node
    if node is not None:
        node.kill_all_processes(check_alive=False, allow_graceful=False)
