"""The user's own images in NumPy's arrays: a `.npz` file, or a folder of `.npy` files. Nothing is unpickled."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cktf.data.dataset import Dataset, resize
from cktf.data.files.mapped import as_tensor
from cktf.data.files.places import DataPlace, DatasetMissing, data_folder, files_digest, some_of
from cktf.data.sets.own import TEST_PARTS, own_dataset, test_part
from cktf.errors import InputError

ARRAYS = "arrays"
"""Name of the data set."""

_NAMES = (("{}_images", "{}_labels"), ("x_{}", "y_{}"), ("{}_x", "{}_y"), ("{}_data", "{}_labels"))
"""Names of the arrays of a part's images and labels, in lower case."""


def load_arrays(place: DataPlace) -> Dataset:
    """Return the images of arrays, mapped where they are `.npy` files; classes are the labels 0, 1, 2, ...

    Images are uint8, (samples, height, width), (samples, height, width, channels) or (samples, channels, height,
    width) with 1 or 3 channels; labels are whole numbers, one for each image.
    """
    root, members = data_folder(place.root), _members(place.root)
    if not members:
        what = "no such file or folder is there" if not root.exists() else "it holds neither .npy files nor one .npz"
        remedy = "set data.root to a .npz file, or a folder of .npy files, with train_images, train_labels, test_images"
        raise DatasetMissing(ARRAYS, [root], f"{remedy} and test_labels", what)
    parts = {
        part: (members[images], members[labels])
        for part in ("train", *TEST_PARTS)
        for images, labels in reversed([[name.format(part) for name in pair] for pair in _NAMES])
        if images in members and labels in members
    }
    test, remarks = test_part(parts, f"{root} holds {some_of([*members], 8)}")
    read = [(_images(*parts[name][0], place.side), _labels(*parts[name][1])) for name in ("train", test)]
    return own_dataset(read[0], read[1], (_name(*parts["train"][1]), _name(*parts[test][1])), remarks)


def arrays_digest(root: str | None) -> str | None:
    """Return the SHA-256 of an archive, or of the names and bytes of all arrays in a folder; None if there are none."""
    return files_digest({"" if inside else name: path for name, (path, inside) in _members(root).items()})


def _members(root: str | None) -> dict[str, tuple[Path, str]]:
    """Return, by each array's name in lower case, its file and, in an archive, its name there."""
    place = data_folder(root)
    if place.is_dir():
        if arrays := sorted(path for path in place.glob("*.npy") if path.is_file()):
            return {path.stem.lower(): (path, "") for path in arrays}
        archives = [path for path in place.glob("*.npz") if path.is_file()]
        place = archives[0] if len(archives) == 1 else place
    if not place.is_file():
        return {}
    try:
        with zipfile.ZipFile(place) as archive:
            names = sorted(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"data.root: {place} is damaged, or is no .npz file: {error}") from error
    return {name.removesuffix(".npy").lower(): (place, name) for name in names}


def _name(path: Path, inside: str) -> str:
    return f"{path}: {inside}" if inside else str(path)


def _array(path: Path, inside: str) -> np.ndarray[Any, Any]:
    """Return an array, mapped from a `.npy` file or read from an archive."""
    try:
        if not inside:
            return np.lib.format.open_memmap(path, mode="r")
        with zipfile.ZipFile(path) as archive, archive.open(inside) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # a damaged file raises whatever its bytes lead the reader to
        why = str(error)[:200]
        raise InputError(f"data.root: {_name(path, inside)} is damaged, or no array of numbers: {why}") from error


def _images(path: Path, inside: str, side: int | None) -> Tensor:
    """Return images (samples, channels, height, width), cut square and scaled to ``side`` if it is set."""
    pixels = _array(path, inside)
    shape = pixels.shape
    channels_at = [at for at in (1, 3) if len(shape) == 4 and shape[at] in (1, 3)]
    if pixels.dtype != np.uint8 or not pixels.size or (len(shape) != 3 and len(channels_at) != 1):
        raise InputError(
            f"data.root: {_name(path, inside)} is of type {pixels.dtype} and shape {shape}; images are uint8, one or "
            "more, and (samples, height, width), (samples, height, width, channels) or (samples, channels, height, "
            "width), where either the last or the second is of 1 or 3 channels"
        )
    images = as_tensor(pixels)
    images = images.movedim(channels_at[0], 1) if channels_at else images.unsqueeze(1)
    return (images if side is None else resize(images, side)).contiguous()


def _labels(path: Path, inside: str) -> Tensor:
    labels = _array(path, inside)
    if labels.dtype.kind not in "iu" or labels.shape not in ((labels.size,), (labels.size, 1)) or not labels.size:
        raise InputError(
            f"data.root: {_name(path, inside)} is of type {labels.dtype} and shape {labels.shape}; labels are one "
            "whole number for each image"
        )
    return torch.from_numpy(labels.astype(np.int64).reshape(-1))
