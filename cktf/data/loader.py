"""Batches of a data set, made on its device: no processes, and no copies if the images are there too."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

from cktf.batch import Batch
from cktf.data.augmentation.boxes import draw_boxes
from cktf.data.augmentation.changes import ImageChange
from cktf.data.augmentation.config import AugmentationConfig
from cktf.data.augmentation.crops import crop_and_flip, draw, normalise, resized_crop
from cktf.data.augmentation.mixing import Mixes, draw_mixes
from cktf.data.dataset import WHOLE_ON_DEVICE, Dataset, resize
from cktf.errors import InputError
from cktf.seeding import derive, generator

View = Callable[[Tensor, slice], Tensor]
"""Maps raw images and their positions in an epoch's order to the images, augmented and normalised."""

_SMALLEST = 2  # batch-norm has no variance to train on in a batch of one


class TrainLoader:
    """Training batches, shuffled and augmented anew in every epoch, on the data set's device.

    An epoch is a pure function of (seed, epoch), so a resumed trial sees the same batches. Workers share the batches
    that one worker would see: each, of ``rank`` 0 to ``world_size`` - 1, has a contiguous shard, and their sizes differ
    by at most one. A last batch of fewer than two samples for each worker is left out. ``rows`` (samples,), int64, are
    the training split, as rows of the training part; `Batch.index` is a position in it. With ``has_own_view`` the
    teacher sees each sample augmented by draws of its own.

    Raises:
        ValueError: If a batch or the split has fewer than two samples for each worker, or the crop exceeds the images.
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
        has_own_view: bool = False,
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
        self.has_own_view = has_own_view
        # The remainder is a batch too, unless some worker could not train batch-norm on its shard.
        remainder = len(rows) % batch_size
        self.num_samples = len(rows) if remainder >= smallest else len(rows) - remainder

    def __len__(self) -> int:
        return -(-self.num_samples // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield this worker's shards of the batches of an epoch, counted from 1."""
        # Drawn on the CPU, which gives the same numbers wherever the data set is.
        order = torch.randperm(len(self.rows), generator=generator(self.seed, "order", epoch))
        order = order[: self.num_samples]
        labels = self.dataset.train_labels[self.rows[order].to(self.dataset.device)]
        view = self._view(order, self.seed, epoch)
        own_view = self._view(order, derive(self.seed, "teacher's view"), epoch) if self.has_own_view else None
        device, mixes = self.dataset.device, None
        if self.augmentation.mixup or self.augmentation.cutmix:
            _, height, width = self.dataset.image_shape
            mixes = draw_mixes(self.augmentation, order, self.seed, epoch, height, width, device)
        rows = self.rows[order].to(self.dataset.train_images.device)
        order = order.to(device)
        shards = [self._shard(start) for start in range(0, self.num_samples, self.batch_size)]
        pieces = (
            rows[shard] if mixes is None or partners == shard else torch.cat([rows[shard], rows[partners]])
            for _, _, shard, partners in shards
        )
        with closing(_images_of(self.dataset.train_images, pieces, device)) as read:
            for number, ((size, offset, shard, partners), raw) in enumerate(zip(shards, read, strict=True)):
                yield Batch(
                    images=_mixed(view, mixes, raw, shard, partners),
                    labels=labels[shard],
                    index=order[shard],
                    step=(epoch - 1) * len(self) + number,
                    share=(shard.stop - shard.start) / size,
                    offset=offset,
                    epoch=epoch,
                    other_labels=labels[partners].flip(0) if mixes else None,
                    own_share=mixes.shares[shard] if mixes else None,
                    teacher_images=_mixed(own_view, mixes, raw, shard, partners) if own_view else None,
                )

    def _shard(self, start: int) -> tuple[int, int, slice, slice]:
        """Return a batch's size, this worker's offset in it, and the slices of its samples and of their partners.

        The batch begins at the sample ``start`` of the epoch's order; the partners are in reverse.
        """
        size = min(self.batch_size, self.num_samples - start)
        offset, end = (size * rank // self.world_size for rank in (self.rank, self.rank + 1))
        return size, offset, slice(start + offset, start + end), slice(start + size - end, start + size - offset)

    def _view(self, order: Tensor, seed: int, epoch: int) -> View:
        """Return the function that augments samples ``order`` (samples,), int64, CPU, by a seed and an epoch."""
        dataset, augmentation = self.dataset, self.augmentation
        draws = draw(augmentation, order, seed, epoch).to(dataset.device)
        boxes = None
        if augmentation.resized_crop:
            height, width = dataset.train_images.shape[2:]
            boxes = draw_boxes(order, seed, epoch, height, width).to(dataset.device)
        index = order.to(dataset.device)

        def images_of(images: Tensor, chosen: slice) -> Tensor:
            if boxes is None:
                images = _shown(images, dataset)
            images = crop_and_flip(images, draws[:, chosen], augmentation.crop)
            if boxes is not None:
                images = resized_crop(images, boxes[:, chosen], *dataset.image_shape[1:])
            for change in augmentation.changes:
                images = _changed(change, images, index[chosen], seed, epoch)
            return normalise(images, dataset.mean, dataset.std)

        return images_of


def evaluation_batches(
    dataset: Dataset, rows: Tensor | Literal["test"], *, batch_size: int = 500
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield normalised images and labels of rows of the training part, or of the whole test part, in order.

    They are (batch, channels, height, width), float32, and (batch,), int64, on the data set's device.
    """
    if isinstance(rows, Tensor):
        images, labels = dataset.train_images, dataset.train_labels
    else:
        images, labels = dataset.test_images, dataset.test_labels
        rows = torch.arange(len(labels))
    labels = labels[rows.to(dataset.device)]
    rows = rows.to(images.device)
    with closing(_images_of(images, torch.split(rows, batch_size), dataset.device)) as read:
        for raw, its_labels in zip(read, torch.split(labels, batch_size), strict=True):
            yield normalise(_shown(raw, dataset), dataset.mean, dataset.std), its_labels


def _mixed(view: View, mixes: Mixes | None, raw: Tensor, shard: slice, partners: slice) -> Tensor:
    """Return a shard's augmented images, mixed with their partners', which are in the mirrored places of the batch.

    ``raw`` holds the shard's images and, after them, the partners' unless these are the same samples.
    """
    size = shard.stop - shard.start
    images = view(raw[:size], shard)
    if mixes is None:
        return images
    others = images if partners == shard else view(raw[size:], partners)
    return mixes.of(images, others.flip(0), shard)


def _changed(change: ImageChange, images: Tensor, index: Tensor, seed: int, epoch: int) -> Tensor:
    """Return images changed by a random change, which may be a plug-in's; another type or shape is an InputError."""
    found: Any = change(images, index, seed=seed, epoch=epoch)
    if not isinstance(found, Tensor) or (found.dtype, found.shape) != (images.dtype, images.shape):
        got = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise InputError(
            f"augmentation: {type(change).__name__} must return images as it is given, {images.dtype} "
            f"{tuple(images.shape)}; got {got}"
        )
    return found


def _shown(images: Tensor, dataset: Dataset) -> Tensor:
    """Return images (batch, channels, height, width), uint8, as large as networks see them."""
    return images if dataset.shown_side is None else resize(images, dataset.shown_side)


def _images_of(images: Tensor, pieces: Iterable[Tensor], device: torch.device) -> Generator[Tensor]:
    """Yield, on ``device``, the images of each piece, a tensor of rows on the images' own device.

    Images too many for a device are read by a thread, one piece ahead, and copied to a GPU on a stream of their own.
    """
    if images.device == device and images.nbytes <= WHOLE_ON_DEVICE:
        yield from (images.index_select(0, rows) for rows in pieces)
        return
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def read(rows: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        with torch.cuda.stream(stream) if stream else nullcontext():
            # PyTorch keeps pinned memory until its copy is done.
            pinned = torch.empty(len(rows), *images.shape[1:], dtype=images.dtype, pin_memory=stream is not None)
            copied = torch.index_select(images, 0, rows, out=pinned).to(device, non_blocking=True)
            return copied, stream.record_event() if stream else None

    def received(found: Future[tuple[Tensor, torch.cuda.Event | None]]) -> Tensor:
        copied, event = found.result()
        if event:
            present = torch.cuda.current_stream(device)
            present.wait_event(event)
            copied.record_stream(present)  # its memory was allocated on the other stream
        return copied

    with ThreadPoolExecutor(1, thread_name_prefix="read ahead") as thread:
        before = None
        for rows in pieces:
            ahead = thread.submit(read, rows)
            if before:
                yield received(before)
            before = ahead
        if before:
            yield received(before)
