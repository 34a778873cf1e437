"""STL-10, 96x96 colour, 5,000 and 8,000 samples, and 100,000 without labels (Coates, Ng and Lee, 2011)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cktf.data.augmentation.config import Augmentation
from cktf.data.dataset import Dataset, Kind, resize
from cktf.data.files.mapped import mapped_images
from cktf.data.files.places import DataPlace
from cktf.data.files.published import STL10
from cktf.errors import InputError

_SIDE = 96

STL10_KIND = Kind(
    num_classes=10,
    channels=3,
    side=_SIDE,
    mean=(0.4467, 0.4398, 0.4066),
    std=(0.2603, 0.2566, 0.2713),
    augmentation=Augmentation(crop=0, flip=True, resized_crop=True),
    has_unlabelled=True,
    class_names=("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
)

_IMAGE_BYTES = 3 * _SIDE * _SIDE
_AT_A_TIME = 1000  # images in memory while a file is rewritten


def load_stl10(place: DataPlace) -> Dataset:
    """Return STL-10 and its unlabelled images.

    In the CKTF paper's transfer learning (figure 2) networks see 64x64 pixels cut out of the 96x96 images: that is
    ``side: 64`` and ``crop_from: 96``. The files hold images column by column; they are rewritten once, row by row and
    at the side that is asked for, and mapped from then on.
    """
    folder = STL10.find(place)
    train, test, unlabelled = (_read_images(folder / f"{part}_X.bin", place) for part in ("train", "test", "unlabeled"))
    train_labels = _read_labels(folder / "train_y.bin", len(train), verify=place.verify)
    test_labels = _read_labels(folder / "test_y.bin", len(test), verify=place.verify)
    if place.fold is not None:
        rows = _fold(folder / "fold_indices.txt", place.fold, len(train))
        train, train_labels = train[rows], train_labels[rows]
    return STL10_KIND.dataset(train, train_labels, test, test_labels, unlabelled)


def _fold(path: Path, number: int, num_samples: int) -> Tensor:
    """Return the rows that a fold's line lists, int64; folds count from 0."""
    if not path.is_file():
        raise InputError(f"data.fold: {path} is missing, or is no file")
    lines = path.read_bytes().splitlines()
    words = lines[number].split() if number < len(lines) else []
    rows = [int(word) for word in words if word.isdigit() and len(word) < 9]
    if not rows or len(rows) < len(words) or len({*rows}) < len(rows) or max(rows) >= num_samples:
        raise InputError(
            f"data.fold: {path}, line {number + 1}: must list different rows of the {num_samples:,} training "
            f"images, 0 to {num_samples - 1}, with blanks between them"
        )
    return torch.tensor(rows)


def _read_images(path: Path, place: DataPlace) -> Tensor:
    state, side = path.stat(), place.side or _SIDE
    if not state.st_size or state.st_size % _IMAGE_BYTES:
        raise InputError(f"data.root: {path} is damaged: it has {state.st_size} bytes, and each image {_IMAGE_BYTES}")
    sources = [path.absolute(), state.st_size, state.st_mtime_ns, side, *([] if place.verify else ["not verified"])]
    shape = (state.st_size // _IMAGE_BYTES, 3, side, side)
    return mapped_images(f"stl10-{path.stem}", sources, shape, lambda: _row_by_row(path, side, verify=place.verify))


def _row_by_row(path: Path, side: int, *, verify: bool) -> Iterator[Tensor]:
    STL10.check(path, verify=verify)
    pixels = np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, 3, _SIDE, _SIDE)
    for start in range(0, len(pixels), _AT_A_TIME):
        # The file has the columns before the rows.
        some = pixels[start : start + _AT_A_TIME].transpose(0, 1, 3, 2)
        yield resize(torch.from_numpy(some.copy()), side)


def _read_labels(path: Path, num_samples: int, *, verify: bool) -> Tensor:
    STL10.check(path, verify=verify)
    if (num_labels := path.stat().st_size) != num_samples:
        raise InputError(f"data.root: {path} holds {num_labels} labels for {num_samples} images")
    labels = torch.from_numpy(np.fromfile(path, dtype=np.uint8)).long() - 1  # the file counts from 1
    if not ((labels >= 0) & (labels < STL10_KIND.num_classes)).all():
        raise InputError(f"data.root: {path} holds labels other than 1 to {STL10_KIND.num_classes}")
    return labels
