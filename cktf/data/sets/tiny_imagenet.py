"""Tiny-ImageNet, 64x64 colour, 200 classes, 100,000 and 10,000 samples (Le and Yang, 2015)."""

import shutil
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cktf.data.augmentation.config import Augmentation
from cktf.data.dataset import Dataset, Kind
from cktf.data.files.image_files import read_image_files
from cktf.data.files.image_layout import entries_of, images_in
from cktf.data.files.places import DataPlace, data_folder, find_or_fetch
from cktf.errors import InputError, shown

ARCHIVE = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
"""Address of the archive, on its authors' server."""

ARCHIVE_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"

TINY_IMAGENET_KIND = Kind(
    num_classes=200,
    channels=3,
    side=64,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    augmentation=Augmentation(crop=0, flip=True, resized_crop=True),
)

_NUM_CLASSES = TINY_IMAGENET_KIND.num_classes
_UNPACKED = "tiny-imagenet-200"


def load_tiny_imagenet(place: DataPlace) -> Dataset:
    """Return Tiny-ImageNet; classes are numbered in the order of their sorted WordNet ids.

    The labels of its own test part were never published, so the test part here is its labelled `val` part, as it is
    throughout the literature. It may also lie as it is often rearranged: ``val/<class>/images/`` or ``val/<class>/``.
    Normalisation and augmentation are those of the published code.
    """
    root = data_folder(place.root)
    remedy = f"set data.download: true, or unpack {ARCHIVE} and set data.root to the folder that holds {_UNPACKED}/"
    folder = find_or_fetch(
        place, [root / _UNPACKED, root], lambda folder: (folder / "wnids.txt").is_file(), remedy, _download
    )
    classes = _classes(folder / "wnids.txt")
    train_files, train_labels = _files_by_class(folder / "train", classes)
    is_rearranged = all((folder / "val" / wnid).is_dir() for wnid in classes)
    test_files, test_labels = (_files_by_class if is_rearranged else _annotated_files)(folder / "val", classes)
    parts = {"train": train_files, "val": test_files}
    train_images, test_images = read_image_files(place.name, parts, place.side or TINY_IMAGENET_KIND.side)
    kind = replace(TINY_IMAGENET_KIND, class_names=tuple(classes))
    return kind.dataset(train_images, train_labels, test_images, test_labels)


def _download(root: Path) -> None:
    from torchvision.datasets.utils import download_and_extract_archive  # here, since it takes seconds

    # Unpacked elsewhere, so that the folder is whole once it is there.
    partial = root / f"{_UNPACKED}.partial"
    download_and_extract_archive(ARCHIVE, str(root), str(partial), md5=ARCHIVE_MD5)
    (partial / _UNPACKED).rename(root / _UNPACKED)
    shutil.rmtree(partial)


def _classes(path: Path) -> list[str]:
    classes = sorted(_text(path).split())
    if len(set(classes)) != _NUM_CLASSES:
        raise InputError(f"data.root: {path} names {len(set(classes))} classes; there must be {_NUM_CLASSES}")
    return classes


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"data.root: {path} is missing, or is no file; unpack the data set anew")
    return path.read_text("utf-8", errors="replace")


def _files_by_class(folder: Path, classes: list[str]) -> tuple[list[Path], Tensor]:
    files = []
    for wnid in classes:
        images = images_in(folder / wnid)
        files.append([images / name for name in entries_of(images).images])
    fewest, most = min(files, key=len), max(files, key=len)
    if len(fewest) != len(most) or not most:  # the data set is balanced, so unequal classes were unpacked in part
        place = folder / classes[files.index(fewest)]
        raise InputError(
            f"data.root: {place} holds {len(fewest)} images and other classes {len(most)}; unpack the data set anew"
        )
    return [file for of_class in files for file in of_class], torch.arange(_NUM_CLASSES).repeat_interleave(len(most))


def _annotated_files(folder: Path, classes: list[str]) -> tuple[list[Path], Tensor]:
    path = folder / "val_annotations.txt"
    numbers = {wnid: number for number, wnid in enumerate(classes)}
    names, labels = [], []
    # A line is the file's name, its class and four sides of a box, with tabs between them.
    for number, line in enumerate(_text(path).splitlines(), start=1):
        name, wnid, *_ = [*line.split("\t"), ""]
        if wnid not in numbers:
            raise InputError(f"data.root: {path}, line {number}: {shown(line)} does not name a file and its class")
        names.append(name)
        labels.append(numbers[wnid])
    if not names:
        raise InputError(f"data.root: {path} names no images; unpack the data set anew")
    images = folder / "images"
    if absent := sorted(set(names) - set(entries_of(images).images)):
        raise InputError(f"data.root: {images / absent[0]}, which {path} names, is missing; unpack the data set anew")
    return [images / name for name in names], torch.tensor(labels)
