"""A data set of one's own, or one of ImageNet's kind: a folder for each class, images of any size in it.

root/train/<class>/<image>    learnt from and validated on
root/test/<class>/<image>     the test part; root/val where test/ is not there or, as ImageNet's, has no classes

Folders that begin with a dot, and those of file servers and systems (`SERVICE_FOLDERS`), are no classes.
"""

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from cktf.data.augmentation import Augmentation
from cktf.data.config import DataConfig
from cktf.data.dataset import Dataset
from cktf.data.image_files import image_names, read_image_files
from cktf.data.places import DatasetMissing, data_folder
from cktf.errors import InputError

SERVICE_FOLDERS = frozenset(
    {
        *("@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin"),
        *("lost+found", "__macosx", "system volume information"),
    }
)
"""Names, in small letters, of folders that file servers, systems and archivers put beside those of their users."""


def load_image_folder(config: DataConfig) -> Dataset:
    """Return the images of a folder, decoded once; classes are numbered in the order of their folders' names.

    Images are those files directly in a class's folder whose names end as one of PIL's formats does; all are read in
    colour: upright, as their EXIF data ask; 16-bit grey scaled to 8 bits; what is transparent laid on white. Mean and
    deviation are ImageNet's, which networks with published weights expect.

    Raises:
        DatasetMissing: If the folder is not laid out like this.
        ValueError: If ``config.side`` is not set, a class has no images, two classes are one folder, a file is damaged
            or of a mode without a stated range, or the folder does not have ``config.content``.
    """
    if config.side is None:
        raise InputError(
            "data.side: image_folder has images of any size; set the side in pixels to which they are scaled"
        )
    root = data_folder(config.root)
    train, test = root / "train", root / "test"
    if not _classes(test):
        test = root / "val"
    classes = _classes(train)
    if not classes or not _classes(test):
        remedy = "set data.root to a folder with train/<class>/<image>, and test/ or val/ likewise"
        raise DatasetMissing(config.name, [train, root / "test", root / "val"], remedy)
    asked = config.content if config.is_own else None
    found = folder_digest(config.root) if asked else None
    if found != asked:
        raise InputError(
            f"data.root: {root} does not hold the images that were asked for: the SHA-256 of its files' names and "
            f"sizes is {found}, not {asked}"
        )
    unknown = sorted(set(_classes(test)) - set(classes))
    if unknown:
        raise InputError(
            f"data.root: {test / unknown[0]} has no counterpart in {train}, so nothing is learnt about it"
        )
    _refuse_same([*_folders(train), *_folders(test)])
    is_kept = not config.generated
    train_files, train_labels = _files(train, classes)
    test_files, test_labels = _files(test, classes)
    return Dataset(
        train_images=read_image_files("image_folder-train", train_files, config.side, is_kept=is_kept),
        train_labels=train_labels,
        test_images=read_image_files(f"image_folder-{test.name}", test_files, config.side, is_kept=is_kept),
        test_labels=test_labels,
        num_classes=len(classes),
        mean=torch.tensor([0.485, 0.456, 0.406]),
        std=torch.tensor([0.229, 0.224, 0.225]),
        standard_augmentation=Augmentation(crop=0, flip=True, resized_crop=True),
    )


def folder_digest(root: str | None) -> str | None:
    """Return the SHA-256 of the names and sizes of a folder's images; None where this machine has none there."""
    folder = data_folder(root)
    parts = [folder / name for name in ("train", "test", "val")]
    changed = tuple(
        path.stat().st_mtime_ns for part in parts for path in (part, *_folders(part)) if path.is_dir()
    )
    return _digest(folder, changed) if changed else None


@lru_cache  # a study makes the configurations of all its arms, and checks each
def _digest(folder: Path, _changed: tuple[int, ...]) -> str:
    digest = hashlib.sha256()
    for name, size in _sizes(folder):
        digest.update(f"{size} {name}\n".encode())
    return digest.hexdigest()


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the name within the folder and the size of each image, in order."""
    for part in ("train", "test", "val"):
        for of_class in _folders(folder / part):
            with os.scandir(of_class) as entries:
                sizes = {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
            for name in image_names(of_class):
                yield f"{part}/{of_class.name}/{name}", sizes[name]


def _folders(part: Path) -> list[Path]:
    return [part / name for name in _classes(part)]


def _refuse_same(folders: list[Path]) -> None:
    """Refuse links by which one folder is two classes, or the same images are learnt from and tested on."""
    found: dict[Path, Path] = {}
    for folder in folders:
        if (other := found.setdefault(folder.resolve(), folder)) is not folder:
            raise InputError(
                f"data.root: {folder} and {other} are one and the same folder, by way of a link; each class needs a "
                "folder of its own in each part"
            )


def _classes(part: Path) -> list[str]:
    if not part.is_dir():
        return []
    return sorted(path.name for path in part.iterdir() if path.is_dir() and not _is_service(path.name))


def _is_service(name: str) -> bool:
    return name.startswith(".") or name.lower() in SERVICE_FOLDERS


def _files(part: Path, classes: list[str]) -> tuple[list[Path], Tensor]:
    files, labels = [], []
    for label, name in enumerate(classes):
        folder = part / name
        names = image_names(folder)
        if not names:
            raise InputError(
                f"data.root: {folder} holds no images; every class of {part.parent / 'train'} needs some"
            )
        files += [folder / image for image in names]
        labels += [label] * len(names)
    return files, torch.tensor(labels)
