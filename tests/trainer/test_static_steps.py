"""A training step reads nothing of its device, and launches the same operators in every step."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cktf.objectives import OBJECTIVES
from cktf.trainer.step import Step
from cktf.trial.run import run_trial
from tests.kinds import MakeTrial

WAITS = {
    *("_local_scalar_dense", "is_nonzero", "item", "nonzero", "nonzero_numpy", "argwhere", "masked_select", "equal"),
    *("_unique", "_unique2", "unique_dim", "unique_consecutive", "bincount", "lift_fresh", "allclose"),
}
"""Operators whose result, or its shape, a GPU's host waits for; a tensor made of Python's numbers waits too."""


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the operators of a step with the shapes of their arguments, and those that read the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: list[Any] = []
        self.reads: list[str] = []

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = operator._schema.name.split("::")[1]
        leaves = tree_leaves((args, kwargs or {}))
        by_mask = name.startswith(("index", "_index_put")) and any(
            isinstance(leaf, Tensor) and leaf.dtype in (torch.bool, torch.uint8) for leaf in tree_leaves(args[1:2])
        )
        if name in WAITS or by_mask or (name == "repeat_interleave" and operator._overloadname == "Tensor"):
            self.reads.append(str(operator))
        self.operators.append((str(operator), [leaf.shape for leaf in leaves if isinstance(leaf, Tensor)]))
        return operator(*args, **(kwargs or {}))


@contextmanager
def watched(patch: pytest.MonkeyPatch) -> Iterator[list[Watch]]:
    """Yield the record of each step that is taken inside."""
    steps: list[Watch] = []
    plain = Step.__call__

    def call(self: Step, batch: Any, observe: Any = None) -> None:
        with Watch() as watch, pytest.MonkeyPatch.context() as methods:
            for name in ("cpu", "numpy", "tolist"):  # which on a CPU reach no dispatcher
                methods.setattr(Tensor, name, lambda *_, name=name: watch.reads.append(name))
            plain(self, batch, observe)
        steps.append(watch)

    patch.setattr(Step, "__call__", call)
    yield steps


CONTRASTS: dict[str, dict[str, Any]] = {
    **{f"source {source}": {"source": source} for source in ("sampled", "all", "shared", "queue", "batch")},
    **{f"pairing {pairing}": {"pairing": pairing} for pairing in ("first", "random", "largest", "smallest")},
    "infonce": {
        "estimator": "infonce",
        "source": "queue",
        "temperature": {"learn": True, "start": 0.1, "min": 0.05, "max": 1},
        "positives": "class",
        "hardness": 0.5,
        "teacher_threshold": 0.8,
    },
    "repeated": {"negatives": 10_000},
    "most": {"negatives": 150, "bank_precision": "bfloat16", "theta": {"from": 1, "to": 0, "over": [0, 1]}},
}
RECIPES: dict[str, dict[str, Any]] = {
    "mixed and averaged": {"augmentation": {"mixup": 0.4, "cutmix": 1.0}, "ema": 0.9, "teacher_view": "own"},
    "accumulated": {"optimizer": {"accumulate": 2, "clip_norm": 1.0}, "batch_size": 24},
    "adamw": {"optimizer": {"name": "adamw", "learning_rate": 0.01, "bias_decay": False}},
}
TEMPERATURE = {"temperature": {"learn": True, "start": 4, "min": 1, "max": 10}}
CASES: dict[str, dict[str, Any]] = {
    **{name: {"objective": {"cross_entropy": {}, name: {}}} for name in OBJECTIVES if name not in ("cktf", "crd")},
    **{name: {"objective": {"cktf": {"negatives": 32, **contrast}}} for name, contrast in CONTRASTS.items()},
    **{name: {"objective": {"cross_entropy": {}, "kd": TEMPERATURE}, **recipe} for name, recipe in RECIPES.items()},
}


@pytest.fixture(scope="module")
def trained_teacher(tiny: MakeTrial) -> None:
    """Train the teacher of all cases, and store it."""
    next(run_trial(tiny(epochs=1, teacher={"model": "resnet14", "epochs": 1})))


@pytest.mark.usefixtures("trained_teacher")
@pytest.mark.parametrize("name", CASES)
def test_no_step_after_the_first_reads_the_device_and_all_do_the_same(
    name: str, tiny: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(
        **{
            "data": {"name": "digits", "train_fraction": 0.15},
            "student": {"model": "resnet8"},
            "teacher": {"model": "resnet14", "epochs": 1},  # of two blocks a stage, between which pairings choose
            "epochs": 1,
            "batch_size": 32,
            **CASES[name],
        }
    )
    with watched(monkeypatch) as steps:
        next(run_trial(config))
    assert len(steps) > 4
    assert [watch.reads for watch in steps[1:]] == [[]] * (len(steps) - 1)
    pairs = (3, 5) if name == "accumulated" else (2, 3)  # the first update makes the momenta
    assert steps[pairs[0]].operators == steps[pairs[1]].operators
