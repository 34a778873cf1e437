"""Data sets, their splits, and batches of them."""

from collections.abc import Callable
from dataclasses import replace

from cktf.data.augmentation import Augmentation, AugmentationConfig
from cktf.data.cifar import load_cifar10, load_cifar100
from cktf.data.config import IMAGE_FOLDER, DataConfig
from cktf.data.dataset import Constants, Dataset
from cktf.data.digits import load_digits
from cktf.data.generated import load_few
from cktf.data.image_folder import load_image_folder
from cktf.data.loader import TrainLoader, evaluation_batches
from cktf.data.mnist import load_fashion_mnist, load_mnist
from cktf.data.places import DatasetMissing
from cktf.data.samples import Samples, unlabelled_samples
from cktf.data.splits import Split, split
from cktf.data.stl10 import load_stl10
from cktf.data.tiny_imagenet import load_tiny_imagenet

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
        ValueError: If a file of it is damaged.
    """
    load = DATASETS[config.name]
    if config.crop_from is not None:
        stored = config.model_copy(update={"side": config.crop_from, "crop_from": None})
        return replace(load_dataset(stored), shown_side=config.side)
    dataset = load_few(config, load) if config.generated else load(config)
    return dataset if config.side is None else dataset.resized(config.side)


__all__ = [
    "DATASETS",
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
    "split",
    "unlabelled_samples",
]
