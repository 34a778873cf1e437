"""How two embeddings are compared."""

import pytest
import torch
from torch.nn import functional

from cktf.objectives.contrastive.heads import agreement


def test_critics_by_hand() -> None:
    student, teacher = torch.tensor([[0.6, 0.8], [1.0, 0.0]]), torch.tensor([[0.8, 0.6], [0.0, 1.0]])
    assert agreement(student, teacher, "cosine", 0.5).tolist() == pytest.approx([1.92, 0])
    assert agreement(student, teacher, "squared_distance", 0.5).tolist() == pytest.approx([-0.16, -4])


def test_between_vectors_of_length_one_squared_distance_is_the_cosine_at_half_the_temperature() -> None:
    student, teacher = (functional.normalize(torch.randn(5, 3), dim=1) for _ in range(2))
    distance = agreement(student, teacher, "squared_distance", 0.4)
    torch.testing.assert_close(distance, agreement(student, teacher, "cosine", 0.2) - 2 / 0.4)
