"""Measures of the student itself: its size, and how fast it is on the device that trained it."""

import time
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from cktf.measures.measure import OfStudent

WARM_UP = 3
"""Runs before those that are timed."""


def uncompiled(network: nn.Module) -> AbstractContextManager[object]:
    """Return a context in which a network runs as if it were not compiled, and none of its graphs changes."""
    is_compiled = any(module._compiled_call_impl for module in network.modules())
    # The compiler takes seconds to import, so it is left alone otherwise.
    return torch.compiler.set_stance("force_eager") if is_compiled else nullcontext()


class Parameters(OfStudent):
    """Number of parameters."""

    maximise: ClassVar[bool] = False

    def __call__(self, student: nn.Module, image: Tensor) -> float:
        return float(sum(parameter.numel() for parameter in student.parameters()))


class Bytes(OfStudent):
    """Bytes of parameters and running statistics, as they are stored."""

    maximise: ClassVar[bool] = False

    def __call__(self, student: nn.Module, image: Tensor) -> float:
        return float(sum(tensor.numel() * tensor.element_size() for tensor in student.state_dict().values()))


class Flops(OfStudent):
    """Floating-point operations of one image as `torch.utils.flop_counter` counts them.

    Only convolutions, matrix products and attention count; a multiplication and an addition count as two.
    """

    maximise: ClassVar[bool] = False

    def __call__(self, student: nn.Module, image: Tensor) -> float:
        from torch.utils.flop_counter import FlopCounterMode  # it imports Triton and the compiler

        # PyTorch's fast path of attention is one kernel, whose matrix products the counter does not see.
        has_fast_path = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with uncompiled(student), FlopCounterMode(display=False) as counter:
                student(image)
        finally:
            torch.backends.mha.set_fastpath_enabled(has_fast_path)
        return float(counter.get_total_flops())


class Timed(OfStudent):
    """Base of measures of the time that a forward of a batch takes in float32, the median of several.

    As in training in float32, a GPU may take convolutions in TF32 (`torch.backends.cudnn.allow_tf32`).
    """

    batch_size: int = Field(default=1, ge=1, le=100_000)
    """Images in the batch."""

    runs: int = Field(default=30, ge=1, le=100_000)
    """Forwards that are timed."""

    def seconds(self, student: nn.Module, image: Tensor) -> float:
        """Return the median time of a forward of the batch."""
        images = image.repeat(self.batch_size, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        found = []
        for _ in range(WARM_UP + self.runs):
            _wait_for(image.device)
            started = time.perf_counter()
            student(images)
            _wait_for(image.device)
            found.append(time.perf_counter() - started)
        return median(found[WARM_UP:])


class Latency(Timed):
    """Milliseconds of a forward."""

    maximise: ClassVar[bool] = False

    def __call__(self, student: nn.Module, image: Tensor) -> float:
        return 1000 * self.seconds(student, image)


class ImagesPerSecond(Timed):
    """Images per second of a forward."""

    batch_size: int = Field(default=64, ge=1, le=100_000)
    """Images in the batch."""

    def __call__(self, student: nn.Module, image: Tensor) -> float:
        return self.batch_size / self.seconds(student, image)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
