"""Settings of a trial's data, and loading them."""

import os
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from cktf.data.dataset import Dataset, require_sound
from cktf.data.files.image_layout import IMAGE_FOLDER
from cktf.data.files.places import DataPlace, data_folder, reading
from cktf.data.files.published import PUBLISHED
from cktf.data.generated import few_images
from cktf.data.sets import DATASETS, KINDS, OWN
from cktf.data.sets.image_folder import side_of
from cktf.data.sets.own import OWN_KIND, standard_of
from cktf.errors import InputError, within
from cktf.settings import Settings


class DataConfig(Settings):
    """The data set, its folder, and how its training part is divided; the test part is never changed."""

    name: str
    """A key of `cktf.data.sets.DATASETS`."""

    root: str | None = None
    """Folder that holds the data set; for `arrays` also a `.npz` file. Not set: `$CKTF_DATA`, else
    `~/.cache/cktf/data`."""

    download: bool = False
    """Fetch the data set into its folder where it is not there yet."""

    generated: bool = False
    """Train on a few random images of the data set's kind, to try a study out before the data are there. No file is
    read."""

    content: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the user's own images: for an `image_folder` of their names and sizes, else of the files' bytes. It is
    filled in when a study is planned, so that a trial is identified by its images, wherever they are stored, and
    refuses others."""

    side: int | None = Field(default=None, ge=8, le=1024)
    """Side in pixels to which images are scaled, and cut to a square out of the middle. Not set: the data set's own;
    `image_folder` has none, so it must be set there."""

    crop_from: int | None = Field(default=None, ge=8, le=1024)
    """Side in pixels, larger than `side`, of the images out of which a random resized crop cuts boxes, which are then
    scaled to `side`. Without that crop, as in evaluation, whole images are scaled to `side`. Not set: `side`."""

    train_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the training split that is trained on, the same for each class; validation stays whole."""

    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of the data set's training part that is used for validation, the same for each class."""

    per_class: int | None = Field(default=None, ge=1)
    """Largest number of training images of each class, taken from those that `train_fraction` and `tail` leave;
    validation stays whole. A teacher that is trained is not limited by it."""

    tail: float = Field(default=1.0, ge=1, le=1e6)
    """Long tail: the first class keeps all its training images, the last one a share of 1 / tail, those between
    exponentially fewer from class to class, as in CIFAR-100-LT (Cao et al., 2019). At every seed the same images are
    preferred, of those outside validation. A teacher that is trained sees the same tail; validation and test stay
    whole."""

    noise: float = Field(default=0.0, ge=0, lt=1)
    """Share of the labels of the training split, after the settings above, that are replaced by another class, drawn
    uniformly with the seed. A teacher that is trained has the same share, drawn with its own seed; labels of validation
    and test stay right."""

    fold: int | None = Field(default=None, ge=0, le=9)
    """For `stl10` only: train on one of its ten predefined folds of 1,000 images, listed in `fold_indices.txt`. Not
    set: on all 5,000."""

    test_classes: Literal["all", "any"] = "all"
    """For `image_folder` only: `all` classes need test images; or, with `any`, some classes may have none."""

    verify: bool = True
    """For `cifar10`, `cifar100` and `stl10` only: compare the files' checksums with the published ones. `false` also
    reads other files of the same form; a trial is then identified by their content."""

    @model_validator(mode="after")
    def _is_of_the_data_set(self) -> Self:
        if self.crop_from is not None and (self.side is None or self.crop_from <= self.side):
            raise InputError(f"crop_from: must be larger than side, which is {self.side}; got {self.crop_from}")
        for key, owners in (("fold", ("stl10",)), ("test_classes", (IMAGE_FOLDER,)), ("verify", (*PUBLISHED,))):
            if self.name not in owners and getattr(self, key) != type(self).model_fields[key].default:
                raise InputError(f"{key}: only {', '.join(owners)} has it; got {getattr(self, key)!r} for {self.name}")
        return self

    @property
    def is_own(self) -> bool:
        """Whether the images are the user's own, so that the data set's name does not identify them."""
        return not self.generated and (self.name in OWN or not self.verify)

    @property
    def place(self) -> DataPlace:
        """Place of the files, and how they are read."""
        return DataPlace(**self.model_dump(include={*DataPlace.__dataclass_fields__}))

    def with_content(self) -> Self:
        """Return the same data with its content hash, if they are the user's own images and on this machine."""
        if not self.is_own or self.content is not None:
            return self
        return self.model_copy(update={"content": content_of(self.name, self.root)})

    @field_validator("root")
    @classmethod
    def _is_path(cls, root: str | None) -> str | None:
        try:
            if b"\0" not in os.fsencode(root or ""):
                return root
        except UnicodeEncodeError:  # half of a surrogate pair
            pass
        raise InputError(f"must be a path, without characters that no path has; got {ascii(root)[:80]}")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in DATASETS:
            raise InputError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}")
        return name


def content_of(name: str, root: str | None) -> str | None:
    """Return the SHA-256 that identifies a data set's files; None if they are not on this machine.

    The data set must be the user's own, or have published checksums.
    """
    with reading(root):
        return PUBLISHED[name].content(root) if name in PUBLISHED else OWN[name](root)


def load_dataset(config: DataConfig) -> Dataset:
    """Return the data set that the settings name, at the side they name, on the CPU.

    Raises:
        DatasetMissing: If it is not there; the message says where it was looked for and how to get it.
        ValueError: If a file of it is damaged or cannot be read, or it does not have ``config.content``.
    """
    if config.crop_from is not None:
        stored = config.model_copy(update={"side": config.crop_from, "crop_from": None})
        dataset = replace(load_dataset(stored), shown_side=config.side)
        if KINDS.get(config.name) is OWN_KIND:  # whose standard is in proportion to what networks see
            dataset = replace(dataset, standard_augmentation=standard_of(dataset.image_shape))
        return dataset
    if config.generated and config.name in KINDS:  # a data set of a plug-in always loads its own images
        kind = KINDS[config.name]
        side = side_of(config.place) if config.name == IMAGE_FOLDER else config.side or kind.side
        return few_images(kind, side)
    with reading(config.root):
        # A user's images must be the ones that the study was planned with.
        asked = config.content if config.is_own else None
        found = content_of(config.name, config.root) if asked else None
        if found and found != asked:
            what = "its files' names and sizes" if config.name == IMAGE_FOLDER else "its files"
            raise InputError(
                f"data.root: {data_folder(config.root)} does not hold the images that were asked for: the "
                f"SHA-256 of {what} is {found}, not {asked}"
            )
        dataset = DATASETS[config.name](config.place)
    with within(f"data.name: {config.name}"):
        require_sound(dataset, is_resized=config.side is not None)
    return dataset if config.side is None else dataset.resized(config.side)
