"""What a frozen teacher sees: images that are normalised by the constants it was trained with."""

import torch
from torch import Tensor, nn

from cktf.batch import Activations
from cktf.data import Constants


class OwnInput(nn.Module):
    """A network behind the change from one normalisation of its images to another.

    Args:
        network: Kept, not copied.
        shown: What the images are normalised by that it is given.
        own: What it wants them normalised by.
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
    """Return the network, as it is where it is shown what it was trained on, else behind an `OwnInput`."""
    return network if shown == own else OwnInput(network, shown, own)
