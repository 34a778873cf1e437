"""MNIST and Fashion-MNIST, 28x28 grey, 60,000 and 10,000 samples, from files in the IDX format.

The four files may lie as torchvision lays them below the data folder, or directly in it, each gzipped or not.
"""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch
from torch import Tensor

from cktf.data.augmentation import Augmentation
from cktf.data.config import DataConfig
from cktf.data.dataset import Dataset
from cktf.data.places import DatasetMissing, data_folder, writing
from cktf.errors import InputError

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_NUM_CLASSES = 10
_REMEDY = "set data.download: true, or data.root to the folder that holds its four IDX files, gzipped or not"


def load_mnist(config: DataConfig) -> Dataset:
    """Return MNIST (LeCun, Bottou, Bengio and Haffner, 1998).

    Raises:
        DatasetMissing: If it is not there and cannot be fetched.
        ValueError: If a file is damaged, or its labels are not those of this data set.
    """
    from torchvision.datasets import MNIST  # here, since it takes seconds

    folder = _find(config, MNIST, elsewhere=[], remedy=_REMEDY)
    return _read(folder, mean=0.1307, std=0.3081, augmentation=Augmentation(crop=2, flip=False))


def load_fashion_mnist(config: DataConfig) -> Dataset:
    """Return Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017).

    Where no root is named, the files of Debian's package dataset-fashion-mnist will do.

    Raises:
        DatasetMissing: If it is not there and cannot be fetched.
        ValueError: If a file is damaged, or its labels are not those of this data set.
    """
    from torchvision.datasets import FashionMNIST  # here, since it takes seconds

    elsewhere = [DEBIAN_FASHION_MNIST] if config.root is None else []
    remedy = f"{_REMEDY}, or install Debian's package dataset-fashion-mnist and leave data.root out"
    folder = _find(config, FashionMNIST, elsewhere, remedy)
    return _read(folder, mean=0.2860, std=0.3530, augmentation=Augmentation(crop=2, flip=True))


def _find(config: DataConfig, torchvision_class: Any, elsewhere: list[Path], remedy: str) -> Path:
    """Return the folder that holds all four files, after a download where that is asked for and needed."""
    root = data_folder(config.root)
    downloaded = root / str(torchvision_class.__name__) / "raw"
    places = [downloaded, root, *elsewhere]
    for place in places:
        if all(_path(place, name) for name in _FILES):
            return place
    if not config.download:
        raise DatasetMissing(config.name, places, remedy)
    try:
        with writing(root):
            torchvision_class(root, download=True)
    except (OSError, RuntimeError) as error:
        raise DatasetMissing(config.name, places, remedy, f"the download failed: {error}") from error
    return downloaded


def _path(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read(folder: Path, mean: float, std: float, augmentation: Augmentation) -> Dataset:
    train_images, train_labels = _read_part(folder, *_FILES[:2])
    test_images, test_labels = _read_part(folder, *_FILES[2:])
    sizes = [" x ".join(map(str, images.shape[2:])) for images in (train_images, test_images)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"data.root: {_path(folder, _FILES[0])} holds images of {sizes[0]} pixels and "
            f"{_path(folder, _FILES[2])} of {sizes[1]}; both parts need images of one size"
        )
    return Dataset(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        num_classes=_NUM_CLASSES,
        mean=torch.tensor([mean]),
        std=torch.tensor([std]),
        standard_augmentation=augmentation,
    )


def _read_part(folder: Path, images_name: str, labels_name: str) -> tuple[Tensor, Tensor]:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    images_path, labels_path = _path(folder, images_name), _path(folder, labels_name)
    assert images_path is not None, "only a folder that holds all files is read"
    assert labels_path is not None, "only a folder that holds all files is read"
    images, labels = _read_file(images_path, read_image_file), _read_file(labels_path, read_label_file)
    if len(images) != len(labels):
        raise InputError(
            f"data.root: {labels_path} holds {len(labels)} labels and {images_path} {len(images)} images; "
            "there must be one label for each image"
        )
    if (largest := int(labels.max())) >= _NUM_CLASSES:  # EMNIST has the same format and more classes
        raise InputError(
            f"data.root: {labels_path} holds labels up to {largest}; this data set has {_NUM_CLASSES} classes, "
            f"labels 0 to {_NUM_CLASSES - 1}"
        )
    return images[:, None], labels


def _read_file(path: Path, reader: Callable[[str], Tensor]) -> Tensor:
    try:
        if path.suffix != ".gz":
            return reader(str(path))
        # torchvision's reader wants the name of a file that is not compressed.
        with gzip.open(path) as compressed, NamedTemporaryFile() as plain:
            shutil.copyfileobj(compressed, plain)
            plain.flush()
            return reader(plain.name)
    except Exception as error:  # a damaged file raises whatever its bytes lead the readers to
        raise InputError(
            f"data.root: {path} is damaged, or is not an IDX file: {error!r}; if a download was killed, delete this "
            "file and set data.download: true, which fetches what is missing"
        ) from error
