"""CIFAR-10 and CIFAR-100, 32x32 colour, 50,000 and 10,000 samples (Krizhevsky, 2009)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cktf.data.augmentation.config import Augmentation
from cktf.data.dataset import Dataset, Kind
from cktf.data.files.places import DataPlace
from cktf.data.files.plain_pickle import read_plain_pickle
from cktf.data.files.published import CIFAR10, CIFAR100, Published
from cktf.errors import InputError

_SIDE = 32

CIFAR10_KIND = Kind(
    num_classes=10,
    channels=3,
    side=_SIDE,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    augmentation=Augmentation(crop=4, flip=True),
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)
CIFAR100_KIND = replace(
    CIFAR10_KIND, num_classes=100, mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761), class_names=()
)


def load_cifar10(place: DataPlace) -> Dataset:
    """Return CIFAR-10; as all loaders, it raises what `cktf.data.load_dataset` does."""
    return _load(place, CIFAR10_KIND, CIFAR10, "labels")


def load_cifar100(place: DataPlace) -> Dataset:
    """Return CIFAR-100 with its 100 fine labels."""
    return _load(place, CIFAR100_KIND, CIFAR100, "fine_labels")


def _load(place: DataPlace, kind: Kind, files: Published, label_key: str) -> Dataset:
    folder = files.find(place)
    batches = []
    for name in files.files_in(folder, verify=place.verify):
        files.check(folder / name, verify=place.verify)
        read = _read_records if name.endswith(".bin") else _read_batch
        batches.append(read(folder / name, label_key, kind.num_classes))
    *train, test = batches
    images, labels = zip(*train, strict=True)
    return kind.dataset(torch.cat(images), torch.cat(labels), *test)


def _read_records(path: Path, label_key: str, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return images and labels of a binary file: a record is an image's labels, coarse before fine, then its planes."""
    at = int(label_key == "fine_labels")
    size = at + 1 + 3 * _SIDE * _SIDE
    content = np.fromfile(path, dtype=np.uint8)
    if not len(content) or len(content) % size:
        raise InputError(f"data.root: {path} has {len(content)} bytes; each image of it has {size}")
    records = torch.from_numpy(content).view(-1, size)
    if (largest := int(records[:, at].max())) >= num_classes:
        raise InputError(f"data.root: {path} holds labels up to {largest}; they must be 0 to {num_classes - 1}")
    return records[:, at + 1 :].reshape(-1, 3, _SIDE, _SIDE), records[:, at].long()


def _read_batch(path: Path, label_key: str, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return images (samples, 3, 32, 32), uint8, and labels (samples,), int64, of one file."""
    batch = read_plain_pickle(path, ("data", label_key))
    try:
        pixels, labels = np.asarray(batch.get("data")), np.asarray(batch.get(label_key))
    except (ValueError, OverflowError):  # lists of several lengths
        pixels = labels = np.zeros(0)
    row = 3 * _SIDE * _SIDE
    is_pixels = pixels.dtype == np.uint8 and pixels.ndim == 2 and pixels.shape[1] == row and len(pixels)
    is_labels = labels.dtype.kind in "iu" and labels.shape == pixels.shape[:1]
    if not (is_pixels and is_labels and ((labels >= 0) & (labels < num_classes)).all()):
        raise InputError(
            f"data.root: {path} is no batch of this data set: it needs 'data', rows of {row} bytes, one for each image"
            f", and {label_key!r}, as many whole numbers from 0 to {num_classes - 1}"
        )
    # A row is the red plane of an image, then the green one, then the blue one.
    images = torch.from_numpy(pixels.reshape(-1, 3, _SIDE, _SIDE).copy())
    return images, torch.from_numpy(labels.astype(np.int64))
