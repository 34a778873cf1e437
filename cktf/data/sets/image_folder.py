"""A user's own images, or a data set laid out as ImageNet, from a folder (see `cktf.data.files.image_layout`)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cktf.data.augmentation.config import Augmentation
from cktf.data.dataset import Dataset, Kind
from cktf.data.files.image_files import decoded, read_image_files
from cktf.data.files.image_layout import DRAWN_SHARE, Layout, Part, entries_of, layout_of
from cktf.data.files.places import DataPlace, data_folder, file_digest, reading, some_of
from cktf.errors import LONGEST_LINE, InputError, visible

LOOKED_AT = 300
"""Approximate number of images that are decoded, as a check, before the training."""

MOST_COMPARED = 2**30
"""Largest total size, in bytes, of the files that are compared to find images in both parts."""

IMAGE_FOLDER_KIND = Kind(
    num_classes=3,  # of a smoke run; a folder has its own, and no side
    channels=3,
    side=0,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    augmentation=Augmentation(crop=0, flip=True, resized_crop=True),
)


def load_image_folder(place: DataPlace) -> Dataset:
    """Return the images of a folder, decoded once; classes are numbered in the order of their folders' names.

    See `layout_of` for the layout and `eight_bit_colour` for how each image is converted. Mean and deviation are
    ImageNet's, which networks with published weights expect.
    """
    side = side_of(place)
    layout = layout_of(place.root, test_classes=place.test_classes)
    train_files, train_labels = _labelled(layout.train, layout.train.classes)
    test_files, test_labels = _labelled(layout.test, layout.train.classes)
    parts = {"train": train_files, "test" if layout.is_drawn else layout.test.folder.name: test_files}
    train_images, test_images = read_image_files(place.name, parts, side)
    kind = replace(IMAGE_FOLDER_KIND, num_classes=len(layout.train.classes), class_names=tuple(layout.train.classes))
    return kind.dataset(train_images, train_labels, test_images, test_labels)


def look_at_image_folder(place: DataPlace) -> tuple[int, list[str]]:
    """Return the number of classes in a folder, and remarks for its user before the training.

    Some images, evenly spread over the files, are decoded, so that those that are damaged are refused. If the folder is
    not on this machine, there are no classes, and a remark says so.
    """
    side, folder = side_of(place), data_folder(place.root)
    with reading(place.root):
        if not (folder.exists() or folder.is_symlink()):
            return 0, [f"data.root: {folder} is not on this machine, so that its images are not looked at"]
        layout = layout_of(place.root, test_classes=place.test_classes)
        files = [file for part in (layout.train, layout.test) for own in part.files.values() for file in own]
        some = files[:: max(1, len(files) // LOOKED_AT)]
        for _ in decoded([(visible(str(file)), file) for file in some], side):
            pass
        return len(layout.train.classes), [visible(said, most=LONGEST_LINE) for said in remarks_on(layout)]


def side_of(place: DataPlace) -> int:
    """Return the side to which the images of a folder are scaled; raise an InputError if it is not set."""
    if place.side is None:
        raise InputError(
            "data.side: image_folder has images of any size; set the side in pixels to which they are scaled"
        )
    return place.side


def _labelled(part: Part, classes: Iterable[str]) -> tuple[list[Path], Tensor]:
    """Return the images of a part, class by class, and their labels (samples,), int64."""
    of_class = [part.files.get(name, []) for name in classes]
    counts = torch.tensor([len(files) for files in of_class])
    files = [file for files in of_class for file in files]
    return files, torch.arange(len(counts)).repeat_interleave(counts)


def remarks_on(layout: Layout) -> Iterator[str]:
    """Yield remarks on a folder of images: what is not read, classes without test images, images in both parts."""
    train, test = layout.train, layout.test
    root = f"data.root: {train.folder.parent}"
    read = {train.folder.name, test.folder.name}
    if unread := [f"{name}/" for name in entries_of(train.folder.parent).folders if name not in read]:
        yield (
            f"{root}: {some_of(unread)} is not read: images are learnt from and validated on in {train.folder.name}/, "
            f"and tested on in {test.folder.name}/"
        )
    if layout.is_drawn:
        number = sum(map(len, test.files.values()))
        yield (
            f"{root} has no test/, val/ or valid/: {number} images of train/, {DRAWN_SHARE:.0%} of each class, are the "
            "test part and not trained on, chosen by their names and so the same at every seed"
        )
    if untested := [name for name in train.classes if not test.files.get(name)]:
        yield f"{root}: classes without test images: {some_of(untested)}"
    if left_out := [str(path.relative_to(train.folder.parent)) for path in _left_out(layout)]:
        yield (
            f"{root}: left out, since no images of a class lie there, or a name does not end as an image's: "
            f"{some_of(left_out)}"
        )
    yield from _in_both(layout)


def _left_out(layout: Layout) -> Iterator[Path]:
    for part in {part.folder: part for part in (layout.train, layout.test)}.values():
        entries = entries_of(part.folder)
        yield from (part.folder / name for name in (*entries.images, *entries.others))
        for folder in part.classes.values():
            entries = entries_of(folder)
            yield from (folder / name for name in (*entries.folders, *entries.others))


def _in_both(layout: Layout) -> Iterator[str]:
    """Yield a remark if files of the test part are equal, byte by byte, to files of the training part."""
    root = f"data.root: {layout.train.folder.parent}"
    train, test = (
        {file: file.stat().st_size for files in part.files.values() for file in files}
        for part in (layout.train, layout.test)
    )
    of_both = {size for size in train.values() if size} & {*test.values()}
    counts, compared, left = Counter([*train.values(), *test.values()]), set[int](), MOST_COMPARED
    for size in sorted(of_both, key=lambda size: size * counts[size]):
        if (left := left - size * counts[size]) < 0:
            break
        compared.add(size)
    train, test = ({file: size for file, size in part.items() if size in compared} for part in (train, test))
    known = {file_digest(file): file for file in train}
    pairs = [(file, known[digest]) for file in test if (digest := file_digest(file)) in known]
    if pairs:
        named = [" is ".join(str(Path(*path.parts[-3:])) for path in pair) for pair in pairs]
        yield (
            f"{root}: {len(pairs)} of the test images are training images, too, so the test accuracy will look better "
            f"than it is: {some_of(named)}"
        )
    if len(compared) < len(of_both):
        yield (
            f"{root}: files of equal size have more than {MOST_COMPARED:,} bytes, and those that have most are not "
            "compared; more images may be in both parts"
        )
