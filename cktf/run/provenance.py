"""Provenance of a run: code, versions, machine and command."""

import os
import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cktf.credentials import masked

PACKAGES = ("cktf", "torch", "torchvision", "ray", "optuna", "numpy", "pyarrow")


@dataclass(frozen=True)
class Provenance:
    """Origin of a run's results.

    Attributes:
        git_commit: Commit of the code, with ``+dirty`` if files were changed; empty outside a checkout.
        versions: Package name to version, Python's included.
        machine: Name, platform and cores of the driver's machine.
        command: The command line, with secrets masked.
    """

    git_commit: str
    versions: dict[str, str]
    machine: str
    command: str

    @classmethod
    def now(cls) -> "Provenance":
        """Return the provenance of this process."""
        return cls(
            git_commit=_git_commit(),
            versions={"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            machine=f"{platform.node()}, {platform.platform()}, {os.cpu_count()} cores",
            command=shlex.join([Path(sys.argv[0]).name, *map(masked, sys.argv[1:])]),
        )


def _git_commit() -> str:
    # A repository around an installed package may be of another project.
    is_checkout = _git("ls-files", "--", Path(__file__).name)
    commit = _git("rev-parse", "HEAD") if is_checkout else ""
    return f"{commit}+dirty" if commit and _git("status", "--porcelain", "--untracked-files=no") else commit


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout: an installed package
        return ""
