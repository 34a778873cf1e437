"""Golden cases of later methods: their maps and weights are given by a rule, and all runs in train mode."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.objectives.golden import DEFAULT_FOLDER, Case, cases_in

MODERN = cases_in(Path(os.environ.get("CKTF_GOLDEN") or DEFAULT_FOLDER) / "modern")
"""Files of cases under their methods' names."""

RELATIVE, OF_LARGEST = 1e-4, 1e-6


def filled(rule: dict[str, Any]) -> Tensor:
    """Return an array that a case does not store, by its rule, whose first and last element are checked."""
    modulus = 1000003
    index = np.arange(int(np.prod(rule["shape"])), dtype=np.int64)
    m = (index + 7919 * rule["k"] + 104729 * rule["salt"]) % modulus
    angle = 2 * np.pi * ((((309017 * m + 271829) % modulus) * m) % modulus) / modulus
    values = (rule["offset"] + rule["scale"] * np.cos(angle)).astype(np.float32)
    assert np.allclose([values[0], values[-1]], [rule["first"], rule["last"]], rtol=1e-6)
    return torch.from_numpy(values.reshape(rule["shape"]))


def maps_of(case: Case) -> tuple[list[Tensor], list[Tensor]]:
    """Return the student's maps, with gradients, and the teacher's, from the shallowest stage to the deepest."""
    student, teacher = (
        [filled(rule) for name, rule in sorted(case.meta["inputs"].items()) if name[0] == side] for side in "st"
    )
    return [maps.requires_grad_() for maps in student], teacher


def give(module: nn.Module, case: Case, published: str) -> None:
    """Give a module's parameters, in their order, those of a case whose names begin with ``published``."""
    rules = [rule for name, rule in case.meta["parameters"].items() if name.startswith(published)]
    with torch.no_grad():
        for parameter, rule in zip(module.parameters(), rules, strict=True):
            parameter.copy_(filled(rule))


def assert_as_published(actual: Tensor | None, expected: Tensor) -> None:
    """Compare as the cases ask for: relative to each value, and to the largest one."""
    assert actual is not None
    tolerance = OF_LARGEST * float(expected.abs().max())
    torch.testing.assert_close(actual.detach().reshape(expected.shape), expected, rtol=RELATIVE, atol=tolerance)


def assert_gradients(case: Case, published: str, module: nn.Module) -> None:
    """Compare the gradients and running statistics of a module with those of a case, in their order."""
    gradients = [name for name in case.arrays if name.startswith(f"grad_{published}")]
    for parameter, name in zip(module.parameters(), gradients, strict=True):
        assert_as_published(parameter.grad, case[name])
    after = [name for name in case.arrays if name.startswith(f"after_{published}")]
    running = [value for value in module.buffers() if value.is_floating_point()]
    for value, name in zip(running, after, strict=True):
        assert_as_published(value, case[name])
