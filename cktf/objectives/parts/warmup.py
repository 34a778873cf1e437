"""The linear warm-up of a method's own terms."""

from cktf.batch import Batch


def warmup_factor(batch: Batch, warmup_epochs: int) -> float:
    """Return the factor of the terms in a batch's epoch: epoch / warmup_epochs, at most 1; 1 without a warm-up."""
    return 1.0 if batch.epoch >= warmup_epochs else batch.epoch / warmup_epochs
