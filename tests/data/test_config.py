"""Settings of the data, and the registry they name."""

import pytest
import torch
from pydantic import ValidationError

from cktf.data import (
    DATASETS,
    Augmentation,
    AugmentationConfig,
    DataConfig,
    TrainLoader,
    evaluation_batches,
    load_dataset,
)
from cktf.data.augmentation.boxes import draw_boxes
from cktf.data.augmentation.crops import crop_and_flip, draw, normalise, resized_crop
from cktf.data.dataset import resize


def test_every_registered_data_set_can_be_named() -> None:
    assert [DataConfig(name=name).name for name in DATASETS] == list(DATASETS)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"unknown data set 'cifar1000'; known: digits, .*cifar100"):
        DataConfig(name="cifar1000")


@pytest.mark.parametrize(
    ("key", "value"),
    [("train_fraction", 0), ("train_fraction", 1.1), ("validation_fraction", 0), ("validation_fraction", 1)],
)
def test_a_fraction_out_of_range_is_refused(key: str, value: float) -> None:
    with pytest.raises(ValidationError, match=key):
        DataConfig.model_validate({"name": "digits", key: value})


@pytest.mark.parametrize("side", [7, 1025])
def test_a_side_out_of_range_is_refused(side: int) -> None:
    with pytest.raises(ValidationError, match="side"):
        DataConfig(name="digits", side=side)


@pytest.mark.parametrize(("side", "said"), [(None, "which is None"), (16, "which is 16")])
def test_crops_are_cut_out_of_larger_images(side: int | None, said: str) -> None:
    with pytest.raises(ValidationError, match=f"crop_from: must be larger than side, {said}; got 16"):
        DataConfig(name="digits", side=side, crop_from=16)


def test_images_that_crops_are_cut_out_of_are_scaled_where_they_are_not_cropped() -> None:
    dataset = load_dataset(DataConfig(name="digits", side=16, crop_from=24))
    assert dataset.image_shape == (1, 16, 16)
    assert dataset.train_images.shape[1:] == (1, 24, 24)
    ((images, _),) = evaluation_batches(dataset, torch.arange(9))
    expected = normalise(resize(dataset.train_images[:9], 16), dataset.mean, dataset.std)
    assert torch.equal(images, expected)
    rows = torch.arange(9)
    for augmentation in (AugmentationConfig(resized_crop=True, flip=True), AugmentationConfig(crop=2)):
        (batch,) = TrainLoader(dataset, rows, augmentation, batch_size=9, seed=0).epoch(1)
        assert batch.images.shape == (9, 1, 16, 16)
    crops = AugmentationConfig(resized_crop=True, flip=True)
    (cropped,) = TrainLoader(dataset, rows, crops, batch_size=9, seed=0).epoch(1)
    boxes = draw_boxes(cropped.index, 0, 1, 24, 24)
    flips = draw(Augmentation(0, flip=True), cropped.index, 0, 1)
    images = crop_and_flip(dataset.train_images[cropped.index], flips, 0)
    expected = normalise(resized_crop(images, boxes, 16, 16), dataset.mean, dataset.std)
    assert torch.equal(cropped.images, expected)


def test_a_side_scales_any_data_set() -> None:
    assert load_dataset(DataConfig(name="digits", side=16)).image_shape == (1, 16, 16)


@pytest.mark.parametrize("name", ["digits", "mnist", "tiny_imagenet", "image_folder"])
def test_only_what_has_checksums_may_be_left_unverified(name: str) -> None:
    assert DataConfig(name="stl10", verify=False).is_own
    with pytest.raises(ValidationError, match=f"verify: only cifar10, cifar100, stl10 has it; got False for {name}"):
        DataConfig(name=name, verify=False)
