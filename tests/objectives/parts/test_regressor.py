"""The regressor from the student's map to the teacher's."""

import pytest
import torch
from torch import nn

from cktf.objectives.parts.regressor import ConvolutionalRegressor


def build(student: tuple[int, int, int], teacher: tuple[int, int, int], relu: bool) -> ConvolutionalRegressor:
    return ConvolutionalRegressor(torch.Size(student), torch.Size(teacher), relu=relu, key="objective.fitnet.stage")


@pytest.mark.parametrize(
    ("student", "teacher", "kernel"),
    [
        ((3, 8, 8), (5, 8, 8), (1, 1)),
        ((3, 8, 8), (5, 4, 4), (3, 3)),
        ((3, 4, 4), (5, 8, 8), (4, 4)),
        ((3, 8, 8), (5, 6, 5), (3, 4)),
        ((3, 7, 9), (5, 7, 9), (1, 1)),
    ],
)
def test_it_leads_to_the_teachers_shape(
    student: tuple[int, int, int], teacher: tuple[int, int, int], kernel: tuple[int, int]
) -> None:
    regressor = build(student, teacher, relu=True)
    assert isinstance(regressor.conv, nn.Conv2d | nn.ConvTranspose2d)
    assert regressor.conv.kernel_size == kernel
    assert regressor(torch.randn(2, *student)).shape == (2, *teacher)


def test_it_is_convolution_batch_norm_and_where_wanted_a_relu() -> None:
    maps = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    regressor = build((3, 2, 2), (5, 2, 2), relu=False)
    assert isinstance(regressor.conv, nn.Conv2d)
    weight, bias = regressor.conv.weight[:, :, 0, 0], regressor.conv.bias
    assert bias is not None
    mixed = torch.einsum("oc,bcyx->boyx", weight, maps) + bias[:, None, None]
    deviation, mean = torch.std_mean(mixed, (0, 2, 3), correction=0, keepdim=True)
    expected = (mixed - mean) / (deviation**2 + 1e-5).sqrt()
    torch.testing.assert_close(regressor(maps), expected)
    regressor.relu = True
    torch.testing.assert_close(regressor(maps), expected.clamp(min=0))


@pytest.mark.parametrize("teacher", [(5, 16, 16), (5, 5, 4), (5, 8, 4)])
def test_a_map_that_is_too_small_is_refused(teacher: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"objective\.fitnet\.stage: no regressor .* \(4, 4\) positions"):
        build((3, 4, 4), teacher, relu=True)
