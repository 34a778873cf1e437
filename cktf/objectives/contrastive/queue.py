"""A queue of tensors on a device, in memory that does not grow."""

from typing import Any

import torch
from torch import Tensor, nn


class Queue(nn.Module):
    """The last values that were pushed, first in, first out; ``values`` (length, ...) are the initial ones.

    ``position``, the index of the next value to be replaced, is a tensor on the device, and in the state dict a number.
    """

    values: Tensor
    position: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)
        self.register_buffer("position", torch.tensor(0), persistent=False)

    @torch.no_grad()
    def push(self, values: Tensor) -> None:
        """Put values (batch, ...) in the place of the oldest."""
        length, total = len(self.values), len(values)
        values = values[-length:]
        places = (self.position + torch.arange(total - len(values), total, device=values.device)) % length
        self.values.index_copy_(0, places, values.to(self.values.dtype))
        self.position.add_(total).remainder_(length)

    def get_extra_state(self) -> dict[str, int]:
        return {"position": int(self.position)}

    def set_extra_state(self, state: Any) -> None:
        self.position.fill_(state["position"])
