"""A small study, and the command line run on it as a user does."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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


def cktf(*arguments: Any, cwd: Path) -> tuple[Any, ...]:
    """Run the command as a user does; return exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "cktf.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200"},
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def message_for(*arguments: Any, cwd: Path) -> Any:
    code, out, err = cktf(*arguments, cwd=cwd)
    assert code == 2, out + err
    assert "Traceback" not in out + err
    return err
