"""Ray on this machine alone: with the CPUs that this process may use, closed to the machine's other users."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import ray

from cktf.cluster.machine import Machine, cores
from cktf.cluster.signals import held_back
from cktf.errors import ClusterNotFound
from cktf.scratch import scratch_folder

LONGEST_SOCKET = 107
"""Most bytes of a Unix socket's path."""

_SOCKET = "/cktf-00000000/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""Ray's longest socket path, below the temporary folder."""


@contextmanager
def started(machine: Machine = Machine()) -> Iterator[None]:  # noqa: B008  # it is frozen
    """Start Ray on this machine, and shut it down at the end; raise a ClusterNotFound if it does not start."""
    with _private_folder() as folder, ExitStack() as stack:
        stack.callback(left)
        try:
            with starting():
                ray.init(
                    "local",
                    num_cpus=cores() if machine.cpus is None else machine.cpus,
                    num_gpus=machine.gpus,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=f"{folder}/ray",
                )
        except Exception as error:  # Ray raises plain Exception if one of its processes is slow, among many others
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ClusterNotFound(
                f"Ray could not be started on this machine, in {folder}: {reason} The machine may be too busy, or the "
                "disk full ($TMPDIR names another folder)"
            ) from error
        yield


@contextmanager
def starting() -> Iterator[None]:
    """Delay signals while Ray starts or is joined, and keep it from handling SIGTERM, which would leave processes."""
    name = "set_sigterm_handler"
    before = getattr(ray._private.utils, name)
    setattr(ray._private.utils, name, lambda _: None)
    try:
        with held_back():
            yield
    finally:
        setattr(ray._private.utils, name, before)


def left() -> None:
    """Leave Ray, with signals delayed: a second Ctrl-C, from an impatient user, would leave processes behind."""
    with held_back():
        ray.shutdown()


@contextmanager
def _private_folder() -> Iterator[str]:
    """Yield a folder, closed to other users, for Ray's logs and sockets, which Ray makes readable by everybody.

    It lies in the temporary folder, or in /tmp if the paths of sockets would be too long.
    """
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    is_short = len(os.fsencode(usual + _SOCKET)) <= LONGEST_SOCKET
    place = usual if is_short else "/tmp"  # noqa: S108  # a folder with a random name is made in it
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder(place))
        except OSError as error:
            raise ClusterNotFound(
                f"Ray could not be started on this machine: {place}: {error.strerror}; $TMPDIR ({usual}) must be a "
                f"folder that can be written to, of at most {LONGEST_SOCKET - len(_SOCKET)} bytes, as sockets need"
            ) from error
        yield folder
