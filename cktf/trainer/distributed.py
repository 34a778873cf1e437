"""One trial on several workers: the rank of this process, and sums over all of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.overrides import TorchFunctionMode

from cktf.objectives.parts.workers import sum_with_gradient


@dataclass(frozen=True)
class Workers:
    """The workers of one trial: the rank, from 0, of this one, and their number; only worker 0 writes files."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> "Workers":
        """Return the process group that Ray Train (or torchrun) has set up, else one worker."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(rank=distributed.get_rank(), size=distributed.get_world_size())
        return cls()

    def read_by_first(self, read: Callable[[], bytes | None], device: torch.device) -> bytes | None:
        """Return the bytes that the first worker reads, to all: others may not see its file yet, or see an older one.

        ``device`` is the one that trains, through which the bytes are exchanged.
        """
        content = [read() if self.rank == 0 else None]
        if self.size > 1:
            distributed.broadcast_object_list(content, 0, device=device)
        return content[0]

    def sum(self, values: Tensor) -> Tensor:
        """Return the elementwise sum of ``values`` over all workers."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients of all workers in one exchange.

        Each worker's loss is weighed by its share of the batch, so the sum is the gradient of the whole batch's mean.
        """
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, piece in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(piece.view_as(gradient))

    def shared_batch_norm(self, *, is_asked: bool) -> AbstractContextManager[object]:
        """Return a context in which batch-norms in training mode normalise by all workers' samples, if it is asked."""
        return _SharedBatchNorm() if is_asked and self.size > 1 else nullcontext()

    def average_buffers(self, network: nn.Module) -> None:
        """Average the running statistics of batch-norm over the workers; modules in eval mode stay unchanged."""
        if self.size == 1:
            return
        for module in network.modules():
            for buffer in module.buffers(recurse=False):
                if module.training and buffer.is_floating_point():
                    distributed.all_reduce(buffer)
                    buffer /= self.size


class _SharedBatchNorm(TorchFunctionMode):
    """Computes the mean and variance of `nn.functional.batch_norm` over the samples of all workers.

    It replaces the function and not the modules, so that networks of timm, whose batch-norms are their own, keep them.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        is_batch_norm = func is nn.functional.batch_norm
        return (_batch_norm_of_all if is_batch_norm else func)(*args, **(kwargs or {}))


def _batch_norm_of_all(
    inputs: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return batch-normalised inputs (batch, channels, ...); in training by the samples of all workers."""
    if not training:
        return nn.functional.batch_norm(inputs, running_mean, running_var, weight, bias, False, momentum, eps)
    values, channels = inputs.float(), inputs.shape[1]
    over = [axis for axis in range(inputs.dim()) if axis != 1]
    shape = [1, channels] + [1] * (inputs.dim() - 2)
    # Each worker's number, means and variances, and not its sums of squares, which lose digits if means are large.
    number = values.new_full((1,), values.numel() / channels)
    variances, means = torch.var_mean(values, over, correction=0)
    rows = values.new_zeros(distributed.get_world_size(), 2 * channels + 1)
    rows[distributed.get_rank()] = torch.cat([number, means, variances])
    numbers, means, variances = torch.split(sum_with_gradient(rows), [1, channels, channels], dim=1)
    total = numbers.sum()
    mean = (numbers * means).sum(0) / total
    variance = (numbers * (variances + (means - mean).square())).sum(0) / total
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * total / (total - 1)).to(running_var.dtype), momentum)
    scale = (variance + eps).rsqrt() * (1 if weight is None else weight)
    outputs: Tensor = (values - mean.view(shape)) * scale.view(shape)
    return (outputs if bias is None else outputs + bias.view(shape)).to(inputs.dtype)
