"""Remarks on a folder of images, for its user, before training; nothing is decoded for them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from cktf.data.files.image_layout import DRAWN_SHARE, Layout, entries_of
from cktf.data.files.places import size_in_words, some_of

MOST_COMPARED = 2**30
"""Bytes of files of equal size that are read to find the same image in both parts."""


def remarks_on(layout: Layout) -> Iterator[str]:
    """Yield what is left out of a folder of images, and which of its classes and images are odd."""
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
    """Yield how many files of the test part are the same, byte by byte, as one of the training part."""
    root = f"data.root: {layout.train.folder.parent}"
    by_size: dict[int, list[Path]] = defaultdict(list)
    for file in chain.from_iterable(layout.train.files.values()):
        by_size[file.stat().st_size].append(file)
    known: dict[int, dict[bytes, Path]] = {}
    pairs: list[str] = []
    left = MOST_COMPARED
    for file in chain.from_iterable(layout.test.files.values()):
        size = file.stat().st_size
        if not size or size not in by_size:
            continue
        left -= size * (1 + (size not in known) * len(by_size[size]))
        if left < 0:
            yield (
                f"{root}: not all files of equal size are compared, for they have more than "
                f"{size_in_words(MOST_COMPARED)}; some images may be in both parts"
            )
            break
        if size not in known:
            known[size] = {_hash(other): other for other in by_size[size]}
        if other := known[size].get(_hash(file)):
            pairs.append(" is ".join(str(Path(*path.parts[-3:])) for path in (file, other)))
    if pairs:
        yield (
            f"{root}: {len(pairs)} of the test images are training images, too, so the test accuracy will look better "
            f"than it is: {some_of(pairs)}"
        )


def _hash(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").digest()
