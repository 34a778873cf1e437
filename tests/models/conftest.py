"""Fixtures of the networks' tests."""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def resnet18_layers() -> dict[str, Any]:
    """Return the settings that make torchvision's ResNet-18 a student or teacher of four stages."""
    return {
        "stem": "relu",
        "stages": [[f"layer{stage}.0", f"layer{stage}.1"] for stage in (1, 2, 3, 4)],
        "penultimate": "avgpool",
    }
