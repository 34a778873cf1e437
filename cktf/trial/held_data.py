"""The data sets that a process holds from trial to trial."""

from functools import lru_cache

import torch

from cktf.data import DataConfig, Dataset, load_dataset


def held_dataset(config: DataConfig, device: torch.device) -> Dataset:
    """Return the data set that the settings name, on ``device``; the last few stay where they are.

    A warm worker trains one trial after the other on the same data, and a study is checked arm by arm, whatever
    fractions of the data set they take.

    Raises:
        DatasetMissing: If it is not there.
        ValueError: If a file of it is damaged.
    """
    fields = type(config).model_fields
    whole = {name: fields[name].default for name in ("train_fraction", "validation_fraction")}
    return _held(config.model_copy(update=whole), device)


@lru_cache(maxsize=2)
def _held(config: DataConfig, device: torch.device) -> Dataset:
    return load_dataset(config).to(device)
