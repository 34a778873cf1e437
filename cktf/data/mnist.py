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
from cktf.data.places import DatasetMissing, data_folder, downloading

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_REMEDY = "set data.download: true, or data.root to the folder that holds its four IDX files, gzipped or not"


def load_mnist(config: DataConfig) -> Dataset:
    """Return MNIST (LeCun, Bottou, Bengio and Haffner, 1998).

    Raises:
        DatasetMissing: If it is not there and cannot be fetched.
        ValueError: If a file is damaged.
    """
    from torchvision.datasets import MNIST  # here, since it takes seconds

    folder = _find(config, MNIST, elsewhere=[], remedy=_REMEDY)
    return _read(folder, mean=0.1307, std=0.3081, augmentation=Augmentation(crop=2, flip=False))


def load_fashion_mnist(config: DataConfig) -> Dataset:
    """Return Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017).

    Where no root is named, the files of Debian's package dataset-fashion-mnist will do.

    Raises:
        DatasetMissing: If it is not there and cannot be fetched.
        ValueError: If a file is damaged.
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
        with downloading(root):
            torchvision_class(root, download=True)
    except (OSError, RuntimeError) as error:
        raise DatasetMissing(config.name, places, remedy, f"the download failed: {error}") from error
    return downloaded


def _path(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _read(folder: Path, mean: float, std: float, augmentation: Augmentation) -> Dataset:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    readers = (read_image_file, read_label_file, read_image_file, read_label_file)
    train_images, train_labels, test_images, test_labels = (
        _read_file(folder, name, reader) for name, reader in zip(_FILES, readers, strict=True)
    )
    return Dataset(
        train_images=train_images[:, None],
        train_labels=train_labels,
        test_images=test_images[:, None],
        test_labels=test_labels,
        num_classes=10,
        mean=torch.tensor([mean]),
        std=torch.tensor([std]),
        standard_augmentation=augmentation,
    )


def _read_file(folder: Path, name: str, reader: Callable[[str], Tensor]) -> Tensor:
    path = _path(folder, name)
    assert path is not None, "only a folder that holds all files is read"
    try:
        if path.suffix != ".gz":
            return reader(str(path))
        # torchvision's reader wants the name of a file that is not compressed.
        with gzip.open(path) as compressed, NamedTemporaryFile() as plain:
            shutil.copyfileobj(compressed, plain)
            plain.flush()
            return reader(plain.name)
    except Exception as error:  # a damaged file raises whatever its bytes lead the readers to
        raise ValueError(f"data.root: {path} is damaged, or is no IDX file: {error!r}") from error
