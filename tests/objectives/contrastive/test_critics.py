"""How two embeddings are compared."""

import pytest
import torch
from torch.nn import functional

from cktf.objectives.contrastive.heads import agreement, as_products


def test_critics_by_hand() -> None:
    student, teacher = torch.tensor([[0.6, 0.8], [1.0, 0.0]]), torch.tensor([[0.8, 0.6], [0.0, 1.0]])
    assert agreement(student, teacher, "cosine", 0.5).tolist() == pytest.approx([1.92, 0])
    assert agreement(student, teacher, "squared_distance", 0.5).tolist() == pytest.approx([-0.16, -4])


def test_between_vectors_of_length_one_squared_distance_is_the_cosine_at_half_the_temperature() -> None:
    student, teacher = (functional.normalize(torch.randn(5, 3), dim=1) for _ in range(2))
    distance = agreement(student, teacher, "squared_distance", 0.4)
    torch.testing.assert_close(distance, agreement(student, teacher, "cosine", 0.2) - 2 / 0.4)


def test_products_differ_from_minus_the_squared_distances_by_a_constant_of_each_anchor() -> None:
    # Far from 0, where |v|^2 alone is a million and its rounding a tenth.
    anchors, positives, rows = (1000 + torch.randn(count, 3) for count in (4, 4, 7))
    lifted, lifted_positives, lifted_rows = as_products(anchors, positives, rows)
    constant = (anchors - rows.mean(0)).square().sum(1, keepdim=True)
    distances = (anchors.unsqueeze(1) - rows).square().sum(2)
    torch.testing.assert_close(lifted @ lifted_rows.T - constant, -distances, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        (lifted * lifted_positives).sum(1) - constant.squeeze(1),
        agreement(anchors, positives, "squared_distance", 1.0),
        rtol=1e-3,
        atol=1e-3,
    )
