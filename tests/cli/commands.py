"""A small study, and the command line run on it."""

import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cktf.cli.app import app
from cktf.cli.terminal import err, out

STUDY = """\
# Does a wrong learning rate hurt?
baseline:
  data: {name: digits, train_fraction: 0.1}
  student: {model: resnet8}
  objective: {cross_entropy: {weight: 1.0}}
  epochs: 2
compare:
  careful: {optimizer: {learning_rate: 0.01}}
  diverging: {optimizer: {learning_rate: 1.0e+18}}
seeds: 2
"""


REPLACED = ("--set", "data.generated=true")
"""A data set that is there, so that nothing but the run directory is in the way."""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "rates.yaml"
    path.write_text(STUDY)
    return path


def cktf(*arguments: Any, cwd: Path) -> tuple[int, str, str]:
    """Run the command in this process and this folder; return exit code, standard output and standard error."""
    out.width = err.width = 200  # whatever the terminal had where they were made
    with chdir(cwd):
        done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def cktf_alone(*arguments: Any, cwd: Path, **variables: str) -> tuple[int, str, str]:
    """Run the command as a user does, in a process of its own; return what `cktf` returns."""
    done = subprocess.run(
        [sys.executable, "-m", "cktf.cli", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **variables},
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def message_for(*arguments: Any, cwd: Path) -> str:
    code, out, err = cktf(*arguments, cwd=cwd)
    assert code == 2, out + err
    assert "Traceback" not in out + err
    return err
