"""Heads: the projection of a representation into the space in which it is compared."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

HeadKind = Literal["linear", "mlp", "pad", "regressor"]


class Head(nn.Module):
    """A projection of the flattened representation, then L2 normalisation unless ``unit_length`` is False.

    ``linear`` is one linear layer, ``mlp`` two with a ReLU between them, the hidden one as wide as the input.
    ``pad`` learns nothing: the embedding is the representation, and `pad_to_wider` makes two sides equally wide.
    ``regressor`` is a 1x1 convolution, the same linear layer at every position of a map.
    Initial parameters come from PyTorch's global stream, which the builder fixes with
    `cktf.seeding.initialisation`.

    Args:
        kind: Kind of head.
        shape: Shape of a representation: (features,) or (channels, height, width).
        dim: Dimensions of an embedding; not read for ``pad``. For ``regressor`` a multiple of the positions.
        unit_length: Whether embeddings are L2-normalised.
    """

    def __init__(self, kind: HeadKind, shape: torch.Size, dim: int, *, unit_length: bool = True) -> None:
        super().__init__()
        self.unit_length = unit_length
        num_features = shape.numel()
        self.projection: nn.Module
        match kind:
            case "linear":
                self.projection = nn.Linear(num_features, dim)
            case "mlp":
                self.projection = nn.Sequential(
                    nn.Linear(num_features, num_features), nn.ReLU(), nn.Linear(num_features, dim)
                )
            case "pad":
                self.projection = nn.Identity()
            case "regressor":
                positions = shape[1:].numel()
                self.projection = nn.Sequential(
                    nn.Unflatten(1, (shape[0], positions)),
                    nn.Conv1d(shape[0], dim // positions, 1),
                    nn.Flatten(),
                )

    def forward(self, representation: Tensor) -> Tensor:
        """Return the embeddings (batch, dim) of representations (batch, ...)."""
        embeddings: Tensor = self.projection(representation.flatten(1))
        return functional.normalize(embeddings, dim=1) if self.unit_length else embeddings


def pad_to_wider(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return embeddings (batch, dim) of both sides, the narrower with zeros on both sides up to the wider."""
    dim = max(student.shape[1], teacher.shape[1])
    return _pad(student, dim), _pad(teacher, dim)


def _pad(embeddings: Tensor, dim: int) -> Tensor:
    missing = dim - embeddings.shape[1]
    return functional.pad(embeddings, (missing // 2, missing - missing // 2)) if missing else embeddings
