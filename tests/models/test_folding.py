"""Batch-norms folded into convolutions."""

from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Activations
from cktf.models import ModelConfig, build_model, folded
from cktf.models.folding import _tensors

SHAPE = (3, 16, 16)


def frozen(network: nn.Module) -> nn.Module:
    """Return the network with random statistics and scales in all batch-norms."""
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            for values in (layer.running_mean, layer.bias):
                values.data.copy_(torch.randn(values.shape, generator=generator) / 10)
            for values in (layer.running_var, layer.weight):
                values.data.copy_(torch.rand(values.shape, generator=generator) + 0.5)
    return network.requires_grad_(False).eval()


def norms_run(network: nn.Module, images: Tensor) -> int:
    with patch.object(functional, "batch_norm", wraps=functional.batch_norm) as norm:
        network(images)
    return norm.call_count


@pytest.mark.parametrize(
    ("model", "left"), [("resnet8", 0), ("wrn_16_1", 7), ("vgg8", 0), ("MobileNetV2", 0), ("ShuffleV2", 0)]
)
def test_a_folded_network_has_the_same_activations(model: str, left: int) -> None:
    network = frozen(build_model(ModelConfig(model=model), 7, SHAPE))
    images = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(2))
    copy = folded(network, SHAPE, torch.float32)
    for found, expected in zip(_tensors(copy(images)), _tensors(network(images)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    assert norms_run(copy, images) == left  # a wide ResNet's first one of a block reads a sum
    assert norms_run(network, images) > left


def test_in_bfloat16_no_weight_is_converted_in_the_forward() -> None:
    network = frozen(build_model(ModelConfig(model="wrn_16_1"), 7, SHAPE))
    images = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(2))
    copy = folded(network, SHAPE, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        for found, expected in zip(_tensors(copy(images)), _tensors(network(images)), strict=True):
            atol = 0.05 * float(expected.float().abs().max())
            torch.testing.assert_close(found.float(), expected.float(), rtol=0.0, atol=atol)
    assert {layer.weight.dtype for layer in copy.modules() if isinstance(layer, nn.Conv2d)} == {torch.bfloat16}
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


class ReadTwice(nn.Module):
    """A network that adds what a convolution gives to what a batch-norm makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Any:
        made = self.conv(images)
        features = self.norm(made) + made
        vector = features.mean((2, 3))
        return Activations(vector, vector, features, (), ())


def test_a_network_that_reads_a_convolution_elsewhere_stays_as_it_is() -> None:
    network = frozen(ReadTwice())
    assert folded(network, SHAPE, torch.bfloat16) is network
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
