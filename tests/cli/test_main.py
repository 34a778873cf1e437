"""How the command line is entered, and how it ends when its driver is interrupted or loses its cluster."""

import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from cktf.cli import app as cli
from cktf.errors import ClusterLost

INTERRUPTED_IMPORT = """
import os, signal, sys

class Sender:
    def find_spec(self, name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.{signal})

signal.signal(signal.{signal}, signal.SIG_DFL)
sys.meta_path.insert(0, Sender())
from cktf.cli.__main__ import main
main()
"""


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGUSR1"])
def test_a_signal_during_the_imports_ends_like_ctrl_c(signal: str) -> None:
    program = INTERRUPTED_IMPORT.format(signal=signal)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (ClusterLost("the cluster was lost: 'cktf resume run' goes on"), 3, "the cluster was lost: 'cktf resume run'"),
    ],
)
def test_a_command_that_is_interrupted_or_loses_its_cluster_says_so(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("cktf.driver.resume", fail)
    result = CliRunner().invoke(cli.app, ["resume", "run"])
    assert result.exit_code == code
    assert result.stderr.startswith(said)
    assert "Traceback" not in result.stderr
