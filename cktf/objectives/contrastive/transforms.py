"""Transforms: the part of a layer's activations that is compared. Most are taken from an earlier method.

    map          as published for CKTF (arXiv 2303.07599): pooled, the student's channels padded to the teacher's
    hint         the whole map, as in FitNet (Romero et al., arXiv 1412.6550)
    attention    where the map is active, as in AT (Zagoruyko and Komodakis, arXiv 1612.03928)
    factor       the whole map's direction, as FT normalises its factors (Kim et al., arXiv 1802.04977)
    similarity   how similar a sample is to each of the batch, as in SP (Tung and Mori, arXiv 1907.09682)
    relation     how far a sample is from each of the batch, as in RKD (Park et al., arXiv 1904.05068)

The last two give rows as long as the whole batch, over all workers.
"""

from typing import Literal

from torch import Tensor
from torch.nn import functional

from cktf.batch import Batch
from cktf.objectives.parts.maps import attention
from cktf.objectives.parts.relations import relative_distances, similarities
from cktf.objectives.parts.workers import gather_with_gradient

Transform = Literal["map", "hint", "attention", "factor", "similarity", "relation"]

OF_BATCH: tuple[Transform, ...] = ("similarity", "relation")
"""Transforms whose rows depend on the batch, so that no learned head and no bank fits them."""


def transformed(representation: Tensor, transform: Transform, batch: Batch) -> Tensor:
    """Return the transformed representation, for any transform but ``map``, which needs both sides.

    Args:
        representation: (batch, channels, height, width), or (batch, features), which attention leaves as it is.
        transform: Name of the transform.
        batch: This worker's shard of the batch.
    """
    own = slice(batch.offset, batch.offset + len(representation))
    match transform:
        case "attention":
            return attention(representation, power=2) if representation.dim() == 4 else representation
        case "factor":
            return functional.normalize(representation.flatten(1), dim=1)
        case "similarity":
            return similarities(gather_with_gradient(representation, batch))[own]
        case "relation":
            return relative_distances(gather_with_gradient(representation.flatten(1), batch))[own]
        case _:
            return representation
