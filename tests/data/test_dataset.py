"""A data set as a whole."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torchvision.transforms import functional

from cktf.data import DATASETS, DataConfig, Dataset, dataset, load_dataset
from cktf.errors import InputError


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


IMAGES, LABELS = torch.zeros(101, 2, 4, 6), torch.arange(101) % 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train_images": IMAGES}, r"train_images: must be uint8, .*; got torch.float32 \(101, 2, 4, 6\)"),
        ({"test_images": IMAGES[:7]}, "test_images: must be uint8"),
        ({"test_images": IMAGES[:0].byte(), "test_labels": LABELS[:0]}, "test_images: must be .*, one or more, "),
        ({"train_images": IMAGES[:, 0].byte()}, r"train_images: .*, height, width\); got torch.uint8 \(101, 4, 6\)"),
        ({"test_images": IMAGES[:7, :1].byte()}, r"test_images: must be of the shape of training images, \(2, 4, 6\)"),
        ({"unlabelled_images": IMAGES}, "unlabelled_images: must be uint8"),
        ({"train_labels": LABELS[:100]}, r"train_labels: must be int64, one for each of 101 images; got .* \(100,\)"),
        ({"test_labels": LABELS[:7].int()}, r"test_labels: must be int64, one for each of 7 images; got torch.int32"),
        ({"train_labels": LABELS.tolist()}, "train_labels: .*; got list"),
        ({"train_labels": LABELS + 1}, "train_labels: must be 0 to 3, for num_classes: 4; got 1 to 4"),
        ({"test_labels": LABELS[:7] - 1}, "test_labels: must be 0 to 3, for num_classes: 4; got -1 to 2"),
        ({"mean": torch.zeros(3)}, "mean: must be a tensor of 2 numbers, one for each channel"),
        ({"std": [1.0, 1.0]}, "std: must be a tensor of 2 numbers, one for each channel; got list"),
        ({"standard_augmentation": None}, "standard_augmentation: must be a cktf.data.Augmentation; got NoneType"),
    ],
)
def test_what_a_loader_returns_is_looked_at_before_anything_is_trained(
    numbered: Dataset, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    found: list[Any] = [numbered]
    monkeypatch.setitem(DATASETS, "own", lambda _: found[0])
    config = DataConfig(name="own")
    assert load_dataset(config) is numbered
    found[0] = replace(numbered, **change)
    with pytest.raises(InputError, match=f"^data.name: own: {said}"):
        load_dataset(config)
    found[0] = replace(numbered, test_images=IMAGES[:7, :, :3].byte())  # a side may make them alike
    assert load_dataset(DataConfig(name="own", side=8)).test_images.shape == (7, 2, 8, 8)
    found[0] = None
    with pytest.raises(InputError, match=r"own: its loader must return a cktf\.data\.Dataset; got NoneType"):
        load_dataset(config)
