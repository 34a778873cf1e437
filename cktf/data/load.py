"""Loading the data set of a trial."""

from dataclasses import replace

from cktf.data.config import DataConfig, content_of
from cktf.data.dataset import Dataset
from cktf.data.files.image_layout import IMAGE_FOLDER
from cktf.data.files.places import data_folder, reading
from cktf.data.generated import few_images
from cktf.data.sets import DATASETS, KINDS
from cktf.data.sets.image_folder import side_of
from cktf.errors import InputError


def load_dataset(config: DataConfig) -> Dataset:
    """Return the data set that the settings name, at the side they name, on the CPU.

    Raises:
        DatasetMissing: If it is not there; the message says where it was looked for and how to get it.
        ValueError: If a file of it is damaged or cannot be read, or it does not have ``config.content``.
    """
    if config.crop_from is not None:
        stored = config.model_copy(update={"side": config.crop_from, "crop_from": None})
        return replace(load_dataset(stored), shown_side=config.side)
    if config.generated and config.name in KINDS:  # the images of a plug-in's data set are its own, even to try it out
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
    return dataset if config.side is None else dataset.resized(config.side)
