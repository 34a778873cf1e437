"""Fixtures of the study tests: a small baseline, and ways to make specs and refusals of it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cktf.study.load import read_study
from cktf.study.problems import StudyError
from cktf.study.spec import StudySpec

BASELINE: dict[str, Any] = {
    "data": {"name": "digits"},
    "teacher": {"model": "resnet20", "epochs": 3},
    "student": {"model": "resnet8"},
    "objective": {
        "cross_entropy": {"weight": 1.0},
        "cktf": {"beta": 0.8, "theta": 0.1, "temperature": 0.1, "negatives": 64, "pairing": "last"},
    },
    "epochs": 2,
}


@pytest.fixture
def baseline() -> dict[str, Any]:
    """A baseline as a study file writes it."""
    return copy.deepcopy(BASELINE)


@pytest.fixture
def make(baseline: dict[str, Any]) -> Callable[..., StudySpec]:
    """Build a spec from the baseline and the other keys of a study."""

    def build(**keys: Any) -> StudySpec:
        return read_study(yaml.safe_dump({"baseline": baseline, **keys}, sort_keys=False), "study.yaml")

    return build


@pytest.fixture
def refused(make: Callable[..., StudySpec]) -> Callable[..., str]:
    """Return the message with which a study of these keys is refused."""

    def message(**keys: Any) -> str:
        with pytest.raises(StudyError) as error:
            make(**keys)
        return str(error.value)

    return message


@pytest.fixture
def study_file(tmp_path: Path) -> Callable[[str], Path]:
    """Write a study file and return its path."""

    def write(text: str, name: str = "study.yaml") -> Path:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return write
