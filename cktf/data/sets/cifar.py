"""CIFAR-10 and CIFAR-100, 32x32 colour, 50,000 and 10,000 samples (Krizhevsky, 2009)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cktf.data.augmentation.crop import Augmentation
from cktf.data.dataset import Dataset
from cktf.data.files.places import DataPlace, shown
from cktf.data.files.plain_pickle import read_plain_pickle
from cktf.data.files.published import CIFAR10, CIFAR100, Published
from cktf.errors import InputError

_SIDE = 32


def load_cifar10(place: DataPlace) -> Dataset:
    """Return CIFAR-10.

    Raises:
        DatasetMissing: If it is not there and cannot be fetched.
        ValueError: If a file is damaged, or is another one than the published.
    """
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    train = [f"data_batch_{number}" for number in range(1, 6)]
    return _load(place, CIFAR10, train, "test_batch", "labels", num_classes=10, mean=mean, std=std)


def load_cifar100(place: DataPlace) -> Dataset:
    """Return CIFAR-100 with its 100 fine labels.

    Raises:
        DatasetMissing: If it is not there and cannot be fetched.
        ValueError: If a file is damaged, or is another one than the published.
    """
    mean, std = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
    return _load(place, CIFAR100, ["train"], "test", "fine_labels", num_classes=100, mean=mean, std=std)


def _load(
    place: DataPlace,
    published: Published,
    train_files: Sequence[str],
    test_file: str,
    label_key: str,
    *,
    num_classes: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> Dataset:
    folder = published.fetch(place.root, download=place.download)
    for name in (*train_files, test_file):
        published.check(folder / name, verify=place.verify)
    batches = [_read_batch(folder / name, label_key, num_classes) for name in train_files]
    test_images, test_labels = _read_batch(folder / test_file, label_key, num_classes)
    return Dataset(
        train_images=torch.cat([images for images, _ in batches]),
        train_labels=torch.cat([labels for _, labels in batches]),
        test_images=test_images,
        test_labels=test_labels,
        num_classes=num_classes,
        mean=torch.tensor(mean),
        std=torch.tensor(std),
        standard_augmentation=Augmentation(crop=4, flip=True),
    )


def _read_batch(path: Path, label_key: str, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return images (samples, 3, 32, 32), uint8, and labels (samples,), int64, of one file."""
    batch = read_plain_pickle(path, ("data", label_key))
    for key in ("data", label_key):
        if key not in batch:
            raise InputError(
                f"data.root: {shown(path)} has no entry {key!r}, so it is no batch of this data set"
            )
    # A row is the red plane of an image, then the green one, then the blue one.
    pixels = batch["data"]
    row = 3 * _SIDE * _SIDE
    is_image = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 2
    if not (is_image and pixels.shape[1] == row and len(pixels)):
        raise InputError(f"data.root: {shown(path)}: 'data' must be rows of {row} bytes, one for each image")
    labels = _labels(batch[label_key])
    if labels is None or len(labels) != len(pixels) or not ((labels >= 0) & (labels < num_classes)).all():
        raise InputError(
            f"data.root: {shown(path)}: {label_key!r} must be {len(pixels)} whole numbers from 0 to {num_classes - 1}, "
            "one for each image"
        )
    images = torch.from_numpy(pixels.reshape(-1, 3, _SIDE, _SIDE).copy())
    return images, torch.from_numpy(labels.astype(np.int64))


def _labels(values: Any) -> np.ndarray[Any, Any] | None:
    """Return a list or array of whole numbers as an array; None where it is none."""
    if isinstance(values, list | tuple) and all(type(value) is int for value in values):
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            return None
    is_whole = isinstance(values, np.ndarray) and values.dtype.kind in "iu" and values.ndim == 1
    return values if is_whole else None
