"""Heads."""

import pytest
import torch
from torch import nn

from cktf.objectives.contrastive.heads import Head, pad_to_wider
from cktf.objectives.contrastive.settings import HeadKind


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_embeddings_have_unit_length(kind: HeadKind) -> None:
    embeddings = Head(kind, torch.Size([7]), dim=4)(torch.randn(5, 7))
    assert embeddings.shape == (5, 4)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(5))


def test_a_linear_head_is_one_matrix_and_a_bias() -> None:
    head = Head("linear", torch.Size([2]), dim=2)
    head.load_state_dict({"projection.weight": torch.eye(2), "projection.bias": torch.tensor([0.0, 1.0])})
    torch.testing.assert_close(head(torch.tensor([[3.0, 3.0]])), torch.tensor([[0.6, 0.8]]))


def test_an_mlp_head_has_a_hidden_layer_as_wide_as_its_input() -> None:
    shapes = [tuple(parameter.shape) for parameter in Head("mlp", torch.Size([7]), dim=4).parameters()]
    assert shapes == [(7, 7), (7,), (4, 7), (4,)]


def test_an_mlp_head_has_the_depth_width_and_normalisation_that_are_set() -> None:
    head = Head("mlp", torch.Size([7]), dim=4, unit_length=False, depth=3, width=5, norm="layer")
    assert [tuple(parameter.shape) for parameter in head.parameters() if parameter.dim() == 2] == [
        (5, 7),
        (5, 5),
        (4, 5),
    ]
    inputs = values = torch.randn(6, 7, generator=torch.Generator().manual_seed(0)).double()
    layers = head.double().projection
    assert isinstance(layers, nn.Sequential)
    for row in layers[::3][:2]:
        assert isinstance(row, nn.Linear)
        values = values @ row.weight.T + row.bias
        centred = values - values.mean(1, keepdim=True)
        values = (centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()).clamp(min=0)
    last = layers[-1]
    assert isinstance(last, nn.Linear)
    torch.testing.assert_close(head(inputs), values @ last.weight.T + last.bias)


def test_batch_norm_of_a_head_is_of_the_batch_alone_and_keeps_no_state() -> None:
    head = Head("mlp", torch.Size([7]), dim=4, unit_length=False, width=5, norm="batch").double()
    inputs = torch.randn(6, 7, generator=torch.Generator().manual_seed(0)).double()
    assert isinstance(head.projection, nn.Sequential)
    first, _, _, last = head.projection
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    values = inputs @ first.weight.T + first.bias
    values = ((values - values.mean(0)) / (values.var(0, correction=0) + 1e-5).sqrt()).clamp(min=0)
    torch.testing.assert_close(head(inputs), values @ last.weight.T + last.bias)
    torch.testing.assert_close(head.eval()(inputs), head.train()(inputs))
    assert not list(head.buffers())
    assert head(inputs[:1]).isfinite().all(), "a last batch of a validation split may be of one sample"


def test_padding_learns_nothing_and_makes_the_narrower_side_as_wide() -> None:
    head = Head("pad", torch.Size([2, 1, 1]), dim=5, unit_length=False)
    assert not list(head.parameters())
    narrow = head(torch.tensor([[[[1.0]], [[2.0]]]]))
    wide = torch.arange(5.0).unsqueeze(0)
    for student, teacher in (pad_to_wider(narrow, wide), pad_to_wider(wide, narrow)[::-1]):
        assert student.tolist() == [[0, 1, 2, 0, 0]]
        assert torch.equal(teacher, wide)


def test_a_regressor_is_the_same_matrix_at_every_position() -> None:
    head = Head("regressor", torch.Size([2, 3, 4]), dim=5 * 12, unit_length=False)
    maps = torch.randn(6, 2, 3, 4)
    weight, bias = head.parameters()
    expected = torch.einsum("oc,bchw->bohw", weight.squeeze(2), maps) + bias.view(5, 1, 1)
    torch.testing.assert_close(head(maps).view(6, 5, 3, 4), expected)


def test_embeddings_may_keep_their_length() -> None:
    head = Head("linear", torch.Size([7]), dim=4, unit_length=False)
    representation = torch.randn(5, 7)
    torch.testing.assert_close(
        head(2 * representation) - head(representation), head.projection(representation) - head.projection.bias
    )
