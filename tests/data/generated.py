"""Writers of small data sets, each in the files of the real one: same classes, sides and colours, fewer samples."""

import gzip
import pickle
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet
from torch import Tensor

from cktf.data.generated import patterned
from cktf.seeding import generator


def generate(name: str, folder: Path) -> None:
    """Write the files of a data set, so that it is loaded with ``root`` set to ``folder``, and not verified.

    The same files are written every time. A class has 20 samples to train on and 5 to test with, or 4 and 1 where there
    are 100 classes or more.

    Args:
        name: A key of `cktf.data.DATASETS`; for ``digits``, which are bundled, nothing is written.
        folder: Is made where it is not there yet; each data set has its own place in it.

    Raises:
        KeyError: If the name is unknown.
        OSError: If the folder cannot be written.
    """
    _WRITERS[name](folder)


def _write_digits(_: Path) -> None:
    """Write nothing: these come with scikit-learn."""


def _write_mnist(folder: Path) -> None:
    _write_idx(folder / "MNIST" / "raw")


def _write_fashion_mnist(folder: Path) -> None:
    _write_idx(folder / "FashionMNIST" / "raw")


def _write_idx(folder: Path) -> None:
    for part, file in (("train", "train"), ("test", "t10k")):
        images, labels = _samples(part, num_classes=10, channels=1, side=28)
        for kind, values in (("images-idx3", images[:, 0]), ("labels-idx1", labels.to(torch.uint8))):
            # Two zeros, the type (8: unsigned byte), the number of dimensions, their sizes, the values.
            header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
            _write(folder / f"{file}-{kind}-ubyte.gz", gzip.compress(header + _bytes(values), mtime=0))


def _write_cifar10(folder: Path) -> None:
    folder = folder / "cifar-10-batches-py"
    images, labels = _samples("train", num_classes=10, channels=3, side=32)
    for batch in range(5):
        some = slice(batch, None, 5)
        _write_batch(folder / f"data_batch_{batch + 1}", images[some], labels=labels[some].tolist())
    images, labels = _samples("test", num_classes=10, channels=3, side=32)
    _write_batch(folder / "test_batch", images, labels=labels.tolist())
    _write_pickle(folder / "batches.meta", {"label_names": [f"class {label}" for label in range(10)]})


def _write_cifar100(folder: Path) -> None:
    folder = folder / "cifar-100-python"
    for part in ("train", "test"):
        images, labels = _samples(part, num_classes=100, channels=3, side=32)
        superclasses = (labels // 5).tolist()
        _write_batch(folder / part, images, fine_labels=labels.tolist(), coarse_labels=superclasses)
    names = {
        "fine_label_names": [f"class {label}" for label in range(100)],
        "coarse_label_names": [f"superclass {label}" for label in range(20)],
    }
    _write_pickle(folder / "meta", names)


def _write_batch(path: Path, images: Tensor, **labels: list[int]) -> None:
    # A row is the red plane of an image, then the green one, then the blue one.
    _write_pickle(path, {"data": images.flatten(1).numpy(), **labels})


def _write_pickle(path: Path, content: dict[str, Any]) -> None:
    _write(path, pickle.dumps(content, protocol=2))  # the real ones were written by Python 2


def _write_stl10(folder: Path) -> None:
    folder = folder / "stl10_binary"
    for part, file in (("train", "train"), ("test", "test"), ("unlabelled", "unlabeled")):
        images, labels = _samples(part, num_classes=10, channels=3, side=96)
        _write(folder / f"{file}_X.bin", _bytes(images.transpose(2, 3)))  # column by column
        if part != "unlabelled":
            _write(folder / f"{file}_y.bin", _bytes(labels.to(torch.uint8) + 1))  # counted from 1


def _write_tiny_imagenet(folder: Path) -> None:
    folder = folder / "tiny-imagenet-200"
    classes = [f"n{90_000_000 + label}" for label in range(200)]
    images, labels = _samples("train", num_classes=200, channels=3, side=64)
    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        wnid = classes[label]
        _write_image(folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", image)
    lines = []
    images, labels = _samples("test", num_classes=200, channels=3, side=64)
    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        _write_image(folder / "val" / "images" / f"val_{number}.JPEG", image)
        lines.append(f"val_{number}.JPEG\t{classes[label]}\t0\t0\t63\t63\n")  # the box is the whole image
    _write(folder / "val" / "val_annotations.txt", "".join(lines).encode())
    _write(folder / "wnids.txt", "".join(f"{wnid}\n" for wnid in classes).encode())


def _write_image_folder(folder: Path) -> None:
    for part, file in (("train", "train"), ("test", "val")):
        images, labels = _samples(part, num_classes=3, channels=3, side=80)
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            # Neither square nor of one size, and of two formats.
            suffix = ("jpg", "png")[number % 2]
            _write_image(folder / file / f"class_{label}" / f"{number}.{suffix}", image[:, : 60 + number % 20])


def _write_arrays(folder: Path) -> None:
    arrays: dict[str, Any] = {}
    for part in ("train", "test"):
        images, labels = _samples(part, num_classes=3, channels=3, side=32)
        arrays |= {f"{part}_images": images.movedim(1, 3).numpy(), f"{part}_labels": labels.numpy()}
    np.savez_compressed(folder / "arrays.npz", **arrays)


def _write_huggingface(folder: Path) -> None:
    for part in ("train", "test"):
        images, labels = _samples(part, num_classes=3, channels=3, side=32)
        rows = [{"bytes": png(image), "path": f"{row}.png"} for row, image in enumerate(images)]
        path = folder / "data" / f"{part}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        parquet.write_table(pa.table({"image": rows, "label": labels.tolist()}), path)


def png(image: Tensor) -> bytes:
    """Return an image (3, height, width), uint8, as a PNG."""
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(stream, "png")
    return stream.getvalue()


def _write_image(path: Path, image: Tensor) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(path)  # PIL has the channels last


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _samples(part: str, *, num_classes: int, channels: int, side: int) -> tuple[Tensor, Tensor]:
    """Return images and labels in a random order: of each class its pattern of 4x4 fields, under noise.

    Args:
        part: ``train``, ``test`` or ``unlabelled``.
        num_classes: All have the same number of samples.
        channels: Of an image.
        side: Of an image, in pixels.

    Returns:
        (samples, channels, side, side), uint8, and (samples,), int64.
    """
    of_a_class = {"train": 20, "test": 5, "unlabelled": 20} if num_classes < 100 else {"train": 4, "test": 1}
    labels = torch.arange(num_classes).repeat(of_a_class[part])
    labels = labels[torch.randperm(len(labels), generator=generator(0, "generated labels", part))]
    return patterned(labels, num_classes, (channels, side, side), part), labels


def _bytes(values: Tensor) -> bytes:
    return values.contiguous().numpy().tobytes()


_WRITERS: dict[str, Callable[[Path], None]] = {
    "digits": _write_digits,
    "fashion_mnist": _write_fashion_mnist,
    "mnist": _write_mnist,
    "cifar10": _write_cifar10,
    "cifar100": _write_cifar100,
    "tiny_imagenet": _write_tiny_imagenet,
    "stl10": _write_stl10,
    "image_folder": _write_image_folder,
    "arrays": _write_arrays,
    "huggingface": _write_huggingface,
}
