"""The exponential moving average of a student."""

from copy import deepcopy

import torch
from torch import nn


class Average:
    """An exponential moving average of a network's parameters and buffers, which is a network too.

    Tarvainen and Valpola, NIPS 2017, arXiv 1703.01780. As in their code the first steps are averaged evenly: after n
    steps the next one leaves the share min(n / (n + 1), decay) of the old value. The network is copied.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network).requires_grad_(False)
        self.decay = decay
        tensors = ([*of.parameters(), *of.buffers()] for of in (self.network, network))
        pairs = [(own, of.detach()) for own, of in zip(*tensors, strict=True)]
        self._averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, steps_before: int) -> None:
        """Move the average towards the network after a step; ``steps_before`` were made before it."""
        kept = min(steps_before / (steps_before + 1), self.decay)
        own, of_network = zip(*self._averaged, strict=True)
        torch._foreach_lerp_(own, of_network, 1 - kept)
        if self._copied:
            own, of_network = zip(*self._copied, strict=True)
            torch._foreach_copy_(own, of_network)
