"""A few images of each data set's kind, and small data sets in the true formats."""

import filecmp
from pathlib import Path

import pytest
import torch

from cktf.data import DATASETS, DataConfig, load_dataset, split
from cktf.data.files.published import PUBLISHED
from cktf.data.generated import FEW_CLASSES, FEW_SAMPLES
from cktf.data.sets import KINDS
from tests.data.generated import generate

# Classes, channels, side: those of the real data sets; an image folder has what it is given.
TRUE_SHAPES = {
    "digits": (10, 1, 8),
    "fashion_mnist": (10, 1, 28),
    "mnist": (10, 1, 28),
    "cifar10": (10, 3, 32),
    "cifar100": (100, 3, 32),
    "tiny_imagenet": (200, 3, 64),
    "stl10": (10, 3, 96),
    "image_folder": (3, 3, 24),
    "arrays": (3, 3, 32),
    "huggingface": (3, 3, 32),
}


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_is_loaded_divided_and_can_be_learnt(generated: Path, name: str) -> None:
    side = TRUE_SHAPES[name][2] if name == "image_folder" else None
    config = DataConfig(name=name, root=str(generated), side=side, verify=name not in PUBLISHED)
    dataset = load_dataset(config)
    num_classes, channels, true_side = TRUE_SHAPES[name]
    assert dataset.num_classes == num_classes
    assert dataset.image_shape == dataset.test_images.shape[1:] == (channels, true_side, true_side)
    assert {dataset.train_images.dtype, dataset.test_images.dtype} == {torch.uint8}
    assert torch.unique(dataset.train_labels).tolist() == list(range(num_classes))
    assert torch.unique(dataset.test_labels).tolist() == list(range(num_classes))
    assert dataset.mean.shape == dataset.std.shape == (channels,)
    assert (dataset.unlabelled_images is not None) == (name == "stl10")

    parts = split(dataset.train_labels, config, seed=0)
    assert torch.unique(dataset.train_labels[parts.validation_index]).tolist() == list(range(num_classes))
    # The class whose mean image is nearest: what learns that little is right far more often than by chance.
    images = dataset.train_images[parts.train_index].flatten(1).float()
    labels = dataset.train_labels[parts.train_index]
    means = torch.stack([images[labels == label].mean(dim=0) for label in range(num_classes)])
    nearest = torch.cdist(dataset.test_images.flatten(1).float(), means).argmin(dim=1)
    assert (nearest == dataset.test_labels).double().mean() > 0.8


def test_the_same_files_are_written_every_time(tmp_path: Path, generated: Path) -> None:
    for name in ("mnist", "cifar10", "stl10", "image_folder"):
        generate(name, tmp_path)
    files = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 50
    same, different, unreadable = filecmp.cmpfiles(tmp_path, generated, files, shallow=False)
    assert (len(same), different, unreadable) == (len(files), [], [])


@pytest.mark.parametrize("name", DATASETS)
def test_a_few_images_stand_in_for_a_data_set_and_nothing_is_kept(cache: Path, name: str) -> None:
    side = TRUE_SHAPES[name][2] if name == "image_folder" else None
    config = DataConfig(name=name, root="nowhere", side=side, generated=True)
    dataset = load_dataset(config)
    num_classes, channels, true_side = TRUE_SHAPES[name]
    assert dataset.num_classes == num_classes
    assert dataset.image_shape == dataset.test_images.shape[1:] == (channels, true_side, true_side)
    there = min(num_classes, FEW_CLASSES)
    assert torch.bincount(dataset.train_labels).tolist() == [FEW_SAMPLES] * there
    assert torch.bincount(dataset.test_labels).tolist() == [1] * there
    assert len(dataset.train_images) == len(dataset.train_labels)
    assert len(dataset.test_images) == len(dataset.test_labels)
    if dataset.unlabelled_images is not None:
        assert len(dataset.unlabelled_images) == FEW_CLASSES * FEW_SAMPLES
    assert dataset.constants == KINDS[name].dataset(*[torch.empty(0)] * 4).constants
    again = load_dataset(config)
    assert torch.equal(again.train_images, dataset.train_images)
    parts = split(dataset.train_labels, config, seed=0)
    assert torch.bincount(dataset.train_labels[parts.validation_index]).tolist() == [1] * there
    assert not cache.exists()


def test_the_kind_is_that_of_the_data_set() -> None:
    for name, (num_classes, channels, side) in TRUE_SHAPES.items():
        kind = KINDS[name]
        own_side = 0 if name == "image_folder" else side
        assert (kind.num_classes, kind.channels, kind.side) == (num_classes, channels, own_side)


def test_few_images_have_the_side_that_is_asked_for_and_an_image_folder_wants_one() -> None:
    few = load_dataset(DataConfig(name="stl10", side=32, generated=True))
    assert few.train_images.shape[2:] == few.test_images.shape[2:] == (32, 32)
    assert few.unlabelled_images is not None
    assert few.unlabelled_images.shape[2:] == (32, 32)
    cropped = load_dataset(DataConfig(name="stl10", side=32, crop_from=48, generated=True))
    assert (cropped.train_images.shape[-1], cropped.image_shape[-1]) == (48, 32)
    with pytest.raises(ValueError, match=r"data\.side: image_folder has images of any size"):
        load_dataset(DataConfig(name="image_folder", generated=True))
