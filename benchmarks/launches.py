"""How many operators one training step launches: ``python benchmarks/launches.py``.

A dispatch mode counts what PyTorch's dispatcher is given in the third step of a training, on a CPU. Views, allocations
and the profiler's marks launch nothing and are not counted. Networks are in bfloat16, as `auto` chooses on a GPU. The
fused kernel does not run on a CPU: in its place stands an operator that computes nothing and counts once for each
launch, with the sums that follow it. So this is what an eager step of a GPU launches, but for operators that take
several kernels there. Making the batch is not part of it.
"""

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cktf.data import Dataset, split
from cktf.data.augmentation.config import Augmentation
from cktf.models import build_model, folded
from cktf.objectives.contrastive import info_nce, nce
from cktf.trainer.assembly import assemble
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trainer.optimizer import build_optimizer
from cktf.trainer.phases import live_teacher
from cktf.trainer.step import Step

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "CKTF, sampled": {"cktf": {}},
    "CRD": {"crd": {}},
    "KD": {"kd": {}},
    "AT + KD": {"at": {}, "kd": {}},
    "CKTF, pairing largest": {"cktf": {"pairing": "largest"}},
    "CKTF, infonce, shared": {"cktf": {"estimator": "infonce", "source": "shared"}},
}
"""Objectives beside cross-entropy, of a WRN-40-2 and a WRN-16-2."""

NO_LAUNCH = ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "_unsafe_view")


class Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operators while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count an operator if it launches something."""
        space, name = operator._schema.name.split("::")
        is_view = any(out.alias_info and not out.alias_info.is_write for out in operator._schema.returns)
        if not is_view and space != "profiler" and name not in NO_LAUNCH:
            adds_bias = name == "convolution" and args[2] is not None  # which on a GPU is an operator of its own
            self.counts[str(operator)] += 1 + adds_bias
        return operator(*args, **(kwargs or {}))


def counted_kernel() -> SimpleNamespace:
    """Return what stands for the module of the fused kernel: as many operators, and zeros."""

    def sums(in_bits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sides, batch, dim = in_bits.shape
        launched = in_bits.new_empty(2, sides, 1, batch)
        for side in range(sides):
            launched[:, side].zero_()  # the kernel
        return launched[0].sum(1), launched[1], launched[0].unsqueeze(3).expand(sides, 1, batch, dim).sum(1)

    def nce_sums(in_bits: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        total, _peak, vector = sums(in_bits)
        return total, vector

    def info_nce_sums(in_bits: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
        totals, peaks, vectors = sums(in_bits)
        peak = peaks.amax(1, keepdim=True)
        shrink = torch.exp2(peaks - peak.nan_to_num(neginf=0.0))
        return peak.mT, (totals.unsqueeze(1) * shrink).sum(1).unsqueeze(2), vectors * shrink.squeeze(1).unsqueeze(2)

    return SimpleNamespace(LARGEST_DIM=256, nce_sums=nce_sums, info_nce_sums=info_nce_sums)


def launches(
    objectives: dict[str, Any], *, samples: int = 50_000, side: int = 32, batch_size: int = 64, fused: bool = True
) -> Counter[str]:
    """Return how often each operator is launched in a step.

    Args:
        objectives: Name to settings of the objectives beside cross-entropy.
        samples: Images of the data set, of which a tenth validates.
        side: Their side; the count does not depend on it, nor on the number of samples while a tile holds all.
        batch_size: Samples of a batch.
        fused: Whether contrasts are taken by the counted kernel.
    """
    labels = torch.arange(samples) % 100
    images = torch.randint(256, (samples, 3, side, side), dtype=torch.uint8)
    half = torch.full((3,), 0.5)
    dataset = Dataset(images, labels, images, labels, 100, half, half, Augmentation(crop=side // 8, flip=True))
    config = TrialConfig.model_validate(
        {
            "data": {"name": "cifar100"},
            "teacher": {"model": "wrn_40_2"},
            "student": {"model": "wrn_16_2"},
            "objective": {"cross_entropy": {}, **objectives},
            "batch_size": batch_size,
        }
    )
    teacher = build_model(config.student.model_copy(update={"model": "wrn_40_2"}), 100, dataset.image_shape)
    parts = split(labels, config.data, 0)
    _, objective, (phase,) = assemble(config, dataset, parts, teacher.requires_grad_(False).eval())
    phase = replace(phase, teacher=folded(teacher, dataset.image_shape, torch.bfloat16))  # as on a GPU
    optimizer = build_optimizer(phase.optimizer, phase.parameters, phase.heads)
    autocast, workers = torch.autocast("cpu", torch.bfloat16), Workers()
    loader = phase.loader(workers)
    step = Step(phase, loader, objective, optimizer, None, autocast, workers, is_eager=True)
    read = live_teacher(phase, loader, autocast)
    step.begin_epoch(0.05, read.epoch(1) if read else None)
    batches = loader.epoch(1)
    kernel = counted_kernel()
    in_place = [patch.object(module, "kernel_for", lambda *_: kernel) for module in (nce, info_nce)]
    with in_place[0] if fused else nullcontext(), in_place[1] if fused else nullcontext():
        for _ in range(2):
            step(next(batches))
        batch = next(batches)
        with Launches() as counted:
            step(batch)
    counts: Counter[str] = counted.counts
    return counts


def main() -> None:
    """Print a table."""
    print(f"{'launches of a step, batch 64, n 45,000':<40} {'fused kernel':>12} {'products':>12}")
    for name, objectives in CONFIGURATIONS.items():
        counts = [sum(launches(objectives, fused=fused).values()) for fused in (True, False)]
        print(f"{name:<40} {counts[0]:>12,} {counts[1]:>12,}")


if __name__ == "__main__":
    main()
