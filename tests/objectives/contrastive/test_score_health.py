"""Diagnostics of a contrast from the scores of a batch of anchors, against plain loops."""

import math

import pytest
import torch

from cktf.objectives.contrastive.pair import score_health


def slow(
    anchors: torch.Tensor, positives: torch.Tensor, rows: torch.Tensor, is_negative: torch.Tensor, tau: float
) -> dict[str, float]:
    """Return the same as `score_health`, score by score."""

    def score(one: torch.Tensor, other: torch.Tensor) -> float:
        product: float = sum(a * b for a, b in zip(one.tolist(), other.tolist(), strict=True))
        return product

    positive = [score(anchor, own) for anchor, own in zip(anchors, positives, strict=True)]
    means, variances = [], []
    for anchor, negatives in zip(anchors, is_negative.tolist(), strict=True):
        scores = [score(anchor, row) for row, counts in zip(rows, negatives, strict=True) if counts]
        if scores:
            means.append(sum(scores) / len(scores))
            variances.append(sum((one - means[-1]) ** 2 for one in scores) / len(scores))
    mean, negative = sum(positive) / len(positive), sum(means) / len(means)
    spread = math.sqrt(sum(variances) / len(variances))
    return {"positive": mean, "negative": negative, "gap": mean - negative, "temperature": tau / spread}


def test_scores_are_those_of_plain_loops_also_of_an_anchor_without_negatives() -> None:
    generator = torch.Generator().manual_seed(2)
    anchors, positives, rows = (torch.randn(n, 3, generator=generator) for n in (5, 5, 8))
    is_negative = torch.rand(5, 8, generator=generator) < 0.5
    is_negative[3] = False
    found = score_health(anchors, positives, rows, is_negative, temperature=0.3)
    expected = slow(anchors, positives, rows, is_negative, 0.3)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.item() == pytest.approx(expected[name], rel=1e-5), name


def test_one_anchor_by_hand() -> None:
    anchor, rows = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8], [-0.2, 0.5], [1.0, 0.0]])
    found = score_health(anchor, anchor, rows, torch.tensor([[True, True, False]]), temperature=0.1)
    # Negatives score 0.6 and -0.2: mean 0.2, standard deviation 0.4.
    values = {name: value.item() for name, value in found.items()}
    assert values == pytest.approx({"positive": 1.0, "negative": 0.2, "gap": 0.8, "temperature": 0.25})


def test_the_effective_temperature_is_that_of_the_softmax_of_standardised_scores() -> None:
    rows = torch.tensor([[0.9], [0.1], [-0.4], [0.3]])
    everything = torch.ones(1, 4, dtype=torch.bool)
    anchor = torch.ones(1, 1)
    found = score_health(anchor, anchor, rows, everything, temperature=0.2)["temperature"]
    standardised = (rows - rows.mean()) / rows.std(correction=0)
    torch.testing.assert_close((standardised / found).softmax(0), (rows / 0.2).softmax(0))
    # So scores that are spread twice as far make the same tau twice as sharp.
    torch.testing.assert_close(
        score_health(anchor, anchor, 2 * rows, everything, temperature=0.2)["temperature"], found / 2
    )
