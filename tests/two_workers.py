"""Two processes that run functions of tests together, as data-parallel workers do.

They are started once a session, for their imports take longer than most of what they run.
"""

import os
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from torch import distributed

PATIENCE = 300.0
"""Seconds that one function may take on a busy machine."""


class TwoWorkers:
    """Runs ``function(rank, folder, *arguments)`` in both processes, by default as a process group of gloo."""

    def __init__(self) -> None:
        self._started: list[tuple[Any, Any]] = []

    def __call__(self, function: Callable[..., None], folder: Path, *arguments: Any, as_group: bool = True) -> None:
        if not self._started:
            self._started = [self._start(rank) for rank in range(2)]
        variables = {name: value for name, value in os.environ.items() if name.startswith("CKTF_")}
        for _, pipe in self._started:
            pipe.send((function, folder, arguments, as_group, variables))
        try:
            for _, pipe in self._started:
                assert pipe.poll(PATIENCE), "a worker does not answer"
                assert not (said := pipe.recv()), said
        except (AssertionError, EOFError):
            self.end()  # the other one may wait for it for ever
            raise

    @staticmethod
    def _start(rank: int) -> tuple[Any, Any]:
        context = get_context("spawn")
        ours, its = context.Pipe()
        process = context.Process(target=_serve, args=(rank, its), daemon=True)
        process.start()
        return process, ours

    def end(self) -> None:
        for process, _ in self._started:
            process.kill()
            process.join()
        self._started = []


def _serve(rank: int, pipe: Connection) -> None:
    with suppress(EOFError):
        while True:
            function, folder, arguments, as_group, variables = pipe.recv()
            for name in [name for name in os.environ if name.startswith("CKTF_")]:
                del os.environ[name]
            os.environ.update(variables)
            try:
                if as_group:
                    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
                function(rank, folder, *arguments)
                pipe.send("")
            except Exception:
                pipe.send(traceback.format_exc())
            finally:
                if as_group and distributed.is_initialized():
                    distributed.destroy_process_group()
