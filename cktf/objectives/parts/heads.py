"""Heads: the learned projection of a representation into the space in which it is contrasted."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

HeadKind = Literal["linear", "mlp"]


class Head(nn.Module):
    """A projection into ``dim`` dimensions, then L2 normalisation.

    ``linear`` is one linear layer, ``mlp`` two with a ReLU between them, the hidden one as wide as the input.
    Initial parameters come from PyTorch's global stream, which the builder fixes with
    `cktf.seeding.initialisation`.
    """

    def __init__(self, kind: HeadKind, num_features: int, dim: int) -> None:
        super().__init__()
        self.projection: nn.Module
        match kind:
            case "linear":
                self.projection = nn.Linear(num_features, dim)
            case "mlp":
                self.projection = nn.Sequential(
                    nn.Linear(num_features, num_features), nn.ReLU(), nn.Linear(num_features, dim)
                )

    def forward(self, representation: Tensor) -> Tensor:
        """Return the embeddings (batch, dim) of representations (batch, num_features)."""
        return functional.normalize(self.projection(representation), dim=1)
