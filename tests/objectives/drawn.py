"""Drawn tensors, for tests of losses and their gradients."""

import torch
from torch import Tensor


def drawn(seed: int, *shape: int) -> Tensor:
    """Return numbers of a standard normal distribution, float64, as gradients are checked in."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
