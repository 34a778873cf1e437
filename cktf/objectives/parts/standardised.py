"""Logits standardised per sample: Sun et al., CVPR 2024, arXiv 2403.01427."""

from torch import Tensor

EPSILON = 1e-7
"""Added to the standard deviation, as published."""


def standardised(logits: Tensor) -> Tensor:
    """Return each sample's logits minus their mean, over their standard deviation: (batch, classes).

    The Z-score of Sun et al. (2024, arXiv 2403.01427, algorithm 1). The standard deviation is the unbiased one, of
    classes - 1 degrees of freedom.

    Args:
        logits: (batch, classes), float32.
    """
    centred = logits - logits.mean(1, keepdim=True)
    return centred / (logits.std(1, keepdim=True) + EPSILON)
