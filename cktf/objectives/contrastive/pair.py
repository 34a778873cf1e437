"""One pair of representations, contrasted both ways: CRD has one pair, CKTF several."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cktf import seeding
from cktf.batch import Batch
from cktf.errors import InputError
from cktf.objectives.contrastive.banks import Bank, CurrentEmbeddings, MemoryBank, build_bank, moved_towards
from cktf.objectives.contrastive.heads import Head, agreement, embed
from cktf.objectives.contrastive.info_nce import info_nce_loss
from cktf.objectives.contrastive.nce import estimate_partition, kernel_for, noise_contrastive_loss
from cktf.objectives.contrastive.negatives import Negatives, differ, without_alike
from cktf.objectives.contrastive.reweighted import reweighted_loss
from cktf.objectives.contrastive.settings import ContrastiveSettings, HeadKind
from cktf.objectives.objective import BuildContext
from cktf.objectives.parts.workers import gather_batch, gather_samples
from cktf.objectives.schedules import Value

MOST_ROWS = 4096
"""Largest number of rows of a bank whose scores are measured; larger banks are sampled evenly, to bound the cost."""


class Side(nn.Module):
    """The student's or the teacher's half of a pair; ``name``, (pair, side), addresses the initial parameters.

    ``partition`` is Z of its anchors, fixed at their first batch; None before, and with InfoNCE. It is in the state
    dict, as a plain number: reading a buffer would make every step wait for the device.
    """

    def __init__(
        self,
        name: tuple[str, str],
        head: HeadKind,
        shape: torch.Size,
        dim: int,
        config: ContrastiveSettings,
        given: BuildContext,
    ) -> None:
        super().__init__()
        self.partition: float | None = None
        with seeding.initialisation(given.seed, "head", *name):
            form = config.model_dump(include={"unit_length", "depth", "width", "norm"})
            self.head = Head(head, shape, dim, **form)
        with seeding.initialisation(given.seed, "bank", *name):
            self.bank = build_bank(config, given.num_samples, dim)

    @property
    def stored(self) -> Bank:
        """The bank, which is never None in a contrast with negatives."""
        assert self.bank is not None
        return self.bank

    def get_extra_state(self) -> dict[str, float | None]:
        return {"partition": self.partition}

    def set_extra_state(self, state: Any) -> None:
        self.partition = state["partition"]


class ContrastivePair(nn.Module):
    """Both sides of the pair ``name``; their representations have ``shapes`` without the batch dimension.

    Initial heads and banks are addressed by (seed, pair, side) alone: the same pair starts with the same parameters in
    every objective, whatever the other objectives are. Pairs may share a ``temperature``.

    Raises:
        ValueError: If a regressor cannot lead from one map to the other.
    """

    def __init__(
        self,
        name: str,
        shapes: tuple[torch.Size, torch.Size],
        config: ContrastiveSettings,
        given: BuildContext,
        temperature: Value,
    ) -> None:
        super().__init__()
        self.name, self.config = name, config
        self.temperature, self.num_samples = temperature, given.num_samples
        student_shape, teacher_shape = shapes
        heads: tuple[HeadKind, HeadKind] = config.head, config.head
        self.dim = config.dim
        if config.head == "pad":
            self.dim = max(student_shape.numel(), teacher_shape.numel())
        elif config.head == "regressor":
            if student_shape[1:] != teacher_shape[1:]:
                raise InputError(
                    f"objective.cktf.head: a regressor needs maps of equal size, but those of {name} are "
                    f"{tuple(student_shape[1:])} and {tuple(teacher_shape[1:])}; choose linear, mlp or pad"
                )
            heads, self.dim = ("regressor", "pad"), teacher_shape.numel()
        self.student, self.teacher = (
            Side((name, side), head, shape, self.dim, config, given)
            for side, head, shape in zip(("student", "teacher"), heads, shapes, strict=True)
        )

    def is_fused(self, device: torch.device) -> bool:
        """Return whether the fused kernel takes the contrast on a device."""
        is_product = self.config.source == "batch" and self.config.estimator == "nce"  # rows need gradients
        return self.config.negatives > 0 and not is_product and kernel_for(device, self.dim) is not None

    @torch.no_grad()
    def health(self, student: Tensor, teacher: Tensor, labels: Tensor, classes: Tensor) -> dict[str, dict[str, Tensor]]:
        """Return `score_health` for the bank of each side, ``NAME.student`` and ``NAME.teacher``.

        ``labels`` (batch,) are the anchors' classes, ``classes`` (rows,) those of a bank's rows. Each anchor's positive
        is the current embedding of the same sample, because a bank has no row of a validation sample.
        """
        of_student, of_teacher = embed([self.student.head, self.teacher.head], (student, teacher))
        temperature, threshold = scaled(self.temperature(), self.config), self.config.teacher_threshold
        every = -(-len(classes) // MOST_ROWS)
        rows_of_student = self.student.stored.rows(of_student)[::every].float()
        rows_of_teacher = self.teacher.stored.rows(of_teacher)[::every].float()
        is_negative = classes[::every] != labels.unsqueeze(1)
        if threshold is not None:
            is_negative &= differ(of_teacher, rows_of_teacher, threshold)
        same = is_negative, temperature
        return {
            f"{self.name}.student": score_health(of_teacher, of_student, rows_of_student, *same),
            f"{self.name}.teacher": score_health(of_student, of_teacher, rows_of_teacher, *same),
        }


def losses(
    compared: Mapping[ContrastivePair, tuple[Tensor, Tensor]],
    batch: Batch,
    negatives: Mapping[ContrastivePair, Negatives | None],
) -> dict[ContrastivePair, Tensor]:
    """Return the loss of each pair of one method, a scalar, and update the banks.

    Pairs with the same negatives, width and temperature are contrasted together, since a GPU's time goes by the number
    of operators. Without negatives a loss is minus the mean critic of the two embeddings. ``compared`` has each
    pair's representations (batch, ...), the student's and the teacher's.
    """
    found: dict[ContrastivePair, Tensor] = {}
    together: dict[tuple[object, ...], list[ContrastivePair]] = {}
    for pair, of_networks in compared.items():
        if (chosen := negatives[pair]) is None:
            of_student, of_teacher = embed([pair.student.head, pair.teacher.head], of_networks)
            found[pair] = -agreement(of_student, of_teacher, pair.config.critic, pair.temperature()).mean()
        else:
            alone = pair.name if pair.config.teacher_threshold is not None else ""
            together.setdefault((id(chosen), id(pair.temperature), pair.dim, alone), []).append(pair)
    for pairs in together.values():
        chosen = negatives[pairs[0]]
        assert chosen is not None
        of_pairs = _contrast(pairs, [own for pair in pairs for own in compared[pair]], batch, chosen)
        found |= zip(pairs, of_pairs.unbind(), strict=True)
    return found


def _contrast(
    pairs: Sequence[ContrastivePair], representations: Sequence[Tensor], batch: Batch, negatives: Negatives
) -> Tensor:
    """Return the losses (pairs,) of pairs that are contrasted alike; sides are in the order student, teacher."""
    config = pairs[0].config
    sides = [side for pair in pairs for side in (pair.student, pair.teacher)]
    banks = [side.stored for side in sides]
    anchors = embed([side.head for side in sides], representations)
    rows = [bank.candidates(own, batch, negatives) for bank, own in zip(banks, anchors.unbind(), strict=True)]
    rows = [row for pair in zip(rows[1::2], rows[::2], strict=True) for row in pair]  # the other side's
    index, moved = gather_samples(anchors.detach(), batch)
    of_samples = anchors if isinstance(banks[0], CurrentEmbeddings) else anchors.detach()
    memories = [bank for bank in banks if isinstance(bank, MemoryBank)]
    if memories:
        latest = torch.stack([bank.embeddings[index] for bank in memories])
        moved = moved_towards(moved, latest, config.momentum)
        of_samples = latest[:, batch.offset : batch.offset + len(batch.index)].float()
    positives = of_samples.reshape(-1, 2, *of_samples.shape[1:]).flip(1).flatten(0, 1)
    if config.teacher_threshold is not None:
        negatives = without_alike(negatives, anchors[1], rows[0], batch, config.teacher_threshold)
    loss = _losses(pairs[0], sides, anchors, positives, rows, batch, negatives)
    # Only now: both sides are scored against the banks as the step before left them.
    for bank, own in zip(banks, moved, strict=True):
        bank.store(index, own)
    return loss.view(-1, 2).sum(1)


def _losses(
    pair: ContrastivePair,
    sides: Sequence[Side],
    anchors: Tensor,
    positives: Tensor,
    rows: Sequence[Tensor],
    batch: Batch,
    negatives: Negatives,
) -> Tensor:
    """Return the loss of each side's anchors against the other side's positives and rows, (sides,).

    ``pair`` gives the settings of all sides.
    """
    config, temperature = pair.config, scaled(pair.temperature(), pair.config)
    if isinstance(temperature, Tensor):  # if it is learned, its gradient comes through the anchors
        anchors, temperature = anchors / temperature, 1.0
    if config.estimator == "infonce":
        if config.hardness == 0 and negatives.positives is None:
            return info_nce_loss(anchors, positives, rows, negatives, temperature=temperature)
        of_one = partial(reweighted_loss, negatives=negatives, temperature=temperature, hardness=config.hardness)
        return torch.stack([of_one(*of_side) for of_side in zip(anchors, positives, rows, strict=True)])
    same: dict[str, Any] = {"temperature": temperature, "num_samples": pair.num_samples}
    for side, own, positive, of_side in zip(sides, anchors, positives, rows, strict=True):
        if side.partition is None:
            estimate = estimate_partition(own, positive, of_side, negatives, **same)
            side.partition = float(gather_batch(estimate.expand(len(own)), batch).mean())
    partitions = [side.partition or 0.0 for side in sides]
    return noise_contrastive_loss(anchors, positives, rows, negatives, partitions=partitions, **same)


def scaled(temperature: float | Tensor, config: ContrastiveSettings) -> float | Tensor:
    """Return the temperature of dot products: half of it if they replace squared distances of unit vectors."""
    return temperature / 2 if config.critic == "squared_distance" else temperature


@torch.no_grad()
def score_health(
    anchors: Tensor, positives: Tensor, rows: Tensor, is_negative: Tensor, temperature: float | Tensor
) -> dict[str, Tensor]:
    """Return diagnostics of a contrast from the scores v . m of a batch of anchors, scalars.

    positive
        Mean score of anchor and positive.
    negative
        Mean score of anchor and negative: over the negatives of an anchor, and then over the anchors.
    gap
        positive - negative.
    temperature
        tau / s, the effective temperature. s^2 is the variance of an anchor's scores of negatives, mean over anchors.
        A negative whose score is z standard deviations above the mean weighs exp(z / (tau / s)) times as much in the
        gradient as one at the mean (the relative penalty of Wang and Liu, CVPR 2021, arXiv 2012.09740; for NCE, where
        p is small compared with c). Far above 1 all negatives count alike; far below, the nearest alone. So it compares
        contrasts whose heads or banks spread scores differently, where equal taus are not equally sharp.

    Args:
        anchors: (batch, dim), float32.
        positives: (batch, dim), float32: the other side's embedding of each anchor's sample.
        rows: (rows, dim), float32: rows of the other side's bank.
        is_negative: (batch, rows), bool. Anchors without negatives count only for ``positive``.
        temperature: tau.
    """
    positive = (anchors * positives).sum(1).mean()
    counts = is_negative.sum(1, keepdim=True)
    has_negatives = counts.squeeze(1) > 0
    scores, weights = anchors @ rows.T, is_negative / counts
    means = (scores * weights).sum(1, keepdim=True)
    variances = ((scores - means).square() * weights).sum(1)
    negative = means.squeeze(1)[has_negatives].mean()
    spread = variances[has_negatives].mean().sqrt()
    return {"positive": positive, "negative": negative, "gap": positive - negative, "temperature": temperature / spread}
