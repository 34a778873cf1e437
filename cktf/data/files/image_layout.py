"""How a folder of images is laid out: a folder for each part, in it a folder for each class, in that the images.

root/train/<class>/<image>    training and validation
root/test/<class>/<image>     the test part; root/val or root/valid if test/ is not there or, as ImageNet's, has no
                              classes; with none of these, a share of each class in train/

The images of a class may also lie in <class>/images/, as Tiny-ImageNet's do.
Folders that begin with a dot, and those of file servers and systems (`SERVICE_FOLDERS`), are no classes.
"""

import difflib
import hashlib
import os
import unicodedata
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from cktf.data.files.places import DatasetMissing, data_folder, shown, some_of
from cktf.errors import InputError
from cktf.names import similar_names

IMAGE_FOLDER = "image_folder"
"""Name of the data set that is a user's own folder."""

TEST_PARTS = ("test", "val", "valid")
"""Folders of the test part; the first of them that has classes is read."""

DRAWN_SHARE = 0.2
"""Share of each class's images that is tested on where the test part has no folder."""

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".png", ".apng", ".gif", ".webp", ".avif"),
        *(".tif", ".tiff", ".bmp", ".dib", ".tga", ".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
"""Endings, in small letters, of the files that count as images."""

SERVICE_FOLDERS = frozenset(
    {
        *("@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin"),
        *("lost+found", "__macosx", "system volume information"),
    }
)
"""Names, in small letters, of folders that file servers, systems and archivers put beside those of their users."""

_PARTS = ("train", *TEST_PARTS)

_SERVICE_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"})

_OTHER_NAMES = {
    "train": ("train", "training", "trn"),
    "test": ("test", "testing", "tst", "eval", "evaluation"),
    "val": ("val", "valid", "validation", "dev"),
}
"""Name of a part to what it is called elsewhere, in small letters."""


@dataclass(frozen=True)
class Entries:
    """What lies directly in a folder, by name and in order.

    Attributes:
        images: Files whose names end as images' do.
        folders: Folders, but for those of file servers and systems.
        services: These.
        broken: What is neither file nor folder: a link to nothing or to itself, a pipe, a device.
        others: All other files, but for hidden ones.
    """

    images: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def entries_of(folder: Path) -> Entries:
    """Return what lies directly in a folder; nothing where there is no such folder."""
    if not folder.is_dir():
        return Entries()
    found: dict[str, list[str]] = {name: [] for name in Entries.__dataclass_fields__}
    with os.scandir(folder) as entries:
        for entry in entries:
            if kind := _kind(entry):
                found[kind].append(entry.name)
    return Entries(**{kind: tuple(sorted(names)) for kind, names in found.items()})


def _kind(entry: os.DirEntry[str]) -> str:
    is_hidden = entry.name.startswith(".")
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError:  # links that lead to each other
        is_folder = is_file = False
    if is_folder and (is_hidden or entry.name.lower() in SERVICE_FOLDERS):
        return "services"
    if is_hidden or (is_file and entry.name.lower() in _SERVICE_FILES):
        return ""
    if is_folder:
        return "folders"
    if is_file:
        return "images" if Path(entry.name).suffix.lower() in SUFFIXES else "others"
    return "broken"


@dataclass(frozen=True)
class Part:
    """One part of a folder of images.

    Attributes:
        folder: Folder of the part.
        classes: Name of each class, in Unicode's composed form, to the folder of its images, in the order of the names.
        chosen: Name of each class to its images in this part; None: all that are there.
    """

    folder: Path
    classes: dict[str, Path]
    chosen: dict[str, list[Path]] | None = None

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """Name of each class to its images, in the order of their names."""
        if self.chosen is not None:
            return self.chosen
        return {name: [folder / image for image in entries_of(folder).images] for name, folder in self.classes.items()}


@dataclass(frozen=True)
class Layout:
    """The parts that are read; the classes of ``test`` are among those of ``train``."""

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
    if not test.classes and not _named_for_tests(folder):
        train, test = _drawn(train)
    if not train.classes or not test.classes:
        remedy = "set data.root to a folder with train/<class>/<image>, and test/ or val/ likewise"
        looked = [folder / part for part in ("train", *TEST_PARTS)]
        raise DatasetMissing(IMAGE_FOLDER, looked, remedy, _what_is_there(folder))
    if unknown := [name for name in test.classes if name not in train.classes]:
        raise InputError(_without_counterpart(unknown, train, test))
    # Links by which one folder is two classes, or by which training images are test images.
    layout = Layout(train, test)
    found: dict[Path, Path] = {}
    for each in (*train.classes.values(), *(() if layout.is_drawn else test.classes.values())):
        if (other := found.setdefault(each.resolve(), each)) is not each:
            raise InputError(
                f"data.root: {shown(each)} and {shown(other)} are one and the same folder, by way of a link; each "
                "class needs a folder of its own in each part"
            )
    needed = (train,) if test_classes == "any" and any(test.files.values()) else (train, test)
    for part in needed:
        if empty := [part.folder / name for name in train.classes if not part.files.get(name)]:
            raise InputError(_without_images(empty, train, is_drawn=layout.is_drawn and part is test))
    return layout


def images_in(of_class: Path) -> Path:
    """Return the folder of a class's images: its own or, if it holds none, ``images/`` in it."""
    inner = of_class / "images"
    return inner if inner.is_dir() and not entries_of(of_class).images and entries_of(inner).images else of_class


def _named_for_tests(folder: Path) -> bool:
    names = {*_OTHER_NAMES["test"], *_OTHER_NAMES["val"]}
    return any(name.strip().lower() in names for name in entries_of(folder).folders)


def _drawn(whole: Part) -> tuple[Part, Part]:
    """Divide a part by the hashes of its images' names: an image stays in its part at every seed."""
    parts: tuple[dict[str, list[Path]], ...] = {}, {}
    for name, files in whole.files.items():
        by_hash = sorted(files, key=lambda file: hashlib.sha256(os.fsencode(f"{name}/{file.name}")).digest())
        number = min(max(1, round(DRAWN_SHARE * len(files))), len(files) - 1)
        for part, some in zip(parts, (by_hash[number:], by_hash[:number]), strict=True):
            part[name] = sorted(some)
    return replace(whole, chosen=parts[0]), replace(whole, chosen=parts[1])


def folder_digest(root: str | None) -> str | None:
    """Return the SHA-256 of the names and sizes of a folder's images; None where this machine has none there."""
    folder = data_folder(root)
    parts = [folder / name for name in _PARTS]
    inner = (of_class / "images" for part in parts for of_class in _folders(part))
    outer = (path for part in parts for path in (part, *_folders(part)))
    changed = tuple((path, path.stat().st_mtime_ns) for path in (*outer, *inner) if path.is_dir())
    return _digest(folder, changed) if changed else None


@lru_cache  # a study makes the configurations of all its arms, and checks each
def _digest(folder: Path, _changed: tuple[tuple[Path, int], ...]) -> str:
    digest = hashlib.sha256()
    with_classes = [part for part in _PARTS if _folders(folder / part)]
    read = {"train", next((part for part in TEST_PARTS if part in with_classes), "")}
    for part in with_classes:
        if part == "valid" and part not in read:
            continue
        for of_class in _folders(folder / part):
            # A val/ that is not read counts too, as it always did.
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
        # File systems differ in how they spell é.
        other = classes.setdefault(unicodedata.normalize("NFC", of_class.name), of_class)
        if other is not of_class:
            raise InputError(
                f"data.root: {str(other)!a} and {of_class.name!a} are one name, with a letter in one "
                "character or in two; put their images into one folder"
            )
    return Part(folder, {name: images_in(of_class) for name, of_class in sorted(classes.items())})


def _without_counterpart(unknown: list[str], train: Part, test: Part) -> str:
    """Say which classes are only tested on, and what the nearest to the first of them is called."""
    first = unknown[0]
    alike = next((group for group in similar_names([first, *train.classes]) if first in group), [])
    near = [name for name in alike if name != first] or difflib.get_close_matches(first, train.classes, n=1)
    hint = ""
    if near:
        is_plain = near[0].isascii() and first.isascii()
        hint = f"; did you mean {near[0]!r}?" if is_plain else f"; did you mean {near[0]!a} (this one is {first!a})?"
    more = f", nor have {len(unknown) - 1} other classes" if len(unknown) > 1 else ""
    return (
        f"data.root: {shown(test.classes[first])} has no counterpart in {shown(train.folder)}{more}, so nothing is "
        f"learnt about it{hint}"
    )


def _without_images(empty: list[Path], train: Part, *, is_drawn: bool) -> str:
    """Say which classes of a part have no images, and where those of the first of them may lie."""
    first = empty[0]
    if is_drawn:
        return (
            f"data.root: {shown(first)} holds one image, so none is left to test on, and there is no test/ or val/; "
            "set data.test_classes: any to train on it all the same"
        )
    deeper = next((d for d in _folders(first) if entries_of(d).images), None)
    hint = f"; they lie in {shown(deeper)}, and must lie in {shown(first)} itself" if deeper else ""
    more = f", nor do {len(empty) - 1} other classes of a part" if len(empty) > 1 else ""
    return (
        f"data.root: {shown(first)} holds no images{more}; every class of {shown(train.folder)} needs some in both "
        f"parts (data.test_classes: any does without some to test on){hint}"
    )


def _what_is_there(folder: Path) -> str:
    """Say what a folder holds that has no train/ or no test/ and val/ with classes."""
    if not folder.is_dir():
        return "no such folder is there" if not folder.exists() else f"{shown(folder)} is no folder"
    found = entries_of(folder)
    for part in _PARTS:
        inside = entries_of(folder / part)
        if inside.images and not inside.folders:
            return f"{shown(folder / part)} holds {len(inside.images)} images and no folders of classes"
    renamed = [
        f"{shown(name)}/ must be called {part}/"
        for part, names in _OTHER_NAMES.items()
        for name in found.folders
        if name not in _PARTS and name.strip().lower() in names and part not in found.folders
    ]
    folders = [f"{shown(name)}/" for name in found.folders]
    holds = f"{shown(folder)} holds {some_of(folders)}"
    if renamed:
        return f"{holds}; {', '.join(renamed)}"
    if any(entries_of(folder / name).images for name in found.folders):
        return f"{holds}: classes that are not divided into a training and a test part"
    held = [*folders, *map(shown, found.images + found.others)]
    return f"{shown(folder)} holds {some_of(held)}" if held else f"{shown(folder)} is empty"
