"""A data set as a whole."""

import torch

from cktf.data import Dataset


def test_all_tensors_move_together(numbered: Dataset) -> None:
    moved = numbered.to("meta")
    tensors = [value for value in vars(moved).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 6
    assert {tensor.device.type for tensor in tensors} == {"meta"} == {moved.device.type}


def test_the_image_shape_is_channels_height_width(numbered: Dataset) -> None:
    assert numbered.image_shape == (2, 4, 6)
