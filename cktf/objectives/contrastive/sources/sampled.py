"""Negatives drawn for each anchor alone, as published."""

import torch
from torch import Tensor

from cktf import seeding
from cktf.batch import Batch
from cktf.objectives.contrastive.negatives import Negatives, Source


class SampledNegatives(Source):
    """K samples of other classes for each anchor, uniform, without replacement where there are K of them.

    An anchor whose class leaves fewer than K others draws with replacement, as published. The draw of a batch
    depends on (seed, step, offset) alone, so that objectives with equal K, and all their pairs, share it, and
    data-parallel workers draw independently of one another.

    Without replacement, an anchor's set is drawn in two moves. First every other-class sample is taken with a
    probability a little below K / available, by one random byte each. Then what is missing is filled with
    uniform draws among those not yet taken. Neither move prefers one sample to another, hence given its size
    the set is uniform; a set that the first move made too large is emptied, which depends on its size alone.
    Where K is more than half of what is available, the samples to leave out are drawn instead. The fill's
    width is fixed so that one fill is enough in all but few batches of a thousand, and the device is waited
    for once: to ask whether it was.

    Args:
        labels: (num_samples,), int64: labels of the training samples, at least two classes.
        count: K.
        seed: The replicate's seed.
    """

    labels: Tensor
    by_class: Tensor
    sizes: Tensor
    starts: Tensor
    available: Tensor
    repeats: Tensor
    complement: Tensor
    picks: Tensor
    thresholds: Tensor

    def __init__(self, labels: Tensor, count: int, seed: int) -> None:
        super().__init__()
        self.count = count
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
        # The first move's shortfall at five deviations, and a quarter more draws than find that many on average.
        missing = torch.minimum(picks, picks + available * (5 * deviation - thresholds / 256))
        self.width = 16 + int((1.25 * missing / (1 - rate)).max())
        # All derived of labels and count: not for a checkpoint.
        for name, value in {
            "labels": labels.int(),
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
    def forward(self, batch: Batch) -> Negatives:
        """Return the negatives of a batch."""
        classes = batch.labels
        generator = seeding.generator(self.seed, "negatives", batch.step, batch.offset, device=classes.device)
        weights = self._draw_distinct(classes, generator)
        if self.any_repeats:
            others = self._draw_others(classes, self.count, generator)
            weights.scatter_add_(1, others, self.repeats[classes].unsqueeze(1).expand_as(others))
        return Negatives(weights, self.count, distinct=not self.any_repeats)

    def classes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the classes of the training samples, and of a batch's samples."""
        return self.labels, batch.labels

    def _draw_distinct(self, classes: Tensor, generator: torch.Generator) -> Tensor:
        """Return (batch, num_samples): 1 for K others, distinct; none for a class that draws repeatedly."""
        is_other = self.labels != classes.int().unsqueeze(1)
        picked = _random_bytes(is_other.shape, generator) < self.thresholds[classes].unsqueeze(1)
        weights = picked.logical_and_(is_other).float()
        picks = self.picks[classes]
        missing = self._fill(weights, picks - weights.sum(1).long(), classes, generator)
        while bool(missing.any()):
            weights *= (missing >= 0).unsqueeze(1)
            missing = missing.where(missing >= 0, picks)
            missing = self._fill(weights, missing, classes, generator)
        if self.any_complement:
            weights = torch.where(self.complement[classes].unsqueeze(1), is_other.float() - weights, weights)
        return weights

    def _fill(self, weights: Tensor, missing: Tensor, classes: Tensor, generator: torch.Generator) -> Tensor:
        """Give each anchor the first new samples of a row of draws, as many as are missing; return the rest.

        Args:
            weights: (batch, num_samples), 0 or 1, changed in place.
            missing: (batch,), int64; below 0 nothing is given.
            classes: (batch,), int64.
            generator: Of the draws.
        """
        candidates = self._draw_others(classes, self.width, generator)
        taken = weights.gather(1, candidates)
        # The row's weights say for a moment at which draw, counted from the last, a sample comes up first.
        places = torch.arange(self.width, 0, -1.0, device=weights.device).expand_as(taken)
        weights.scatter_reduce_(1, candidates, places, "amax")
        first = weights.gather(1, candidates)
        new = (first == places) & (taken == 0)
        given = new & (new.cumsum(1) <= missing.unsqueeze(1))
        last = places.where(given, torch.inf).amin(1, keepdim=True)
        weights.scatter_(1, candidates, ((first >= last) | (taken > 0)).float())
        return missing - given.sum(1)

    def _draw_others(self, classes: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Return (batch, count), int64: uniform draws, with replacement, of samples of other classes."""
        draws = torch.empty(len(classes), count, dtype=torch.int64, device=classes.device)
        ranks = draws.random_(generator=generator) % self.available[classes].unsqueeze(1)
        # In the order of classes, an anchor's own class is one gap: ranks behind it move on by its size.
        behind = ranks >= self.starts[classes].unsqueeze(1)
        return self.by_class[ranks + behind * self.sizes[classes].unsqueeze(1)]


def _random_bytes(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Return uniform bytes, eight of each number that the generator makes."""
    words = torch.empty(-(-shape.numel() // 8), dtype=torch.int64, device=generator.device)
    words.random_(-(2**63), None, generator=generator)
    return words.view(torch.uint8)[: shape.numel()].view(shape)
