"""Remarks on a folder of images, for its user, before training; nothing is decoded for them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from cktf.data.files.image_layout import DRAWN_SHARE, Layout, Part, entries_of
from cktf.data.files.places import shown, size_in_words, some_of
from cktf.names import similar_names

MOST_COMPARED = 2**30
"""Bytes of files of equal size that are read to find the same image in both parts."""


def remarks_on(layout: Layout) -> Iterator[str]:
    """Yield what is left out of a folder of images, and which of its classes and images are odd."""
    root = layout.train.folder.parent
    read = {layout.train.folder.name, layout.test.folder.name}
    unread = [f"{shown(name)}/" for name in entries_of(root).folders if name not in read]
    if unread:
        yield (
            f"data.root: {shown(root)}: {some_of(unread)} is not read: images are learnt from and validated on in "
            f"{layout.train.folder.name}/, and tested on in {layout.test.folder.name}/"
        )
    if layout.is_drawn:
        number = sum(map(len, layout.test.files.values()))
        yield (
            f"data.root: {shown(root)} has no test/, val/ or valid/: {number} images of train/, {DRAWN_SHARE:.0%} of "
            "each class, are the test part and not trained on, chosen by their names and so the same at every seed"
        )
    untested = [shown(name) for name in layout.train.classes if not layout.test.files.get(name)]
    if untested:
        yield f"data.root: {shown(root)}: classes without test images: {some_of(untested)}"
    for what, names in _left_out({part.folder: part for part in (layout.train, layout.test)}.values()).items():
        yield f"data.root: {shown(root)}: left out, since {what}: {some_of(names)}"
    for group in similar_names(layout.train.classes):
        yield (
            f"data.root: {shown(layout.train.folder)}: capitals, blanks or invisible characters alone set these "
            f"classes apart: {some_of([ascii(name) for name in group])}"
        )
    single = [shown(name) for name, files in layout.train.files.items() if len(files) == 1]
    if single:
        yield (
            f"data.root: {shown(layout.train.folder)}: of one image alone, which is learnt from and so never validated "
            f"on: {some_of(single)}"
        )
    yield from _in_both(layout)


def _left_out(parts: Iterable[Part]) -> dict[str, list[str]]:
    """Return why something is left out to what it is."""
    found: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        for folder in (part.folder, *part.classes.values()):
            entries = entries_of(folder)
            reasons = {
                "they are hidden, or a file server's or a system's": entries.services,
                "nothing that can be read is behind the name": entries.broken,
            }
            if folder == part.folder:  # its folders are classes, its files are not read
                reasons["they lie outside the classes' folders"] = entries.images
            else:
                reasons["they are folders within a class"] = entries.folders
                reasons["their names do not end as images' do"] = entries.others
            for why, names in reasons.items():
                found[why] += [shown(folder.relative_to(part.folder.parent) / name) for name in names]
    return {why: names for why, names in found.items() if names}


def _in_both(layout: Layout) -> Iterator[str]:
    """Yield how many files of the test part are the same, byte by byte, as one of the training part."""
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
        if size not in known:
            left -= size * len(by_size[size])
        left -= size
        if left < 0:
            yield (
                f"data.root: {shown(layout.train.folder.parent)}: not all files of equal size are compared, for they "
                f"have more than {size_in_words(MOST_COMPARED)}; some images may be in both parts"
            )
            break
        if size not in known:
            known[size] = {_hash(other): other for other in by_size[size]}
        if other := known[size].get(_hash(file)):
            pairs.append(" is ".join(shown(Path(*path.parts[-3:])) for path in (file, other)))
    if pairs:
        yield (
            f"data.root: {shown(layout.train.folder.parent)}: {len(pairs)} of the test images are training images, "
            f"too, so the test accuracy will look better than it is: {some_of(pairs)}"
        )


def _hash(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").digest()
