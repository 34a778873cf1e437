"""Negatives: which samples the anchors of a batch are contrasted with, chosen once for all pairs."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf import seeding
from cktf.batch import Batch
from cktf.errors import InputError
from cktf.objectives.contrastive.queue import Queue
from cktf.objectives.contrastive.settings import ContrastiveSettings, SourceKind
from cktf.objectives.parts.workers import gather_batch

SECOND_WIDTH = 64
"""Extra draws per anchor of `SampledNegatives`, for when the fixed width of its fill is not enough."""

NO_CLASS = -1
"""Label of a queue's row that holds no sample yet: a negative of every anchor."""


@dataclass(frozen=True)
class Negatives:
    """The negatives of one batch, for all pairs and both sides.

    Attributes:
        weights: (batch, candidates), float32: how often each candidate is a negative of each anchor.
        count: K, of NCE's noise K / n.
        distinct: Whether all weights are 0 or 1, which saves the contrast some work.
        scale: (batch,), float32: factor of each anchor's weights; None: 1.
        rows: (candidates,), int64: rows of a bank that are candidates; None: all rows, in order.
        mean_count: Mean number of negatives per anchor, over the whole batch; None: K.
        positives: (batch, candidates), float32: 1 for each further positive of the anchor, else 0; None: none.
    """

    weights: Tensor
    count: int
    distinct: bool
    scale: Tensor | None = None
    rows: Tensor | None = None
    mean_count: Tensor | None = None
    positives: Tensor | None = None

    @cached_property
    def packed(self) -> Tensor:
        """The weights as the fused kernel reads them: as bytes if all are 0 or 1."""
        return self.weights.to(torch.uint8) if self.distinct else self.weights

    @property
    def per_anchor(self) -> float | Tensor:
        """Mean number of negatives per anchor."""
        return self.count if self.mean_count is None else self.mean_count


@torch.no_grad()
def of_other_classes(classes: Tensor, batch: Batch, count: int, rows: Tensor | None = None) -> Negatives:
    """Return as each anchor's negatives the candidates whose class, in ``classes`` (candidates,), is not its own."""
    weights = (classes != batch.labels.unsqueeze(1)).float()
    mean_count = gather_batch(weights.sum(1), batch).mean()
    return Negatives(weights, count, distinct=True, rows=rows, mean_count=mean_count)


def differ(teacher: Tensor, rows: Tensor, threshold: float) -> Tensor:
    """Return where the teacher's embeddings of anchor and candidate have a cosine of at most ``threshold``: bool.

    ``teacher`` (batch, dim) are those of the anchors, ``rows`` (candidates, dim) of the candidates.
    """
    return functional.normalize(teacher, dim=1) @ functional.normalize(rows.float(), dim=1).T <= threshold


@torch.no_grad()
def without_alike(negatives: Negatives, teacher: Tensor, rows: Tensor, batch: Batch, threshold: float) -> Negatives:
    """Return the negatives without those that do not `differ` from the anchor."""
    weights = negatives.weights * differ(teacher, rows, threshold)
    counts = weights.sum(1) if negatives.scale is None else weights.sum(1) * negatives.scale
    return replace(negatives, weights=weights, mean_count=gather_batch(counts, batch).mean())


class Source(nn.Module, ABC):
    """Chooses a batch's negatives, once for all pairs."""

    several: bool = False
    """Whether all candidates of the anchor's class are positives, not only the one of its own sample."""

    def with_positives(
        self, negatives: Negatives, classes: Tensor, batch: Batch, index: Tensor | None = None
    ) -> Negatives:
        """Return the negatives with the further positives of each anchor, if there are `several`.

        ``classes`` and ``index`` (candidates,) are the candidates' classes and sample indices; ``index`` None: the
        candidates are all training samples in order.
        """
        if not self.several:
            return negatives
        index = torch.arange(len(classes), device=classes.device) if index is None else index
        is_further = (classes == batch.labels.unsqueeze(1)) & (index != batch.index.unsqueeze(1))
        return replace(negatives, positives=is_further.float())

    def draws(self, batch: Batch) -> dict[nn.Module, Tensor]:
        """Return the random numbers of a batch that ``forward`` would otherwise draw (see `Objective.draws`)."""
        return {}

    @abstractmethod
    def forward(self, batch: Batch) -> Negatives:
        """Return the negatives of a training batch."""

    @abstractmethod
    def classes(self, batch: Batch) -> Tensor:
        """Return the classes of all rows of a bank, (rows,), for a batch that may be of validation samples."""


class FromMemory(Source):
    """A source of K negatives that are rows of a memory bank, of training samples with ``labels`` (num_samples,)."""

    labels: Tensor

    def __init__(self, labels: Tensor, count: int) -> None:
        super().__init__()
        self.count = count
        # Computed from data and settings, as all buffers of subclasses are: not for a checkpoint.
        self.register_buffer("labels", labels.int(), persistent=False)

    def classes(self, batch: Batch) -> Tensor:
        return self.labels


class EveryNegative(FromMemory):
    """All samples of other classes, each of weight K / available: NCE then equals its expectation over K draws.

    InfoNCE then equals its limit for many negatives, an upper bound of its expectation.
    """

    scales: Tensor

    def __init__(self, labels: Tensor, count: int) -> None:
        super().__init__(labels, count)
        self.register_buffer("scales", count / (len(labels) - torch.bincount(labels)), persistent=False)

    @torch.no_grad()
    def forward(self, batch: Batch) -> Negatives:
        weights = (self.labels != batch.labels.int().unsqueeze(1)).float()
        negatives = Negatives(weights, self.count, distinct=True, scale=self.scales[batch.labels])
        return self.with_positives(negatives, self.labels, batch)


class SharedNegatives(FromMemory):
    """K samples, drawn once for the whole batch; each anchor leaves out those of its own class.

    They are drawn uniformly, without replacement if there are K of them. Only K rows of the bank are then multiplied.
    The draw depends on (seed, step) alone, so that all pairs and all data-parallel workers share it.
    """

    def __init__(self, labels: Tensor, count: int, seed: int) -> None:
        super().__init__(labels, count)
        self.seed = seed

    @torch.no_grad()
    def draws(self, batch: Batch) -> dict[nn.Module, Tensor]:
        """Return the rows of a batch's candidates, (K,), int64."""
        device = self.labels.device
        generator = seeding.generator(self.seed, "shared negatives", batch.step, device=device)
        if self.count <= len(self.labels):
            rows = torch.randperm(len(self.labels), generator=generator, device=device)[: self.count]
        else:
            rows = torch.randint(len(self.labels), (self.count,), generator=generator, device=device)
        return {self: rows.sort().values}  # so that every gather runs through its bank in the order of memory

    @torch.no_grad()
    def forward(self, batch: Batch) -> Negatives:
        rows = (batch.drawn or self.draws(batch))[self]
        labels = self.labels[rows]
        return self.with_positives(of_other_classes(labels, batch, self.count, rows), labels, batch, rows)


class SampledNegatives(FromMemory):
    """K samples of other classes for each anchor, drawn uniformly, without replacement if there are K of them.

    An anchor whose class leaves fewer than K others draws with replacement, as published. The draw of a batch
    depends on (seed, step, offset) alone, so that objectives with equal K, and all their pairs, share it, and
    data-parallel workers draw independently of one another.

    Without replacement, every other-class sample is first taken with a probability a little below K / available, by one
    random byte each. Then the missing ones are filled with uniform draws among those not yet taken; from a set that is
    too large (one in three million), uniform draws among its members are removed. Neither step prefers one sample to
    another, hence the set is uniform. If K is more than half of those available, the samples to leave out are drawn
    instead. The fill has a fixed width, which is enough in all but few batches of a thousand. For these there is
    a second draw; it is always made, because a step must not wait for the device to tell whether it is needed.
    """

    by_class: Tensor
    sizes: Tensor
    starts: Tensor
    available: Tensor
    repeats: Tensor
    complement: Tensor
    picks: Tensor
    thresholds: Tensor

    def __init__(self, labels: Tensor, count: int, seed: int) -> None:
        super().__init__(labels, count)
        self.seed = seed
        sizes = torch.bincount(labels)
        available = len(labels) - sizes
        repeats = available < count
        complement = ~repeats & (2 * count > available)
        picks = torch.where(complement, available - count, count).where(~repeats, 0)
        rate = picks / available
        # Five standard deviations below the rate: one set in three million comes out too large.
        deviation = torch.sqrt(rate * (1 - rate) / available)
        thresholds = (256 * (rate - 5 * deviation)).clamp(min=0).to(torch.uint8)
        # The first step's shortfall at five deviations, and a quarter more draws than fill it on average.
        missing = torch.minimum(picks, picks + available * (5 * deviation - thresholds / 256))
        self.width = 16 + int((1.25 * missing / (1 - rate)).max())
        for name, value in {
            "by_class": labels.argsort(stable=True),
            "sizes": sizes,
            "starts": sizes.cumsum(0) - sizes,
            "available": available,
            "repeats": repeats.float(),
            "complement": complement,
            "picks": picks,
            "thresholds": thresholds,
        }.items():
            self.register_buffer(name, value, persistent=False)
        self.any_repeats = bool(repeats.any())
        self.any_complement = bool(complement.any())

    @torch.no_grad()
    def draws(self, batch: Batch) -> dict[nn.Module, Tensor]:
        """Return the weights (batch, num_samples), float32, of a batch."""
        classes = batch.labels
        # The second fill has a stream of its own, so that draws after the first do not depend on it.
        first, second = (
            seeding.generator(self.seed, purpose, batch.step, batch.offset, device=classes.device)
            for purpose in ("negatives", "negatives, second fill")
        )
        weights = self._draw_distinct(classes, first, second)
        if self.any_repeats:
            others = self._draw_others(classes, self.count, first)
            weights.scatter_add_(1, others, self.repeats[classes].unsqueeze(1).expand_as(others))
        return {self: weights}

    def forward(self, batch: Batch) -> Negatives:
        weights = (batch.drawn or self.draws(batch))[self]
        negatives = Negatives(weights, self.count, distinct=not self.any_repeats)
        return self.with_positives(negatives, self.labels, batch)

    def _draw_distinct(self, classes: Tensor, first: torch.Generator, second: torch.Generator) -> Tensor:
        """Return weights (batch, num_samples): 1 for K distinct negatives of each anchor that has so many; else 0."""
        is_other = self.labels != classes.int().unsqueeze(1)
        # Each number that the generator makes gives eight bytes.
        words = torch.empty(-(-is_other.numel() // 8), dtype=torch.int64, device=classes.device)
        words.random_(-(2**63), None, generator=first)
        uniform = words.view(torch.uint8)[: is_other.numel()].view(is_other.shape)
        picked = uniform < self.thresholds[classes].unsqueeze(1)
        weights = picked.logical_and_(is_other).float()
        picks = self.picks[classes]
        self._fill(weights, picks - weights.sum(1).long(), self._draw_others(classes, self.width, first, second))
        if self.any_complement:
            weights = torch.where(self.complement[classes].unsqueeze(1), is_other.float() - weights, weights)
        return weights

    def _fill(self, weights: Tensor, missing: Tensor, candidates: Tensor) -> None:
        """Give each anchor the first new samples of its row of candidates (batch, draws), as many as are missing.

        ``weights`` (batch, num_samples), 0 or 1, are changed in place. If ``missing`` (batch,) is negative, that
        many of the anchor's samples are removed instead: the first in its row.
        """
        taken = weights.gather(1, candidates)
        # For a moment the weights hold the place, counted from the row's end, of each sample's first draw.
        places = torch.arange(candidates.shape[1], 0, -1.0, device=weights.device).expand_as(taken)
        weights.scatter_reduce_(1, candidates, places, "amax")
        first = weights.gather(1, candidates)
        is_short = (missing >= 0).unsqueeze(1)
        new = (first == places) & ((taken == 0) == is_short)
        moved = new & (new.cumsum(1) <= missing.abs().unsqueeze(1))
        last = places.where(moved, torch.inf).amin(1, keepdim=True)
        # All draws of one sample get the same value, so their order does not matter.
        found = torch.where(is_short, (first >= last) | (taken > 0), (first < last) & (taken > 0))
        weights.scatter_(1, candidates, found.float())

    def _draw_others(
        self, classes: Tensor, count: int, generator: torch.Generator, second: torch.Generator | None = None
    ) -> Tensor:
        """Return (batch, count), int64: uniform draws, with replacement, of samples of other classes.

        With a ``second`` generator, `SECOND_WIDTH` more are drawn from that one.
        """
        draws = torch.empty(len(classes), count, dtype=torch.int64, device=classes.device).random_(generator=generator)
        if second:
            more = draws.new_empty(len(classes), SECOND_WIDTH).random_(generator=second)
            draws = torch.cat([draws, more], dim=1)
        ranks = draws % self.available[classes].unsqueeze(1)
        # With samples sorted by class, the anchor's class is one gap: ranks from its start on are shifted by its size.
        behind = ranks >= self.starts[classes].unsqueeze(1)
        return self.by_class[ranks + behind * self.sizes[classes].unsqueeze(1)]


class QueuedNegatives(Source):
    """The last K samples of the trial, except those of an anchor's class (He et al., arXiv 1911.05722).

    Their labels are stored here, their embeddings in an `EmbeddingQueue` for each side.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.labels = Queue(torch.full((count,), NO_CLASS))

    @torch.no_grad()
    def forward(self, batch: Batch) -> Negatives:
        """Return the negatives of a batch, and take its labels into the queue for the next."""
        negatives = of_other_classes(self.labels.values, batch, self.count)
        # An earlier embedding of the anchor's own sample is a positive like any of its class.
        no_index = torch.full_like(self.labels.values, -1)
        negatives = self.with_positives(negatives, self.labels.values, batch, no_index)
        self.labels.push(gather_batch(batch.labels, batch))
        return negatives

    def classes(self, batch: Batch) -> Tensor:
        return self.labels.values


class BatchNegatives(Source):
    """The samples of the whole batch, over all workers, except those of an anchor's class.

    As in SimCLR (arXiv 2002.05709) and CLIP (arXiv 2103.00020). K is the number of other samples, whatever the setting.
    """

    def forward(self, batch: Batch) -> Negatives:
        classes = gather_batch(batch.labels, batch)
        negatives = of_other_classes(classes, batch, count=len(classes) - 1)
        return self.with_positives(negatives, classes, batch, gather_batch(batch.index, batch))

    def classes(self, batch: Batch) -> Tensor:
        return batch.labels


def build_source(config: ContrastiveSettings, labels: Tensor, seed: int) -> Source | None:
    """Return the source of negatives for training samples of ``labels`` (num_samples,), int64; None without negatives.

    If the settings read no labels, every sample is a class of its own, and so must a batch's ``labels`` be.

    Raises:
        ValueError: If there is only one class, so that no sample has negatives.
    """
    if config.negatives == 0:
        return None
    if not config.labels:
        labels = torch.arange(len(labels))
    if bool((labels == labels[0]).all()):
        raise InputError(f"negatives are samples of other classes, but all {len(labels)} samples have one label")
    kinds: dict[SourceKind, Callable[[], Source]] = {
        "sampled": lambda: SampledNegatives(labels, config.negatives, seed),
        "all": lambda: EveryNegative(labels, config.negatives),
        "shared": lambda: SharedNegatives(labels, config.negatives, seed),
        "queue": lambda: QueuedNegatives(config.negatives),
        "batch": BatchNegatives,
    }
    source = kinds[config.source]()
    source.several = config.positives == "class"
    return source
