"""Data sets, their splits, and batches of them."""

from collections.abc import Callable
from dataclasses import replace

from cktf.data.augmentation.crop import Augmentation, AugmentationConfig
from cktf.data.config import DataConfig
from cktf.data.content import content_of
from cktf.data.dataset import Constants, Dataset
from cktf.data.files.image_layout import IMAGE_FOLDER
from cktf.data.files.places import DatasetMissing, data_folder, reading, shown
from cktf.data.generated import load_few
from cktf.data.loader import TrainLoader, evaluation_batches
from cktf.data.samples import Samples, unlabelled_samples
from cktf.data.sets.cifar import load_cifar10, load_cifar100
from cktf.data.sets.digits import load_digits
from cktf.data.sets.image_folder import load_image_folder, look_at_image_folder
from cktf.data.sets.mnist import load_fashion_mnist, load_mnist
from cktf.data.sets.stl10 import load_stl10
from cktf.data.sets.tiny_imagenet import load_tiny_imagenet
from cktf.data.splits import Split, split
from cktf.errors import InputError

DATASETS: dict[str, Callable[[DataConfig], Dataset]] = {
    "digits": load_digits,
    "fashion_mnist": load_fashion_mnist,
    "mnist": load_mnist,
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
    "tiny_imagenet": load_tiny_imagenet,
    "stl10": load_stl10,
    IMAGE_FOLDER: load_image_folder,
}
"""Name to loader."""


def load_dataset(config: DataConfig) -> Dataset:
    """Return the data set that the settings name, at the side they name, on the CPU.

    Raises:
        DatasetMissing: If it is not there; the message says where it was looked for and how to get it.
        ValueError: If a file of it is damaged or cannot be read, or it does not have ``config.content``.
    """
    load = DATASETS[config.name]
    if config.crop_from is not None:
        stored = config.model_copy(update={"side": config.crop_from, "crop_from": None})
        return replace(load_dataset(stored), shown_side=config.side)
    if config.generated:
        dataset = load_few(config, load)
    else:
        with reading(config.root):
            _require_content(config)
            dataset = load(config)
    return dataset if config.side is None else dataset.resized(config.side)


def _require_content(config: DataConfig) -> None:
    """Refuse images of one's own that are others than those that a study was planned with."""
    asked = config.content if config.is_own else None
    found = content_of(config.name, config.root) if asked else None
    if found and found != asked:
        what = "its files' names and sizes" if config.verify else "its files"
        place = shown(data_folder(config.root))
        raise InputError(
            f"data.root: {place} does not hold the images that were asked for: the SHA-256 of {what} is {found}, not "
            f"{asked}"
        )


__all__ = [
    "DATASETS",
    "IMAGE_FOLDER",
    "Augmentation",
    "AugmentationConfig",
    "Constants",
    "DataConfig",
    "Dataset",
    "DatasetMissing",
    "Samples",
    "Split",
    "TrainLoader",
    "evaluation_batches",
    "load_dataset",
    "look_at_image_folder",
    "split",
    "unlabelled_samples",
]
