"""Training samples: some images of a data set, with labels or without."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cktf.data.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Samples:
    """Some images of a data set's training part.

    Attributes:
        dataset: The data set.
        rows: (samples,), int64, CPU: rows of its training part; a sample's position here is its `Batch.index`.
    """

    dataset: Dataset
    rows: Tensor

    @property
    def labels(self) -> Tensor:
        """(samples,), int64, CPU."""
        return self.dataset.train_labels.cpu()[self.rows]


def unlabelled_samples(dataset: Dataset, validation_index: Tensor) -> Samples:
    """Return all images for training without labels: the data set's unlabelled ones.

    If it has none, they are the images of its training part outside the validation split, including those that
    ``train_fraction`` leaves out. Each image is a class of its own; its label is its position among the samples.

    Args:
        dataset: The data set.
        validation_index: (samples,), int64, CPU: rows of the training part that are used for validation.
    """
    if dataset.unlabelled_images is not None:
        images = dataset.unlabelled_images
        rows = torch.arange(len(images))
    else:
        images = dataset.train_images
        is_free = torch.ones(len(images), dtype=torch.bool)
        is_free[validation_index] = False
        rows = is_free.nonzero().squeeze(1)
    labels = torch.full((len(images),), -1)
    labels[rows] = torch.arange(len(rows))
    alone = replace(dataset, train_images=images, train_labels=labels.to(dataset.device), num_classes=len(rows))
    return Samples(alone, rows)
