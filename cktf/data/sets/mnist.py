"""MNIST and Fashion-MNIST, 28x28 grey, 60,000 and 10,000 samples, from files in the IDX format.

The four files may lie as torchvision lays them below the data folder, or directly in it, each gzipped or not.
"""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cktf.data.augmentation.config import Augmentation
from cktf.data.dataset import Dataset, Kind
from cktf.data.files.places import DataPlace, data_folder, find_or_fetch
from cktf.errors import InputError

MNIST_KIND = Kind(10, channels=1, side=28, mean=(0.1307,), std=(0.3081,), augmentation=Augmentation(2, flip=False))
FASHION_MNIST_KIND = replace(
    MNIST_KIND,
    mean=(0.2860,),
    std=(0.3530,),
    augmentation=Augmentation(2, flip=True),
    class_names=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
)

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""

_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_LARGEST = 2**30  # bytes of one file, unpacked: twenty times those of MNIST
_REMEDY = "set data.download: true, or data.root to the folder that holds its four IDX files, gzipped or not"


def load_mnist(place: DataPlace) -> Dataset:
    """Return MNIST (LeCun, Bottou, Bengio and Haffner, 1998)."""
    return _load(place, "MNIST", MNIST_KIND, _REMEDY)


def load_fashion_mnist(place: DataPlace) -> Dataset:
    """Return Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017).

    Where no root is named, the files of Debian's package dataset-fashion-mnist will do.
    """
    elsewhere = [DEBIAN_FASHION_MNIST] if place.root is None else []
    remedy = f"{_REMEDY}, or install Debian's package dataset-fashion-mnist and leave data.root out"
    return _load(place, "FashionMNIST", FASHION_MNIST_KIND, remedy, elsewhere)


def _load(place: DataPlace, name: str, kind: Kind, remedy: str, elsewhere: Sequence[Path] = ()) -> Dataset:
    """Return the data set of a kind, which torchvision fetches under the name."""
    root = data_folder(place.root)

    def fetch(folder: Path) -> None:
        from torchvision import datasets  # here, since it takes seconds

        getattr(datasets, name)(folder, download=True)

    def is_whole(folder: Path) -> bool:
        return all(_path(folder, file).is_file() for file in _FILES)

    folder = find_or_fetch(place, [root / name / "raw", root, *elsewhere], is_whole, remedy, fetch)
    train, train_labels, test, test_labels = (_path(folder, file) for file in _FILES)
    return kind.dataset(
        *_read_part(train, train_labels, kind.num_classes), *_read_part(test, test_labels, kind.num_classes)
    )


def _path(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).is_file() else folder / f"{name}.gz"


def _read_part(images_path: Path, labels_path: Path, num_classes: int) -> tuple[Tensor, Tensor]:
    images, labels = _read_file(images_path, 3), _read_file(labels_path, 1).long()
    if len(images) != len(labels):
        raise InputError(
            f"data.root: {labels_path} holds {len(labels)} labels and {images_path} {len(images)} images; there must "
            "be one label for each image"
        )
    if (largest := int(labels.max())) >= num_classes:  # EMNIST has the same format and more classes
        raise InputError(
            f"data.root: {labels_path} holds labels up to {largest}; this data set has {num_classes} classes, labels 0 "
            f"to {num_classes - 1}"
        )
    return images[:, None], labels


def _read_file(path: Path, num_dimensions: int) -> Tensor:
    """Return the numbers of an IDX file, uint8: no more bytes of it are read than its header states."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            header = stream.read(4 * (1 + num_dimensions))
            if header[:4] != bytes((0, 0, 8, num_dimensions)) or len(header) < 4 * (1 + num_dimensions):
                raise _damaged(path, f"it does not begin as unsigned bytes in {num_dimensions} dimension(s) do")
            shape = struct.unpack(f">{num_dimensions}I", header[4:])
            size = math.prod(shape)
            if size > _LARGEST:
                raise _damaged(path, f"its header states {size:,} bytes")
            values = stream.read(size + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    if len(values) != size or not size:
        found = "more" if len(values) > size else f"{len(values):,}"
        raise _damaged(path, f"its header states {size:,} bytes, and it holds {found}")
    return torch.frombuffer(bytearray(values), dtype=torch.uint8).view(shape)


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"data.root: {path} is damaged, or is not an IDX file: {why}; if a download was killed, delete this "
        "file and set data.download: true, which fetches what is missing"
    )
