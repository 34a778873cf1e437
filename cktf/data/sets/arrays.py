"""The user's own images in NumPy's arrays: a `.npz` file, or a folder of `.npy` files. Nothing is unpickled."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from cktf.data.dataset import Dataset, resize
from cktf.data.files.mapped import mapped_images
from cktf.data.files.places import DataPlace, DatasetMissing, data_folder, files_digest, shown, size_in_words, some_of
from cktf.data.sets.own import TEST_PARTS, own_dataset, test_part
from cktf.errors import InputError

ARRAYS = "arrays"
"""Name of the data set."""

_NAMES = (("{}_images", "{}_labels"), ("x_{}", "y_{}"), ("{}_x", "{}_y"), ("{}_data", "{}_labels"))
"""Images and labels of a part, in small letters."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_MOST_PACKED = 200  # times its packed size
_SMALL = 2**24  # bytes that may be packed as closely as they can
_MOST_LABELS = 2**28
_AT_A_TIME = 2**26  # bytes in memory while images are rewritten


@dataclass(frozen=True)
class _Member:
    """One array: a file, or a member of an archive.

    Attributes:
        path: The file.
        inside: Name within the archive; empty if the file is the array.
    """

    path: Path
    inside: str = ""

    @property
    def name(self) -> str:
        """Its name, for messages."""
        return f"{shown(self.path)}{f': {ascii(self.inside)[1:-1]}' if self.inside else ''}"

    @contextmanager
    def open(self) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[np.generic]]]:
        """Yield its numbers, their shape and their type."""
        try:
            with zipfile.ZipFile(self.path) if self.inside else self.path.open("rb") as file:
                yield self._begin(file)
        except InputError:
            raise
        except (
            *(ValueError, EOFError, KeyError, RuntimeError, OverflowError, SyntaxError, TypeError, MemoryError),
            *(zipfile.BadZipFile, zlib.error),
        ) as error:
            raise InputError(f"data.root: {self.name} is damaged, or no array of NumPy: {str(error)[:200]}") from error

    def _begin(self, file: IO[bytes] | zipfile.ZipFile) -> tuple[IO[bytes], tuple[int, ...], np.dtype[np.generic]]:
        size = self.path.stat().st_size
        if isinstance(file, zipfile.ZipFile):
            info = file.getinfo(self.inside)
            if info.file_size > max(_MOST_PACKED * info.compress_size, _SMALL):
                raise InputError(
                    f"data.root: {self.name} has {size_in_words(info.compress_size)} and unpacks to "
                    f"{size_in_words(info.file_size)}; at most {_MOST_PACKED} times as many are read"
                )
            file, size = file.open(info), info.file_size
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise InputError(f"data.root: {self.name} is of NumPy's format {version}, which is not read")
        shape, is_by_columns, dtype = _HEADERS[version](file)
        if math.prod(shape) * dtype.itemsize > size and not dtype.hasobject:
            raise InputError(f"data.root: {self.name} is damaged: it has fewer bytes than its header states")
        if is_by_columns and len(shape) > 1:
            raise InputError(
                f"data.root: {self.name} is in Fortran's order, column by column; save np.ascontiguousarray of it"
            )
        return file, shape, dtype


def load_arrays(place: DataPlace) -> Dataset:
    """Return the images of arrays; classes are the labels 0, 1, 2, ...

    Images are uint8, (samples, height, width), (samples, height, width, channels) or (samples, channels, height,
    width) with 1 or 3 channels; labels are whole numbers, one for each image.

    Raises:
        DatasetMissing: If there are no arrays.
        ValueError: If a part is missing, or arrays are damaged or of another type or shape.
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
    test, remarks = test_part(parts, f"{shown(root)} holds {some_of([ascii(name)[1:-1] for name in members], 8)}")
    read = [(_images(parts[name][0], place.side), _labels(parts[name][1])) for name in ("train", test)]
    return own_dataset(read[0], read[1], (parts["train"][1].name, parts[test][1].name), remarks)


def arrays_digest(root: str | None) -> str | None:
    """Return the SHA-256 of an archive, or of the names and bytes of all arrays in a folder; None if there are none."""
    members = _members(root)
    return files_digest({name if not each.inside else "": each.path for name, each in members.items()})


def _members(root: str | None) -> dict[str, _Member]:
    """Return name, in small letters, to array, sorted."""
    place = data_folder(root)
    if place.is_dir():
        if arrays := sorted(path for path in place.glob("*.npy") if path.is_file()):
            return {path.stem.lower(): _Member(path) for path in arrays}
        archives = [path for path in place.glob("*.npz") if path.is_file()]
        if len(archives) != 1:
            return {}
        place = archives[0]
    if not place.is_file():
        return {}
    try:
        with zipfile.ZipFile(place) as archive:
            names = sorted(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"data.root: {shown(place)} is damaged, or is no .npz file: {error}") from error
    return {name.removesuffix(".npy").lower(): _Member(place, name) for name in names}


def _images(member: _Member, side: int | None) -> Tensor:
    with member.open() as (_, shape, dtype):
        if dtype != np.uint8:
            raise InputError(f"data.root: {member.name} is of type {dtype}; images are whole numbers 0 to 255, uint8")
        channels_at = _channels_at(member, shape)
    channels, height, width = 1, *shape[1:3]
    if channels_at:
        channels = shape[channels_at]
        height, width = shape[1:3] if channels_at == 3 else shape[2:]
    if min(shape) < 1:
        raise InputError(f"data.root: {member.name} is of shape {shape}; one image or more is needed")
    state = member.path.stat()
    sources = [member.path.absolute(), member.inside, state.st_size, state.st_mtime_ns, side]
    made = shape[0], channels, side or height, side or width
    return mapped_images(ARRAYS, sources, made, partial(_pixels, member, channels_at, side))


def _channels_at(member: _Member, shape: tuple[int, ...]) -> int:
    """Return the dimension of the channels; 0 for grey images without one."""
    if len(shape) == 3:
        return 0
    found = [at for at in (1, 3) if len(shape) == 4 and shape[at] in (1, 3)]
    if len(found) != 1:
        why = "1 or 3 channels may be the second or the last" if found else "no dimension is one of 1 or 3 channels"
        raise InputError(
            f"data.root: {member.name} is of shape {shape}, where {why}; images are (samples, height, width), "
            "(samples, height, width, channels) or (samples, channels, height, width)"
        )
    return found[0]


def _pixels(member: _Member, channels_at: int, side: int | None) -> Iterator[Tensor]:
    with member.open() as (stream, shape, _):
        of_one = math.prod(shape[1:])
        at_a_time = max(1, _AT_A_TIME // of_one)
        for start in range(0, shape[0], at_a_time):
            number = min(at_a_time, shape[0] - start)
            images = torch.from_numpy(_numbers(stream, number * of_one, np.dtype(np.uint8))).view(number, *shape[1:])
            images = images.unsqueeze(1) if not channels_at else images.movedim(channels_at, 1)
            if side is not None:
                height, width = images.shape[2:]
                square = min(height, width)
                images = images.narrow(2, (height - square) // 2, square).narrow(3, (width - square) // 2, square)
                images = resize(images.contiguous(), side)
            yield images.contiguous()


def _labels(member: _Member) -> Tensor:
    with member.open() as (stream, shape, dtype):
        is_flat = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
        if dtype.kind not in "iu" or not is_flat or not 0 < shape[0] <= _MOST_LABELS:
            raise InputError(
                f"data.root: {member.name} is of type {dtype} and shape {shape}; labels are one whole number for each "
                "image"
            )
        return torch.from_numpy(_numbers(stream, shape[0], dtype).astype(np.int64))


def _numbers(
    stream: IO[bytes], number: int, dtype: np.dtype[np.generic]
) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    content = bytearray(stream.read(number * dtype.itemsize))
    if len(content) != number * dtype.itemsize:
        raise ValueError("it has fewer bytes than its header states")
    return np.frombuffer(content, dtype)
