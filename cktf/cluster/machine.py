"""Where a driver's Ray is, and how much of this machine it takes."""

import math
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from cktf.errors import InputError, shown


@dataclass(frozen=True)
class Machine:
    """The running cluster at an ``address``, or, without one, so many CPUs and GPUs of this machine; None: all.

    Raises:
        InputError: If there are not so many, or numbers are given for a cluster, whose nodes say what they have.
    """

    address: str | None = None
    cpus: int | None = None
    gpus: int | None = None

    def __post_init__(self) -> None:
        most_gpus = torch.cuda.device_count  # of those that CUDA_VISIBLE_DEVICES names
        for option, number, least, most in (("cpus", self.cpus, 1, cores), ("gpus", self.gpus, 0, most_gpus)):
            if number is None:
                continue
            if self.address is not None:
                raise InputError(f"--{option}: a cluster's nodes say what they have; it goes without --address")
            if type(number) is not int or not least <= number <= most():
                raise InputError(
                    f"--{option}: must be a whole number between {least} and {most()}, as many as this process may "
                    f"use; got {shown(number)}"
                )


def cores() -> int:
    """Return how many CPUs this process may use: by its affinity, and by the quota of its control groups."""
    may_run_on = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = min(may_run_on, _quota(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")))
    return max(1, math.ceil(quota))


def _quota(root: Path, own: Path) -> float:
    """Return the number of CPUs that a process's control groups allow; infinity if there is no limit.

    ``root`` is the folder where control groups are mounted. In ``own`` the kernel names the process's groups: the one
    of version 2, and of version 1 one for each set of controllers.
    """
    least = math.inf
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            group = Path(name.lstrip("/"))
            files = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
            for folder in (group, *group.parents):
                with suppress(OSError, ValueError):  # the root has no such file; "max" is no number
                    texts = [(root / controllers / folder / file).read_text() for file in files]
                    quota, period = map(int, " ".join(texts).split())
                    least = min(least, quota / period) if quota > 0 else least  # -1: no limit, in version 1
    return least
