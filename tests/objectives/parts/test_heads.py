"""Heads."""

import pytest
import torch

from cktf.objectives.parts.heads import Head, HeadKind


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_embeddings_have_unit_length(kind: HeadKind) -> None:
    embeddings = Head(kind, num_features=7, dim=4)(torch.randn(5, 7))
    assert embeddings.shape == (5, 4)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(5))


def test_a_linear_head_is_one_matrix_and_a_bias() -> None:
    head = Head("linear", num_features=2, dim=2)
    head.load_state_dict({"projection.weight": torch.eye(2), "projection.bias": torch.tensor([0.0, 1.0])})
    torch.testing.assert_close(head(torch.tensor([[3.0, 3.0]])), torch.tensor([[0.6, 0.8]]))


def test_an_mlp_head_has_a_hidden_layer_as_wide_as_its_input() -> None:
    shapes = [tuple(parameter.shape) for parameter in Head("mlp", num_features=7, dim=4).parameters()]
    assert shapes == [(7, 7), (7,), (4, 7), (4,)]
