"""Small data sets in the true format of each real one, for tests and for trying a study out before the data are there.

What is drawn is learnable: every class is a pattern of its own, and a sample is that pattern under noise. Number of
classes, size and colour of the images, and every file are those of the real data set; there are only fewer samples.
"""

import gzip
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cktf.data.checksums import GENERATED, md5
from cktf.seeding import generator

_NUM_UNLABELLED = 200
_CLASSES_OF_A_FOLDER = 3


def generate(name: str, folder: Path) -> None:
    """Write the files of a data set, so that it is loaded with ``data.root`` set to ``folder``.

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
    folder.mkdir(parents=True, exist_ok=True)
    for part, file in (("train", "train"), ("test", "t10k")):
        labels = _labels(10, part)
        images = _draw(labels, part, channels=1, side=28)[:, 0]
        for kind, values in (("images-idx3", images), ("labels-idx1", labels.to(torch.uint8))):
            # Two zeros, the type (8: unsigned byte), the number of dimensions, their sizes, the values.
            header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
            content = gzip.compress(header + _bytes(values), mtime=0)
            (folder / f"{file}-{kind}-ubyte.gz").write_bytes(content)


def _write_cifar10(folder: Path) -> None:
    folder = folder / "cifar-10-batches-py"
    folder.mkdir(parents=True, exist_ok=True)
    labels = _labels(10, "train")
    images = _draw(labels, "train", channels=3, side=32)
    for number, (some_images, some_labels) in enumerate(
        zip(images.chunk(5), labels.chunk(5), strict=True), start=1
    ):
        _write_batch(folder / f"data_batch_{number}", some_images, labels=some_labels.tolist())
    labels = _labels(10, "test")
    images = _draw(labels, "test", channels=3, side=32)
    _write_batch(folder / "test_batch", images, labels=labels.tolist())
    _write_pickle(folder / "batches.meta", {"label_names": [f"class {label}" for label in range(10)]})
    _write_checksums(folder)


def _write_cifar100(folder: Path) -> None:
    folder = folder / "cifar-100-python"
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        labels = _labels(100, part)
        images = _draw(labels, part, channels=3, side=32)
        superclasses = (labels // 5).tolist()
        _write_batch(folder / part, images, fine_labels=labels.tolist(), coarse_labels=superclasses)
    names = {
        "fine_label_names": [f"class {label}" for label in range(100)],
        "coarse_label_names": [f"superclass {label}" for label in range(20)],
    }
    _write_pickle(folder / "meta", names)
    _write_checksums(folder)


def _write_batch(path: Path, images: Tensor, **labels: list[int]) -> None:
    # A row is the red plane of an image, then the green one, then the blue one.
    _write_pickle(path, {"data": images.flatten(1).numpy(), **labels})


def _write_pickle(path: Path, content: dict[str, Any]) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))  # the real ones were written by Python 2


def _write_stl10(folder: Path) -> None:
    folder = folder / "stl10_binary"
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        labels = _labels(10, part)
        (folder / f"{part}_y.bin").write_bytes(_bytes(labels.to(torch.uint8) + 1))  # counted from 1
        _write_columns(folder / f"{part}_X.bin", labels, part)
    _write_columns(folder / "unlabeled_X.bin", torch.arange(_NUM_UNLABELLED) % 10, "unlabelled")
    _write_checksums(folder)


def _write_columns(path: Path, labels: Tensor, part: str) -> None:
    images = _draw(labels, part, channels=3, side=96)
    path.write_bytes(_bytes(images.transpose(2, 3)))  # column by column


def _write_tiny_imagenet(folder: Path) -> None:
    folder = folder / "tiny-imagenet-200"
    classes = [f"n{90_000_000 + label}" for label in range(200)]
    labels = _labels(200, "train")
    images = _draw(labels, "train", channels=3, side=64)
    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        wnid = classes[label]
        _write_image(folder / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", image)
    lines = []
    labels = _labels(200, "test")
    for number, image in enumerate(_draw(labels, "test", channels=3, side=64)):
        _write_image(folder / "val" / "images" / f"val_{number}.JPEG", image)
        lines.append(
            f"val_{number}.JPEG\t{classes[labels[number]]}\t0\t0\t63\t63\n"
        )  # the box is the whole image
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    (folder / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in classes))


def _write_image_folder(folder: Path) -> None:
    for part, file in (("train", "train"), ("test", "val")):
        labels = _labels(_CLASSES_OF_A_FOLDER, part)
        # Neither square nor of one size, and of two formats.
        for number, (image, label) in enumerate(
            zip(_draw(labels, part, channels=3, side=80), labels, strict=True)
        ):
            suffix = ("jpg", "png")[number % 2]
            path = folder / file / f"class_{label}" / f"{number}.{suffix}"
            _write_image(path, image[:, : 60 + number % 20])


def _write_image(path: Path, image: Tensor) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(path)  # PIL has the channels last


def _write_checksums(folder: Path) -> None:
    sums = {path.name: md5(path) for path in sorted(folder.iterdir()) if path.name != GENERATED}
    (folder / GENERATED).write_text(json.dumps(sums, indent=1))


def _labels(num_classes: int, part: str) -> Tensor:
    of_a_class = {"train": 20, "test": 5} if num_classes < 100 else {"train": 4, "test": 1}
    labels = torch.arange(num_classes).repeat(of_a_class[part])
    return labels[torch.randperm(len(labels), generator=generator(0, "generated labels", part))]


def _draw(labels: Tensor, part: str, *, channels: int, side: int) -> Tensor:
    """Return one image for each label: its class's pattern of 4x4 fields, under noise.

    Args:
        labels: (samples,), int64.
        part: Keys the noise.
        channels: Of an image.
        side: Of an image, in pixels.

    Returns:
        (samples, channels, side, side), uint8.
    """
    patterns = [
        torch.rand(channels, 4, 4, generator=generator(0, "generated class", label))
        for label in range(int(labels.max()) + 1)
    ]
    fields = functional.interpolate(torch.stack(patterns), size=(side, side))
    noise = torch.rand(len(labels), channels, side, side, generator=generator(0, "generated noise", part))
    return (160 * fields[labels] + 95 * noise).to(torch.uint8)


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
}
