"""Data sets that stay loaded from trial to trial of a process."""

from functools import lru_cache

import torch

from cktf.data import OF_SPLIT, DataConfig, Dataset, load_dataset
from cktf.plugins import forgets_with_plugins


def held_dataset(config: DataConfig, device: torch.device) -> Dataset:
    """Return a data set on ``device``; the last two stay loaded, whatever their split settings."""
    fields = type(config).model_fields
    return _held(config.model_copy(update={name: fields[name].default for name in OF_SPLIT}), device)


@forgets_with_plugins
@lru_cache(maxsize=2)
def _held(config: DataConfig, device: torch.device) -> Dataset:
    return load_dataset(config).to(device)
