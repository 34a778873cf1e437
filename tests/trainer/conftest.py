from pathlib import Path
from typing import Any

import pytest

from cktf.trainer.config import TrialConfig
from tests.kinds import MakeTrial

TINY = {
    "data": {"name": "digits", "train_fraction": 0.2},
    "teacher": {"model": "resnet8", "epochs": 1},
    "student": {"model": "resnet8"},
    "objective": {"cross_entropy": {}, "cktf": {"beta": 0.8, "theta": 0.1, "temperature": 0.1, "negatives": 32}},
    "epochs": 3,
    "batch_size": 64,
}


@pytest.fixture(scope="session")
def tiny() -> MakeTrial:
    """A trial configuration that trains in a second or two, with changes laid over its top level."""

    def make(**changes: Any) -> TrialConfig:
        return TrialConfig.model_validate({**TINY, **changes})

    return make


@pytest.fixture(autouse=True)
def cache(session_cache: Path) -> Path:
    """One cache for the session, so that the tiny teacher is trained once."""
    return session_cache
