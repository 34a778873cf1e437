"""Heads, which project representations into the space where they are compared, and critics, which compare them there.

    cosine              v . m / tau, of vectors of length 1
    squared_distance    -|v - m|^2 / tau

The higher a critic, the more the two agree. Between vectors of length 1 the second is 2 v . m / tau less a constant,
the cosine at half the temperature.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf.objectives.contrastive.settings import Critic, HeadKind, HeadNorm


class Head(nn.Module):
    """A projection of the flattened representation, then L2 normalisation unless ``unit_length`` is False.

    ``pad`` learns nothing: the embedding is the representation, and `pad_to_wider` makes two sides equally wide. The
    ``kind`` and the arguments after ``dim`` are settings (see `ContrastiveSettings`). ``shape`` is that of one
    representation, (features,) or (channels, height, width). ``dim`` is the number of dimensions of an embedding: a
    multiple of the positions for ``regressor``, not read for ``pad``.
    """

    def __init__(
        self,
        kind: HeadKind,
        shape: torch.Size,
        dim: int,
        *,
        unit_length: bool = True,
        depth: int = 2,
        width: int | None = None,
        norm: HeadNorm = "none",
    ) -> None:
        super().__init__()
        self.unit_length = unit_length
        num_features = shape.numel()
        self.projection: nn.Module
        match kind:
            case "linear":
                self.projection = nn.Linear(num_features, dim)
            case "mlp":
                hidden = width or num_features
                layers: list[nn.Module] = []
                for before in (num_features, *[hidden] * (depth - 2)):
                    layers.append(nn.Linear(before, hidden))
                    if norm != "none":
                        layers.append(OfBatch(hidden) if norm == "batch" else nn.LayerNorm(hidden))
                    layers.append(nn.ReLU())
                self.projection = nn.Sequential(*layers, nn.Linear(hidden, dim))
            case "pad":
                self.projection = nn.Identity()
            case "regressor":
                positions = shape[1:].numel()
                convolution = nn.Conv1d(shape[0], dim // positions, 1)
                self.projection = nn.Sequential(nn.Unflatten(1, (shape[0], positions)), convolution, nn.Flatten())

    def forward(self, representation: Tensor) -> Tensor:
        """Return the embeddings (batch, dim) of representations (batch, ...)."""
        embeddings: Tensor = self.projection(representation.flatten(1))
        return functional.normalize(embeddings, dim=1) if self.unit_length else embeddings


class OfBatch(nn.BatchNorm1d):
    """Batch-norm by the batch's own statistics, in evaluation too; a batch of one sample is returned unchanged."""

    def __init__(self, width: int) -> None:
        super().__init__(width, track_running_stats=False)

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values) if len(values) > 1 else values


def embed(heads: Sequence[Head], representations: Sequence[Tensor]) -> Tensor:
    """Return the embeddings (heads, batch, dim) of each head's own representation (batch, ...).

    Heads 2 i and 2 i + 1 are the sides of a pair, whose embeddings are padded to the wider of the two.
    """
    projected = [head.projection(own.flatten(1)) for head, own in zip(heads, representations, strict=True)]
    if len({values.shape[1] for values in projected}) == 1:
        embeddings = torch.stack(projected)
        return functional.normalize(embeddings, dim=2) if heads[0].unit_length else embeddings
    sides = [functional.normalize(own, dim=1) if heads[0].unit_length else own for own in projected]
    return torch.stack([own for pair in zip(sides[::2], sides[1::2], strict=True) for own in pad_to_wider(*pair)])


def pad_to_wider(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return both sides' embeddings (batch, dim), the narrower ones padded with zeros at both ends to the wider."""
    missing = teacher.shape[1] - student.shape[1]
    if missing == 0:
        return student, teacher
    ends = abs(missing) // 2, abs(missing) - abs(missing) // 2
    return (functional.pad(student, ends), teacher) if missing > 0 else (student, functional.pad(teacher, ends))


def agreement(student: Tensor, teacher: Tensor, critic: Critic, temperature: float | Tensor) -> Tensor:
    """Return the critic of each sample's two embeddings (batch, dim), float32, at temperature tau: (batch,)."""
    if critic == "cosine":
        return (student * teacher).sum(1) / temperature
    return -(student - teacher).square().sum(1) / temperature
