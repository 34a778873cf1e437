"""A data set in memory, and what is known of a data set before its files are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from cktf.data.augmentation.config import Augmentation
from cktf.errors import InputError

WHOLE_ON_DEVICE = 4 * 2**30
"""Largest tensor of images, in bytes, that is stored on a GPU: 349,525 images of 64x64, 28,532 of 224x224."""


@dataclass(frozen=True)
class Constants:
    """Mean and standard deviation of each channel, by which images in [0, 1] are normalised."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float]) -> Self:
        """Return constants rounded to float32, as images are, so that equal ones compare equal from any source."""
        return cls(*(tuple(torch.tensor(values).tolist()) for values in (mean, std)))


@dataclass(frozen=True)
class Kind:
    """What is known of a data set before its files are read: its classes, sizes and constants.

    Mean and deviation are those of each channel of the training images, scaled to [0, 1]; the side is in pixels;
    ``augmentation`` is the standard one in the literature. ``has_unlabelled``: there is a third part, of images
    without labels. ``class_names`` are in the order of the labels; empty if they are not known.
    """

    num_classes: int
    channels: int
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation
    has_unlabelled: bool = False
    class_names: tuple[str, ...] = ()

    def dataset(
        self,
        train_images: Tensor,
        train_labels: Tensor,
        test_images: Tensor,
        test_labels: Tensor,
        unlabelled_images: Tensor | None = None,
    ) -> "Dataset":
        """Return a data set of this kind; the tensors are those of `Dataset`."""
        facts = self.num_classes, torch.tensor(self.mean), torch.tensor(self.std), self.augmentation
        images = train_images, train_labels, test_images, test_labels
        return Dataset(*images, *facts, unlabelled_images, class_names=self.class_names)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Raw images and labels of the training and the test part, each in one tensor.

    Images on the CPU may be mapped from a file larger than memory. A tensor of images larger than `WHOLE_ON_DEVICE`
    stays on the CPU, and is moved to a GPU batch by batch.

    Attributes:
        train_images: (samples, channels, height, width), uint8, as all images.
        train_labels: (samples,), int64, from 0, as all labels.
        mean: (channels,), mean of the training images scaled to [0, 1].
        std: (channels,), their standard deviation.
        standard_augmentation: Standard augmentation of this data set in the literature.
        unlabelled_images: A third part, of images alone; None if the data set has none.
        shown_side: Side to which the square, larger images are scaled batch by batch; None: they are not scaled.
        remarks: Remarks on the files for the user.
        class_names: Names of the classes in the order of the labels; empty where they are not known.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    num_classes: int
    mean: Tensor
    std: Tensor
    standard_augmentation: Augmentation
    unlabelled_images: Tensor | None = None
    shown_side: int | None = None
    remarks: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    @property
    def image_shape(self) -> torch.Size:
        """Shape of an image as networks see it, (channels, height, width)."""
        channels, height, width = self.train_images.shape[1:]
        side = self.shown_side
        return torch.Size((channels, side or height, side or width))

    @property
    def constants(self) -> Constants:
        """Mean and standard deviation that the images are normalised by."""
        return Constants.of(self.mean.tolist(), self.std.tolist())

    @property
    def device(self) -> torch.device:
        """Device of the labels, and of all images but those that are too many for it."""
        return self.train_labels.device

    def resized(self, side: int) -> Self:
        """Return the data set with square images of ``side`` pixels, all of them in memory."""
        return self._with_images(lambda images: resize(images, side))

    def to(self, device: torch.device | str) -> Self:
        """Return the data set on ``device``, without those images that are too many for it."""
        moved = self._with_images(lambda images: images.to(device) if images.nbytes <= WHOLE_ON_DEVICE else images)
        facts = {name: getattr(self, name).to(device) for name in ("train_labels", "test_labels", "mean", "std")}
        return replace(moved, **facts)

    def _with_images(self, change: Callable[[Tensor], Tensor]) -> Self:
        unlabelled = self.unlabelled_images
        return replace(
            self,
            train_images=change(self.train_images),
            test_images=change(self.test_images),
            unlabelled_images=None if unlabelled is None else change(unlabelled),
        )


def require_sound(dataset: Any, *, is_resized: bool) -> None:
    """Raise an InputError if what a loader returned is no `Dataset`, or its types, shapes and labels are not right.

    Parts that are going to be ``is_resized`` may have sides of their own.
    """

    def require(name: str, allowed: str, *, is_right: bool) -> None:
        if not is_right:
            value = getattr(dataset, name)
            found = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise InputError(f"{name}: must be {allowed}; got {found}")

    if not isinstance(dataset, Dataset):
        raise InputError(f"its loader must return a cktf.data.Dataset; got {type(dataset).__name__}")
    unlabelled = ["unlabelled_images"] if dataset.unlabelled_images is not None else []
    for name in ("train_images", "test_images", *unlabelled):
        images = getattr(dataset, name)
        is_images = isinstance(images, Tensor) and images.dtype == torch.uint8 and images.ndim == 4 and len(images) > 0
        require(name, "uint8, from 0 to 255, one or more, (samples, channels, height, width)", is_right=is_images)
        shape = dataset.train_images.shape[1:]
        is_alike = images.shape[1:] == shape or (is_resized and images.shape[1] == shape[0])
        require(name, f"of the shape of training images, {tuple(shape)}", is_right=is_alike)
    for name, images in (("train_labels", dataset.train_images), ("test_labels", dataset.test_images)):
        labels = getattr(dataset, name)
        is_labels = isinstance(labels, Tensor) and labels.dtype == torch.int64 and labels.shape == images.shape[:1]
        require(name, f"int64, one for each of {len(images)} images", is_right=is_labels)
        if not ((labels >= 0) & (labels < dataset.num_classes)).all():
            ends = f"{labels.min()} to {labels.max()}"
            raise InputError(
                f"{name}: must be 0 to {dataset.num_classes - 1}, for num_classes: {dataset.num_classes}; got {ends}"
            )
    channels = dataset.train_images.shape[1]
    for name in ("mean", "std"):
        is_right = isinstance(getattr(dataset, name), Tensor) and getattr(dataset, name).shape == (channels,)
        require(name, f"a tensor of {channels} numbers, one for each channel", is_right=is_right)
    is_right = isinstance(dataset.standard_augmentation, Augmentation)
    require("standard_augmentation", "a cktf.data.Augmentation", is_right=is_right)


def resize(images: Tensor, side: int) -> Tensor:
    """Return images (samples, channels, side, side), uint8, scaled bilinearly and with antialiasing.

    Those that have this shape already are returned as they are; from others a square in the middle is taken.
    """
    height, width = images.shape[2:]
    if height == width == side:
        return images
    square = min(height, width)
    images = images.narrow(2, (height - square) // 2, square).narrow(3, (width - square) // 2, square)
    if images.device.type == "cpu":
        return functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    scaled = functional.interpolate(images.float(), size=(side, side), mode="bilinear", antialias=True)
    return scaled.round_().to(images.dtype)  # a GPU cannot scale integers; results differ by at most one level
