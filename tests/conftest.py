"""Fixtures that every room's tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden_directory() -> Path:
    """Return the folder of golden cases: the environment variable CKTF_GOLDEN, or ``tests/golden``."""
    return Path(os.environ.get("CKTF_GOLDEN") or Path(__file__).parent / "golden")
