"""Transforms of feature maps."""

import pytest
import torch

from cktf.batch import Batch, Shapes
from cktf.models import build_model, measure_shapes
from cktf.objectives.parts import maps


def shapes(image: int, last: int) -> Shapes:
    return Shapes(
        logits=torch.Size([10]),
        penultimate=torch.Size([64]),
        stem=torch.Size([16, image, image]),
        stages=((torch.Size([64, last, last]),),),
        preactivations=(torch.Size([64, last, last]),),
        image=torch.Size([3, image, image]),
    )


@pytest.mark.parametrize(
    ("image", "last", "window"), [(32, 8, 8), (8, 2, 2), (28, 7, 7), (30, 8, 8), (32, 4, None), (64, 8, None)]
)
def test_window_is_a_quarter_of_the_image_where_the_last_stage_has_that_side(
    image: int, last: int, window: int | None
) -> None:
    assert maps.pooling_window(shapes(image, last)) == window


@pytest.mark.parametrize("side", [8, 28, 30, 32, 64, 96])
@pytest.mark.parametrize(
    ("model", "has_windows"),
    [
        ("resnet8", True),
        ("wrn_16_1", True),
        ("vgg8", False),
        ("MobileNetV2", False),
        ("ShuffleV1", False),
        ("ShuffleV2", False),
        ("ResNet10", False),
    ],
)
def test_windows_are_for_the_cifar_resnets_and_wide_resnets_alone(model: str, has_windows: bool, side: int) -> None:
    network = build_model(model, 10, (1, side, side))
    assert bool(maps.pooling_window(measure_shapes(network, (1, side, side)))) == has_windows


@pytest.mark.parametrize("sides", [(16, 24), (24, 16)])
def test_windows_of_images_that_are_not_square_fit_into_every_map(sides: tuple[int, int]) -> None:
    network = measure_shapes(build_model("resnet8", 10, (1, *sides)), (1, *sides))
    assert maps.pooling_window(network) == 4
    pooled = [maps.pool(torch.empty(2, *blocks[-1]), 4).shape[2:] for blocks in network.stages]
    assert sorted(pooled[0]) == [4, 6]
    assert sorted(pooled[-1]) == [1, 1]


def test_each_position_has_unit_length_over_the_batch(batch: Batch) -> None:
    values = torch.tensor([3.0, 4.0]).view(2, 1, 1, 1).expand(2, 2, 3, 3)
    normalised = maps.normalise_over_batch(values, batch)
    torch.testing.assert_close(normalised[:, 1, 2, 0], torch.tensor([0.6, 0.8]))


def test_a_position_that_is_zero_in_the_whole_batch_stays_zero(batch: Batch) -> None:
    assert not maps.normalise_over_batch(torch.zeros(2, 1, 3, 3), batch).any()


def test_padding_is_symmetric_and_never_takes_away() -> None:
    ones = torch.ones(1, 2, 1, 1)
    assert maps.pad_channels(ones, 6).flatten().tolist() == [0, 0, 1, 1, 0, 0]
    assert maps.pad_channels(ones, 5).flatten().tolist() == [0, 1, 1, 0, 0]
    assert maps.pad_channels(ones, 1).flatten().tolist() == [1, 1]


@pytest.mark.parametrize("window", [4, None])
def test_pooling_averages_windows(window: int | None) -> None:
    values = torch.arange(2 * 3 * 8 * 8.0).view(2, 3, 8, 8)
    pooled = maps.pool(values, window)
    side = window or 8
    assert pooled.shape == (2, 3, 8 // side, 8 // side)
    assert pooled[1, 0, 0, 0] == values[1, 0, :side, :side].mean()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_normalisation_and_its_gradient_are_those_of_torch(memory_format: torch.memory_format, batch: Batch) -> None:
    generator = torch.Generator().manual_seed(0)
    values, gradient = torch.randn(2, 5, 3, 4, 2, generator=generator, dtype=torch.float64)
    values = values.contiguous(memory_format=memory_format).requires_grad_()
    expected = torch.nn.functional.normalize(values, dim=0)
    normalised = maps.normalise_over_batch(values, batch)
    torch.testing.assert_close(normalised, expected)
    torch.testing.assert_close(
        torch.autograd.grad(normalised, values, gradient), torch.autograd.grad(expected, values, gradient)
    )
    assert torch.autograd.gradcheck(lambda of: maps.normalise_over_batch(of, batch), values)


def test_the_larger_map_is_averaged_to_the_smaller_height_and_width() -> None:
    wide, high = torch.randn(2, 3, 4, 8), torch.randn(2, 5, 8, 4)
    shrunk, other = maps.shrink_to_smaller(wide, high)
    torch.testing.assert_close(shrunk, wide.view(2, 3, 4, 4, 2).mean(4))
    torch.testing.assert_close(other, high.view(2, 5, 4, 2, 4).mean(3))
    assert maps.shrink_to_smaller(wide, shrunk)[1] is shrunk


def test_attention_is_the_normalised_mean_of_a_power() -> None:
    given = torch.tensor([[[[1.0, -2.0]], [[3.0, 2.0]]]])
    # Squares (1 + 9) / 2 and (4 + 4) / 2; first powers (1 + 3) / 2 and 0.
    torch.testing.assert_close(maps.attention(given, 2), torch.tensor([[5.0, 4.0]]) / 41**0.5)
    torch.testing.assert_close(maps.attention(given, 1), torch.tensor([[1.0, 0.0]]))
