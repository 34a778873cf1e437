"""Batches of a data set, made on its device: no processes, and no copies if the images are there too."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from cktf.batch import Batch
from cktf.data.augmentation import AugmentationConfig, crop_and_flip, draw, draw_boxes, normalise, resized_crop
from cktf.data.dataset import Dataset, resize
from cktf.errors import InputError
from cktf.seeding import generator

_SMALLEST = 2  # batch-norm has no variance to train on in a batch of one


class TrainLoader:
    """Training batches, shuffled and augmented anew in every epoch, on the data set's device.

    An epoch is a pure function of (seed, epoch), so a resumed trial sees the same batches. Workers share the batches
    that one worker would see: each has a contiguous shard, and their sizes differ by at most one.

    Args:
        dataset: The data set.
        rows: (samples,), int64: the training split, as rows of the training part; `Batch.index` is a position in it.
        augmentation: Random changes of each sample.
        batch_size: Samples of a batch, over all workers together.
        seed: The replicate's seed.
        rank: This worker, from 0.
        world_size: Workers in all.

    Raises:
        ValueError: If a batch or the training split has fewer than two samples for each worker, or the crop could
            leave nothing of an image.
    """

    def __init__(
        self,
        dataset: Dataset,
        rows: Tensor,
        augmentation: AugmentationConfig,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        smallest = _SMALLEST * world_size
        for path, samples in (("batch_size", batch_size), ("data: the training split", len(rows))):
            if samples < smallest:
                raise InputError(
                    f"{path}: {samples} samples for {world_size} worker(s); each needs {_SMALLEST} or more"
                )
        self.dataset = dataset
        self.rows = rows.cpu()
        self.augmentation = augmentation.resolve(dataset.standard_augmentation)
        side = min(dataset.image_shape[1:])
        if self.augmentation.crop > side:
            raise InputError(
                f"augmentation.crop: must be {side} or less, the shorter side of the images; "
                f"got {self.augmentation.crop}"
            )
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        # The remainder is a batch too, unless some worker could not train batch-norm on its shard.
        remainder = len(rows) % batch_size
        self.num_samples = len(rows) if remainder >= smallest else len(rows) - remainder

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self.num_samples // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield this worker's shards of one epoch's batches.

        Args:
            epoch: From 1.
        """
        # Drawn on the CPU, which gives the same numbers wherever the data set is.
        order = torch.randperm(len(self.rows), generator=generator(self.seed, "order", epoch))
        order = order[: self.num_samples]
        draws = draw(self.augmentation, order, self.seed, epoch).to(self.dataset.device)
        boxes = None
        if self.augmentation.resized_crop:
            height, width = self.dataset.train_images.shape[2:]
            boxes = draw_boxes(order, self.seed, epoch, height, width).to(self.dataset.device)
        rows = self.rows[order]
        labels = self.dataset.train_labels[rows.to(self.dataset.device)]
        rows = rows.to(self.dataset.train_images.device)
        order = order.to(self.dataset.device)
        for number, start in enumerate(range(0, self.num_samples, self.batch_size)):
            size = min(self.batch_size, self.num_samples - start)
            offset, end = (size * rank // self.world_size for rank in (self.rank, self.rank + 1))
            shard = slice(start + offset, start + end)
            images = _read(self.dataset.train_images, rows[shard], self.dataset.device)
            if boxes is None:
                images = _shown(images, self.dataset)
            images = crop_and_flip(images, draws[:, shard], self.augmentation.crop)
            if boxes is not None:
                images = resized_crop(images, boxes[:, shard], *self.dataset.image_shape[1:])
            for change in self.augmentation.changes:
                images = change(images, order[shard], seed=self.seed, epoch=epoch)
            yield Batch(
                images=normalise(images, self.dataset.mean, self.dataset.std),
                labels=labels[shard],
                index=order[shard],
                step=(epoch - 1) * len(self) + number,
                share=(end - offset) / size,
                offset=offset,
                epoch=epoch,
            )


def evaluation_batches(
    dataset: Dataset, rows: Tensor | Literal["test"], *, batch_size: int = 500
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield normalised images and labels of rows of the training part, or of the whole test part, in order.

    Yields:
        (batch, channels, height, width), float32, and (batch,), int64, on the data set's device.
    """
    if isinstance(rows, Tensor):
        images, labels = dataset.train_images, dataset.train_labels
    else:
        images, labels = dataset.test_images, dataset.test_labels
        rows = torch.arange(len(labels))
    labels = labels[rows.to(dataset.device)]
    rows = rows.to(images.device)
    for chosen, its_labels in zip(torch.split(rows, batch_size), torch.split(labels, batch_size), strict=True):
        shown = _shown(_read(images, chosen, dataset.device), dataset)
        yield normalise(shown, dataset.mean, dataset.std), its_labels


def _shown(images: Tensor, dataset: Dataset) -> Tensor:
    """Return images (batch, channels, height, width), uint8, as large as networks see them."""
    return images if dataset.shown_side is None else resize(images, dataset.shown_side)


def _read(images: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """Return some of the images, which are on ``device`` or on the CPU, and the rows with them, on ``device``."""
    if images.device == device:
        return images.index_select(0, rows)
    # Pinned memory is copied while the GPU works on the batch before, and PyTorch keeps it until the copy is done.
    pinned = torch.empty(len(rows), *images.shape[1:], dtype=images.dtype, pin_memory=device.type == "cuda")
    torch.index_select(images, 0, rows, out=pinned)
    return pinned.to(device, non_blocking=True)
