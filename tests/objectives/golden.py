"""Golden cases: inputs and outputs of the published code, found in a folder and read from its files.

The folder is ``tests/golden`` or the one that the environment variable CKTF_GOLDEN names. Hyperparameters and
sizes are read from the files.
"""

import json
import os
from collections import defaultdict
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

DEFAULT_FOLDER = Path(__file__).parents[1] / "golden"
RELATIVE = 1e-4


class Case:
    """One golden file: its arrays as tensors, its hyperparameters as ``meta``."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.arrays = {name: file[name] for name in file.files}
        self.meta: dict[str, Any] = json.loads(str(self.arrays.pop("meta")))

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def numbered(self, prefix: str) -> list[Tensor]:
        """Return the arrays ``prefix0``, ``prefix1``, ..., as far as they go."""
        names = takewhile(self.arrays.__contains__, (f"{prefix}{number}" for number in count()))
        return [self[name] for name in names]

    @property
    def steps(self) -> range:
        """Return the numbers of the steps."""
        return range(sum(name.endswith("_contrast_index") for name in self.arrays))


def cases_in(folder: Path) -> dict[str, list[Path]]:
    """Return a folder's files of cases under their methods' names."""
    found = defaultdict(list)
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            if "meta" in file.files:
                found[json.loads(str(file["meta"]))["method"]].append(path)
    return dict(found)


CASES = cases_in(Path(os.environ.get("CKTF_GOLDEN") or DEFAULT_FOLDER))


def assert_close(actual: Tensor | float, expected: Tensor) -> None:
    """Compare relative to each value, and to the tensor's own scale, its root mean square, where values cancel."""
    actual = torch.as_tensor(actual, dtype=expected.dtype)
    torch.testing.assert_close(
        actual.reshape(expected.shape),
        expected,
        rtol=RELATIVE,
        atol=RELATIVE * float(expected.double().square().mean().sqrt()),
    )
