"""The input of a frozen teacher: images normalised with the constants of its own training."""

import torch
from torch import Tensor, nn

from cktf.batch import Activations
from cktf.data import Constants


class OwnInput(nn.Module):
    """A network that first changes the normalisation of its images.

    Args:
        network: The network; not copied.
        shown: Constants with which the given images are normalised.
        own: Constants that the network was trained with.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, shown: Constants, own: Constants) -> None:
        super().__init__()
        self.network = network
        mean, std, own_mean, own_std = (
            torch.tensor(values, dtype=torch.float64)[:, None, None]
            for values in (shown.mean, shown.std, own.mean, own.std)
        )
        self.register_buffer("scale", (std / own_std).float())
        self.register_buffer("shift", ((mean - own_mean) / own_std).float())

    def forward(self, images: Tensor) -> Activations:
        """Return the network's activations of images (batch, channels, height, width)."""
        activations: Activations = self.network(images * self.scale + self.shift)
        return activations


def with_own_input(network: nn.Module, shown: Constants, own: Constants) -> nn.Module:
    """Return the network, inside an `OwnInput` if its own constants are not those of the images."""
    return network if shown == own else OwnInput(network, shown, own)
