"""Division of the training part into a training and a validation split, class by class, and samples of it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cktf.data.config import DataConfig
from cktf.data.dataset import Dataset
from cktf.errors import InputError
from cktf.seeding import generator

OF_SPLIT = ("train_fraction", "validation_fraction", "per_class", "tail", "noise")
"""Settings that do not change the data set, only which samples are trained on and how these are labelled."""


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of the training part in the training and the validation split, ascending, on the CPU.

    Attributes:
        train_index: (samples,), int64: training samples; a sample's position here is its `Batch.index`.
        validation_index: (samples,), int64: validation samples.
    """

    train_index: Tensor
    validation_index: Tensor


def split(labels: Tensor, config: DataConfig, seed: int) -> Split:
    """Return the training part divided at random into training and validation, every class in the same proportion.

    Of each class in a random order, validation takes the first samples and training the next ones, so that a smaller
    ``train_fraction`` gives a subset of the training split of a larger one, and the same validation split. ``tail``
    and ``per_class`` then take some of the training samples: of n samples of class i of C a tail keeps
    n * tail**(-i / (C - 1)), rounded down, at least one (Cao et al., Learning imbalanced datasets with
    label-distribution-aware margin loss, 2019), and prefers the same images at every seed, as there, except those in
    validation. At least one sample of each class is trained on. ``labels`` (samples,), int64, are those of the data
    set's training part.

    Raises:
        ValueError: If the validation split is empty.
    """
    labels = labels.cpu()
    order = torch.randperm(len(labels), generator=generator(seed, "split"))
    preferred = torch.randperm(len(labels), generator=generator(0, "tail"))
    last = max(1, int(labels.max()))
    train, validation = [], []
    for label in torch.unique(labels):
        members = order[labels[order] == label]
        num_validation = min(max(1, round(config.validation_fraction * len(members))), len(members) - 1)
        num_train = max(1, round(config.train_fraction * (len(members) - num_validation)))
        validation.append(members[:num_validation])
        chosen = members[num_validation : num_validation + num_train]
        if config.tail > 1:
            kept = max(1, int(num_train * config.tail ** (-int(label) / last)))
            chosen = chosen[preferred[chosen].argsort().argsort() < kept]
        train.append(chosen[: config.per_class])
    if not sum(map(len, validation)):
        raise InputError("data: the validation split is empty, for no class has two images in the training part")
    return Split(train_index=torch.cat(train).sort().values, validation_index=torch.cat(validation).sort().values)


def with_noise(dataset: Dataset, train_index: Tensor, noise: float, seed: int) -> Dataset:
    """Return the data set with wrong labels for a share of its training split, of rows ``train_index``.

    Samples with wrong labels at a smaller share have the same wrong labels at a larger one.
    """
    if noise == 0:
        return dataset
    labels = dataset.train_labels.cpu().clone()
    draws = generator(seed, "label noise")
    order = torch.randperm(len(labels), generator=draws)
    other = torch.randint(1, dataset.num_classes, (len(labels),), generator=draws)
    taken = order[torch.isin(order, train_index)][: round(noise * len(train_index))]
    labels[taken] = (labels[taken] + other[taken]) % dataset.num_classes
    return replace(dataset, train_labels=labels.to(dataset.device))


@dataclass(frozen=True, eq=False)
class Samples:
    """Some samples of a data set's training part: its ``rows`` (samples,), int64, CPU.

    A sample's position in ``rows`` is its `Batch.index`.
    """

    dataset: Dataset
    rows: Tensor

    @property
    def labels(self) -> Tensor:
        """Labels of the samples: (samples,), int64, CPU."""
        return self.dataset.train_labels.cpu()[self.rows]


def unlabelled_samples(dataset: Dataset, validation_index: Tensor) -> Samples:
    """Return all images for training without labels: the data set's unlabelled ones.

    If it has none, they are the images of its training part outside the validation split, of rows ``validation_index``,
    including those that ``train_fraction`` leaves out. Each image is a class of its own; its label is its position.
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
