"""Settings of the random changes of images, and the built-in changes by name."""

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from cktf.data.augmentation.changes import ImageChange, RandAugment, RandomErasing, TrivialAugment
from cktf.errors import InputError
from cktf.settings import Settings

AUGMENTATIONS: dict[str, type[ImageChange]] = {
    "rand_augment": RandAugment,
    "trivial_augment": TrivialAugment,
    "random_erasing": RandomErasing,
}
"""Key under ``augmentation:`` in a study to its change, built in or of a plug-in. Changes are applied in this order,
after crop and flip."""


@dataclass(frozen=True)
class Augmentation:
    """Resolved settings of `AugmentationConfig`: the random changes of each sample; 0: none.

    ``changes`` are made one after the other, after crop and flip; with ``resized_crop`` there is no ``crop``.
    """

    crop: int
    flip: bool
    resized_crop: bool = False
    changes: tuple[ImageChange, ...] = ()
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0


class AugmentationConfig(Settings):
    """Random changes of each sample in each epoch; by default the standard ones of the data set in the literature."""

    crop: int | None = Field(default=None, ge=0, le=1024)
    """Padding of the random crop at each side, in pixels; 0: no crop. Not set: the data set's standard."""

    resized_crop: bool | None = None
    """Instead of `crop`, cut out a box of 8 to 100 per cent of the area and scale it to the images' side; it is cut out
    of larger images if `data.crop_from` is set. Not set: the data set's standard, and off if `crop` is set."""

    flip: bool | None = None
    """Mirror half of the images left to right. Not set: the data set's standard."""

    rand_augment: RandAugment | None = None
    """RandAugment; `{}` takes the defaults."""

    trivial_augment: TrivialAugment | None = None
    """TrivialAugment; `{}` takes the defaults."""

    random_erasing: RandomErasing | None = None
    """Random erasing; `{}` takes the defaults."""

    mixup: float = Field(default=0.0, ge=0, le=100)
    """Mix each image with another one of its batch, and their labels: alpha of the Beta distribution of the weights
    (Zhang et al., 2018, arXiv 1710.09412). 0: none."""

    cutmix: float = Field(default=0.0, ge=0, le=100)
    """Replace a box of each image by that of another one of its batch, and the labels in the proportion of the areas:
    alpha likewise (Yun et al., 2019, arXiv 1905.04899). 0: none. With `mixup` too, each sample gets one of the two."""

    mix_probability: float = Field(default=1.0, ge=0, le=1)
    """Share of the samples that `mixup` or `cutmix` acts on; CutMix is published with 0.5 for CIFAR."""

    @model_validator(mode="after")
    def _one_crop(self) -> Self:
        if self.crop and self.resized_crop:
            raise InputError(f"crop: {self.crop} and resized_crop: true exclude each other; leave one of them out")
        return self

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, each from two samples."""
        return bool(self.mixup or self.cutmix) and self.mix_probability > 0

    def resolve(self, standard: Augmentation) -> Augmentation:
        """Return the augmentation, with the data set's ``standard`` for whatever is not set."""
        resized_crop = self.resized_crop
        if resized_crop is None:
            resized_crop = standard.resized_crop and self.crop is None
        crop = self.crop
        if crop is None:
            crop = 0 if resized_crop else standard.crop
        flip = standard.flip if self.flip is None else self.flip
        changes = tuple(change for name in AUGMENTATIONS if (change := getattr(self, name, None)) is not None)
        mixing = (self.mixup, self.cutmix, self.mix_probability) if self.mixes else ()
        return Augmentation(crop, flip, resized_crop, changes, *mixing)
