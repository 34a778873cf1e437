"""The user's own images in arrays or tables: their parts, labels, constants, and images that are in both parts."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cktf.data.augmentation.config import Augmentation
from cktf.data.dataset import Dataset, Kind
from cktf.data.files.places import some_of
from cktf.errors import InputError

OWN_KIND = Kind(
    num_classes=3,  # of a smoke run, as are side and channels; the files have their own
    channels=3,
    side=32,
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    augmentation=Augmentation(crop=4, flip=False),
)

TEST_PARTS = ("test", "val", "valid", "validation")
"""Names of the test part; the first of them that is there is read."""

MOST_COMPARED = 2**31
"""Largest total size, in bytes, of images that are compared to find those in both parts."""

_MOST_MEASURED = 10_000  # images from which mean and deviation are computed


def test_part(names: Collection[str], held: str) -> tuple[str, list[str]]:
    """Return the name of the test part among ``names``, and remarks on parts that are not read.

    ``held`` says where the parts are, and under which names, for the message if train or test is missing.
    """
    found = [name for name in TEST_PARTS if name in names]
    if "train" not in names or not found:
        raise InputError(f"data.root: {held}; a part train and a part test (or val) are needed, images and labels")
    unread = [name for name in names if name not in ("train", found[0])]
    said = f"data.root: {some_of(unread)} is not read: validation is a share of train, and {found[0]} is tested on"
    return found[0], [said] if unread else []


def own_dataset(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], held: tuple[str, str], remarks: Collection[str]
) -> Dataset:
    """Return images and labels of both parts as a data set.

    Mean and deviation are those of the training images (of 10,000, evenly spaced, where there are more). Images are
    (samples, channels, height, width), uint8, and labels (samples,), int64, called ``held`` in messages.

    Raises:
        ValueError: If the parts do not go together, or their labels do not count the classes from 0 without a gap.
    """
    shapes = [tuple(images.shape[1:]) for images, _ in (train, test)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"data.root: images of the training part are {shapes[0]} and of the test part {shapes[1]} (channels, "
            "height, width); both need one shape"
        )
    for (images, labels), name in zip((train, test), held, strict=True):
        if len(images) != len(labels):
            raise InputError(f"data.root: {name} holds {len(labels)} labels for {len(images)} images")
    classes = torch.unique(train[1]).tolist()
    if classes != [*range(len(classes))]:
        raise InputError(f"data.root: {held[0]} has the labels {some_of(classes)}; 0, 1, 2, ... are needed")
    lowest, highest = int(test[1].min()), int(test[1].max())
    if lowest < 0 or highest >= len(classes):
        raise InputError(
            f"data.root: {held[1]} has labels {lowest} to {highest}; those of training are 0 to {classes[-1]}"
        )
    mean, std = _mean_and_std(train[0])
    kind = replace(
        OWN_KIND,
        num_classes=len(classes),
        mean=tuple(mean.tolist()),
        std=tuple(std.clamp(min=1e-3).tolist()),
        augmentation=standard_of(shapes[0]),
    )
    return replace(kind.dataset(*train, *test), remarks=tuple(remarks))


def standard_of(image_shape: Sequence[int]) -> Augmentation:
    """Return the standard augmentation of images of a shape (channels, height, width), as networks see them.

    It is a crop by an eighth of the side, as for CIFAR, without flip, since images may be digits.
    """
    return Augmentation(crop=min(image_shape[1:]) // 8, flip=False)


def _mean_and_std(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (channels,) of images scaled to [0, 1]: of all, or of some evenly spaced.

    Pixels are counted by value, a few images at a time, so that images larger than memory stay mapped.
    """
    rows = torch.linspace(0, len(images) - 1, min(len(images), _MOST_MEASURED), dtype=torch.float64).long()
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for some in torch.split(rows, 256):
        pixels = images[some].movedim(1, 0).flatten(1)
        counts += torch.stack([torch.bincount(channel, minlength=256) for channel in pixels])
    shares = counts.double() / counts.sum(1, keepdim=True)
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = shares @ values
    return mean, (shares * (values - mean[:, None]) ** 2).sum(1).sqrt()


def in_both_parts(dataset: Dataset) -> str:
    """Return a remark on test images that are training images, too, pixel by pixel; empty if there are none."""
    if dataset.train_images.nbytes + dataset.test_images.nbytes > MOST_COMPARED:
        return "the images are too many to look for those that are in both parts"
    known = {_hash(image): row for row, image in reversed([*enumerate(dataset.train_images)])}
    pairs = [(row, known[digest]) for row, image in enumerate(dataset.test_images) if (digest := _hash(image)) in known]
    if not pairs:
        return ""
    named = [f"test image {row} is training image {other}" for row, other in pairs]
    return (
        f"{len(pairs)} of the {len(dataset.test_images):,} test images are training images, too, so the test accuracy "
        f"will look better than it is: {some_of(named)}, counted from 0"
    )


def _hash(image: Tensor) -> bytes:
    return hashlib.blake2b(image.contiguous().numpy().data, digest_size=16).digest()
