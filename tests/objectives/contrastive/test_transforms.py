"""The part of a layer's activations that is compared."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from cktf.batch import Batch
from cktf.objectives.contrastive.representations import Transform, transformed

INDEX = torch.arange(3)
BATCH = Batch(torch.empty(0), INDEX, INDEX, step=0)
MAPS = torch.randn(3, 2, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_attention_is_the_direction_of_the_mean_square_over_channels() -> None:
    attention = transformed(MAPS, "attention", BATCH)
    for sample, row in zip(MAPS, attention, strict=True):
        means = [float(sample[:, y, x].square().sum()) / 2 for y in range(2) for x in range(4)]
        norm = sum(mean**2 for mean in means) ** 0.5
        assert row.tolist() == pytest.approx([mean / norm for mean in means])


def test_attention_by_hand() -> None:
    maps = torch.tensor([[1.0, 0.0], [1.0, 2.0]]).view(1, 2, 1, 2)  # means of squares: 1 and 2
    assert transformed(maps, "attention", BATCH).tolist() == [pytest.approx([1 / 5**0.5, 2 / 5**0.5])]


def test_a_factor_is_the_direction_of_the_whole_map() -> None:
    flat = MAPS.flatten(1)
    torch.testing.assert_close(transformed(MAPS, "factor", BATCH), flat / flat.square().sum(1, keepdim=True).sqrt())


def test_similarity_rows_are_directions_of_the_gram_matrix() -> None:
    rows = transformed(MAPS, "similarity", BATCH)
    for one, row in zip(MAPS, rows, strict=True):
        products = [float((one * other).sum()) for other in MAPS]
        norm = sum(product**2 for product in products) ** 0.5
        assert row.tolist() == pytest.approx([product / norm for product in products])


def test_relation_rows_are_distances_over_their_mean() -> None:
    # Points 0, 3 and 4 of a line: distances 3, 4 and 1, each twice, with a mean of 8 / 3.
    points = torch.tensor([[0.0], [3.0], [4.0]])
    expected = torch.tensor([[0.0, 3.0, 4.0], [3.0, 0.0, 1.0], [4.0, 1.0, 0.0]]) * 3 / 8
    torch.testing.assert_close(transformed(points, "relation", BATCH), expected)


def test_relations_of_equal_samples_are_zero_with_a_finite_gradient() -> None:
    points = torch.ones(3, 2, requires_grad=True)
    relations = transformed(points, "relation", BATCH)
    assert not relations.any()
    assert torch.autograd.grad(relations.sum(), points)[0].isfinite().all()


def test_a_hint_is_the_map_and_a_vector_has_no_attention() -> None:
    assert transformed(MAPS, "hint", BATCH) is MAPS
    vectors = MAPS.flatten(1)
    assert transformed(vectors, "attention", BATCH) is vectors


@pytest.mark.parametrize("transform", get_args(Transform))
def test_gradients_are_those_of_the_values(transform: Transform) -> None:
    def values(maps: Tensor) -> Tensor:
        return transformed(maps, transform, BATCH)

    assert torch.autograd.gradcheck(values, MAPS.clone().requires_grad_())
