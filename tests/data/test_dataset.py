"""A data set as a whole."""

from dataclasses import replace

import pytest
import torch
from torchvision.transforms import functional

from cktf.data import Dataset, dataset


def test_all_tensors_move_together(numbered: Dataset) -> None:
    moved = numbered.to("meta")
    tensors = [value for value in vars(moved).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 6
    assert {tensor.device.type for tensor in tensors} == {"meta"} == {moved.device.type}


def test_the_image_shape_is_channels_height_width(numbered: Dataset) -> None:
    assert numbered.image_shape == (2, 4, 6)


def test_images_that_are_too_many_for_a_device_stay_where_they_are(
    numbered: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "WHOLE_ON_DEVICE", numbered.train_images.nbytes - 1)
    moved = replace(numbered, unlabelled_images=numbered.test_images).to("meta")
    assert moved.train_images is numbered.train_images
    assert moved.unlabelled_images is not None
    elsewhere = (moved.test_images, moved.unlabelled_images, moved.train_labels, moved.mean)
    assert {tensor.device.type for tensor in elsewhere} == {"meta"} == {moved.device.type}


def test_images_are_scaled_in_every_part(numbered: Dataset) -> None:
    images = torch.randint(256, (101, 2, 12, 12), dtype=torch.uint8)
    parts = replace(numbered, train_images=images, test_images=images[:7], unlabelled_images=images[:3])
    scaled = parts.resized(8)
    assert scaled.image_shape == (2, 8, 8)
    assert scaled.unlabelled_images is not None
    expected = functional.resize(images.float(), [8, 8], antialias=True)
    for part in (scaled.train_images, scaled.test_images, scaled.unlabelled_images):
        assert part.dtype == torch.uint8
        assert (part - expected[: len(part)]).abs().max() < 1.01  # rounded after rows and again after columns
    assert parts.resized(12).train_images is images


@pytest.mark.parametrize("turned", [False, True])
def test_images_that_are_not_square_are_cut_out_of_the_middle_and_not_squeezed(numbered: Dataset, turned: bool) -> None:
    images = torch.randint(256, (101, 2, 12, 20), dtype=torch.uint8)
    square = images[..., 4:16]
    given, middle = (images.mT, square.mT) if turned else (images, square)
    parts = replace(numbered, train_images=given, test_images=given[:7])
    assert torch.equal(parts.resized(12).train_images, middle)
    expected = functional.resize(middle.float(), [8, 8], antialias=True)
    assert (parts.resized(8).test_images - expected[:7]).abs().max() < 1.01
