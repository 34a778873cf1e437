"""Similarities and distances between the samples of a batch."""

import torch
from torch import Tensor
from torch.nn import functional


def similarities(maps: Tensor) -> Tensor:
    """Return how similar the samples are, (batch, batch): the Gram matrix of the flattened maps, rows of L2 norm 1."""
    flat = maps.flatten(1)
    return functional.normalize(flat @ flat.T, dim=1)


def relative_distances(embeddings: Tensor) -> Tensor:
    """Return psi_D, (batch, batch): the samples' distances, divided by the mean of those above 0."""
    # Not by a matrix product: of nearby vectors its rounding would leave nothing.
    distances = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
    mean = distances.sum() / (distances > 0).sum().clamp(min=1)
    return distances / mean.clamp(min=1e-12)  # all 0 where all samples are equal
