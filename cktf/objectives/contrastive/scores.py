"""The gap between the scores of positives and negatives, and the effective temperature of their contrast."""

import torch
from torch import Tensor

MOST_ROWS = 4096
"""Largest number of rows that are scored; larger banks are sampled evenly, so the cost does not grow with the data."""


@torch.no_grad()
def score_health(
    anchors: Tensor, positives: Tensor, rows: Tensor, is_negative: Tensor, temperature: float
) -> dict[str, Tensor]:
    """Return diagnostics of a contrast from the scores v . m of a batch of anchors, scalars.

    positive
        Mean score of anchor and positive.
    negative
        Mean score of anchor and negative: over the negatives of an anchor, and then over the anchors.
    gap
        positive - negative.
    temperature
        The effective one, tau / s. s^2 is the variance of the scores of an anchor's negatives, mean over the anchors.
        InfoNCE's gradient weighs a negative by exp(v . m / tau), up to a factor that is the same for all of an anchor
        (the relative penalty of Wang and Liu, CVPR 2021, arXiv 2012.09740), and so does NCE's where p is small against
        c. So a negative whose score is z standard deviations above the mean weighs exp(z / (tau / s)) times as much as
        one at the mean: tau / s is the temperature of standardised scores. Far above 1 all negatives count alike; far
        below, the nearest alone.
        Equal taus are not equally sharp where heads or banks spread scores differently, which this makes comparable.

    Args:
        anchors: (batch, dim), float32.
        positives: (batch, dim), float32: of each anchor, the other side's embedding.
        rows: (rows, dim), float32: of the other side.
        is_negative: (batch, rows), bool. Anchors without negatives count only for ``positive``.
        temperature: tau.
    """
    positive = (anchors * positives).sum(1).mean()
    counts = is_negative.sum(1, keepdim=True)
    has_negatives = counts.squeeze(1) > 0
    scores, weights = anchors @ rows.T, is_negative / counts
    means = (scores * weights).sum(1, keepdim=True)
    variances = ((scores - means).square() * weights).sum(1)
    negative = means.squeeze(1)[has_negatives].mean()
    spread = variances[has_negatives].mean().sqrt()
    return {
        "positive": positive,
        "negative": negative,
        "gap": positive - negative,
        "temperature": temperature / spread,
    }
