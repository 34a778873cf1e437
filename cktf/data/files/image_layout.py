"""The layout of a folder of images: a folder for each part, in it a folder for each class, in that the images.

root/train/<class>/<image>    training and validation
root/test/<class>/<image>     the test part; root/val or root/valid if test/ is not there or, as ImageNet's, has no
                              classes; with none of these, a share of each class in train/

The images of a class may also lie in <class>/images/, as Tiny-ImageNet's do.
Folders that begin with a dot, and those of file servers and systems (`SERVICES`), are no classes.
"""

import difflib
import hashlib
import os
import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from cktf.data.files.places import DatasetMissing, data_folder, some_of
from cktf.errors import InputError

IMAGE_FOLDER = "image_folder"
"""Name of the data set that is a user's own folder."""

TEST_PARTS = ("test", "val", "valid")
"""Folders of the test part; the first of them that has classes is read."""

DRAWN_SHARE = 0.2
"""Share of each class's images that is the test part if no folder holds one."""

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".png", ".apng", ".gif", ".webp", ".avif"),
        *(".tif", ".tiff", ".bmp", ".dib", ".tga", ".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
"""Endings, in small letters, of the files that count as images."""

SERVICES = frozenset(
    {
        *("@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin"),
        *("lost+found", "__macosx", "system volume information"),
        *("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"),
    }
)
"""Names, in lower case, of files and folders that file servers, operating systems and archivers add."""

_PARTS = ("train", *TEST_PARTS)

_NAMES_OF_TESTS = frozenset({"test", "testing", "tst", "eval", "evaluation", "val", "valid", "validation", "dev"})
"""Folder names, in lower case, that mean a test part; beside one of these, none is drawn from train/."""


@dataclass(frozen=True)
class Entries:
    """Sorted names of a folder's direct entries: images, by their suffix, folders, and ``others``, which are left out.

    Hidden files and those in `SERVICES` are not listed; such folders, broken links and other files are ``others``.
    """

    images: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def entries_of(folder: Path) -> Entries:
    """Return the direct entries of a folder; empty if there is no such folder."""
    if not folder.is_dir():
        return Entries()
    found: dict[str, list[str]] = {"images": [], "folders": [], "others": []}
    with os.scandir(folder) as entries:
        for entry in entries:
            is_odd = entry.name.startswith(".") or entry.name.lower() in SERVICES
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # links in a cycle
                is_folder = is_file = False
            if is_folder and not is_odd:
                found["folders"].append(entry.name)
            elif is_file and not is_odd and Path(entry.name).suffix.lower() in SUFFIXES:
                found["images"].append(entry.name)
            elif is_folder or not is_odd:
                found["others"].append(entry.name)
    return Entries(**{kind: tuple(sorted(names)) for kind, names in found.items()})


@dataclass(frozen=True)
class Part:
    """One part of a folder of images.

    Attributes:
        folder: Folder of the part.
        classes: Name of each class, in Unicode's composed form, to the folder of its images, in the order of the names.
        files: Name of each class to its images in this part, in the order of their names.
    """

    folder: Path
    classes: dict[str, Path]
    files: dict[str, list[Path]]


@dataclass(frozen=True)
class Layout:
    """The training and the test part of a folder of images; the classes of ``test`` are among those of ``train``."""

    train: Part
    test: Part

    @property
    def is_drawn(self) -> bool:
        """Whether the test part is a share of the training folder."""
        return self.train.folder == self.test.folder


def layout_of(root: str | None, *, test_classes: str = "all") -> Layout:
    """Return the layout of a folder of images: its two parts and their classes.

    ``test_classes`` is the setting of that name of `DataConfig`.

    Raises:
        DatasetMissing: If the folder has no such parts; the message says what it has.
        ValueError: If the classes of the parts differ, one has no images, or two are one and the same folder.
    """
    folder = data_folder(root)
    train = _part(folder / "train")
    parts = [_part(folder / name) for name in TEST_PARTS]
    test = next((part for part in parts if part.classes), parts[0])
    in_root = entries_of(folder)
    if not test.classes and not any(name.strip().lower() in _NAMES_OF_TESTS for name in in_root.folders):
        train, test = _drawn(train)
    if not train.classes or not test.classes:
        remedy = "set data.root to a folder with train/<class>/<image>, and test/ or val/ likewise"
        held = [*(f"{name}/" for name in in_root.folders), *in_root.images, *in_root.others]
        what = f"{folder} holds {some_of(held)}" if held else f"{folder} is no folder, or an empty one"
        raise DatasetMissing(IMAGE_FOLDER, [folder / part for part in _PARTS], remedy, what)
    if unknown := [name for name in test.classes if name not in train.classes]:
        near = difflib.get_close_matches(unknown[0], train.classes, n=1)
        more = f", nor have {len(unknown) - 1} other classes" if len(unknown) > 1 else ""
        raise InputError(
            f"data.root: {test.classes[unknown[0]]} has no counterpart in {train.folder}{more}, so nothing is learnt "
            f"about it{f'; did you mean {near[0]!r}?' if near else ''}"
        )
    layout = Layout(train, test)
    found: dict[Path, Path] = {}
    for each in (*train.classes.values(), *(() if layout.is_drawn else test.classes.values())):
        if (other := found.setdefault(each.resolve(), each)) is not each:
            raise InputError(f"data.root: {each} and {other} are one folder, by a link; each class needs its own")
    needed = (train,) if test_classes == "any" and any(test.files.values()) else (train, test)
    for part in needed:
        if empty := [part.folder / name for name in train.classes if not part.files.get(name)]:
            more = f", nor do {len(empty) - 1} other classes of a part" if len(empty) > 1 else ""
            holds = "one image, so none is left to test on" if layout.is_drawn and part is test else f"no images{more}"
            raise InputError(
                f"data.root: {empty[0]} holds {holds}; every class of {train.folder} needs some in both parts "
                "(data.test_classes: any does without some to test on)"
            )
    return layout


def images_in(of_class: Path) -> Path:
    """Return the folder of a class's images: its own or, if it holds none, ``images/`` in it."""
    inner = of_class / "images"
    return inner if inner.is_dir() and not entries_of(of_class).images and entries_of(inner).images else of_class


def _drawn(whole: Part) -> tuple[Part, Part]:
    """Return a training and a test part, divided by hashes of the images' names, so alike at every seed."""
    parts: tuple[dict[str, list[Path]], ...] = {}, {}
    for name, files in whole.files.items():
        by_hash = sorted(files, key=lambda file: hashlib.sha256(os.fsencode(f"{name}/{file.name}")).digest())
        number = min(max(1, round(DRAWN_SHARE * len(files))), len(files) - 1)
        for part, some in zip(parts, (by_hash[number:], by_hash[:number]), strict=True):
            part[name] = sorted(some)
    return replace(whole, files=parts[0]), replace(whole, files=parts[1])


def folder_digest(root: str | None) -> str | None:
    """Return the SHA-256 of the names and sizes of a folder's images; None if this machine has none."""
    folder = data_folder(root)
    parts = [folder / name for name in _PARTS]
    classes = [of_class for part in parts for of_class in _folders(part)]
    looked_at = (*parts, *classes, *(of_class / "images" for of_class in classes))
    changed = tuple((path, path.stat().st_mtime_ns) for path in looked_at if path.is_dir())
    return _digest(folder, changed) if changed else None


@lru_cache  # a study checks the configuration of each arm
def _digest(folder: Path, _changed: tuple[tuple[Path, int], ...]) -> str:
    digest = hashlib.sha256()
    with_classes = [part for part in _PARTS if _folders(folder / part)]
    read = {"train", next((part for part in TEST_PARTS if part in with_classes), "")}
    for part in with_classes:
        if part == "valid" and part not in read:
            continue
        for of_class in _folders(folder / part):
            # A val/ that is not read is hashed too, because earlier digests include it.
            images = images_in(of_class) if part in read else of_class
            for name in entries_of(images).images:
                file = images / name
                digest.update(os.fsencode(f"{file.stat().st_size} {file.relative_to(folder)}\n"))
    return digest.hexdigest()


def _folders(part: Path) -> list[Path]:
    return [part / name for name in entries_of(part).folders]


def _part(folder: Path) -> Part:
    classes: dict[str, Path] = {}
    for of_class in _folders(folder):
        # File systems differ in how they encode é: as one character or as two.
        other = classes.setdefault(unicodedata.normalize("NFC", of_class.name), of_class)
        if other is not of_class:
            raise InputError(
                f"data.root: {str(other)!a} and {of_class.name!a} are one name, with a letter in one character or in "
                "two; put their images into one folder"
            )
    folders = {name: images_in(of_class) for name, of_class in sorted(classes.items())}
    files = {name: [place / image for image in entries_of(place).images] for name, place in folders.items()}
    return Part(folder, folders, files)
