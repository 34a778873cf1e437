"""A data set: a study names this file under ``plugins:``, and ``data: {name: stripes}``."""

import torch
from torch import Tensor

from cktf.data import Augmentation, DataPlace, Dataset


def load_stripes(place: DataPlace) -> Dataset:
    """Return noisy images of upright and of lying stripes; a real one reads files in the folder ``Path(place.root)``.

    One that finds no files raises ``cktf.data.DatasetMissing(place.name, [folder], "what the user can do")``.
    """
    train_images, train_labels = _stripes(400, seed=0)
    test_images, test_labels = _stripes(200, seed=1)
    return Dataset(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        num_classes=2,
        mean=torch.tensor([0.5]),
        std=torch.tensor([0.3]),
        standard_augmentation=Augmentation(crop=0, flip=False),
    )


def _stripes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return images (count, 1, 8, 8), uint8, and labels (count,), int64."""
    labels = torch.arange(count) % 2
    rows = (torch.arange(8) % 2 * 255.0).expand(8, 8)
    clean = torch.where(labels[:, None, None] == 0, rows, rows.T)[:, None]
    noise = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return (clean + 120 * noise).clamp(0, 255).to(torch.uint8), labels


DATASETS = {"stripes": load_stripes}
