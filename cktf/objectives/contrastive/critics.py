"""Critics: how two embeddings are compared. The higher, the more they agree.

    cosine              v . m / tau, of vectors of length 1
    squared_distance    -|v - m|^2 / tau

Between vectors of length 1 the second is 2 v . m / tau less a constant, the cosine at half the temperature.
"""

from typing import Literal

import torch
from torch import Tensor

Critic = Literal["cosine", "squared_distance"]


def agreement(student: Tensor, teacher: Tensor, critic: Critic, temperature: float) -> Tensor:
    """Return the critic of each sample's two embeddings, (batch,).

    Args:
        student: (batch, dim), float32.
        teacher: (batch, dim), float32.
        critic: Name of the critic.
        temperature: tau.
    """
    match critic:
        case "cosine":
            return (student * teacher).sum(1) / temperature
        case "squared_distance":
            return -(student - teacher).square().sum(1) / temperature


def as_products(anchors: Tensor, positives: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return vectors whose products are minus the squared distances, up to a constant for each anchor.

    -|v - m|^2 = (2 v, -1) . (m, |m|^2) - |v|^2, and a softmax does not see the last. All are first moved by the mean
    of the rows, which changes no distance and keeps the products small, so that their rounding is.

    Args:
        anchors: (batch, dim), float32: v.
        positives: (batch, dim), float32.
        rows: (candidates, dim), float32.
    """
    centre = rows.detach().mean(0)
    anchors, positives, rows = anchors - centre, positives - centre, rows - centre
    lifted, positives, rows = (
        torch.cat([vectors, last], dim=1)
        for vectors, last in (
            (2 * anchors, -torch.ones_like(anchors[:, :1])),
            (positives, positives.square().sum(1, keepdim=True)),
            (rows, rows.square().sum(1, keepdim=True)),
        )
    )
    return lifted, positives, rows
