"""One pair of representations, contrasted both ways: CRD has one pair, CKTF several."""

from typing import Any

import torch
from torch import Tensor, nn

from cktf import seeding
from cktf.batch import Batch
from cktf.errors import InputError
from cktf.objectives.contrastive.banks import Bank, build_bank
from cktf.objectives.contrastive.heads import Head, agreement, as_products, pad_to_wider
from cktf.objectives.contrastive.info_nce import info_nce_loss
from cktf.objectives.contrastive.nce import estimate_partition, is_fused, noise_contrastive_loss
from cktf.objectives.contrastive.negatives import Negatives, Source, without_alike
from cktf.objectives.contrastive.reweighted import reweighted_loss
from cktf.objectives.contrastive.settings import ContrastiveSettings, HeadKind
from cktf.objectives.objective import BuildContext
from cktf.objectives.parts.workers import gather_batch
from cktf.objectives.schedules import Value, value_of

MOST_ROWS = 4096
"""Rows whose scores are measured at most; larger banks are sampled evenly, so the cost does not grow with the data."""


class Side(nn.Module):
    """The student's or the teacher's half of a pair; ``name``, (pair, side), addresses the initial parameters.

    Attributes:
        partition: Z of this side's anchors, fixed at their first batch; None before, and with InfoNCE. In the
            state dict, but a number: reading a buffer would make every step wait for the device.
    """

    def __init__(
        self,
        name: tuple[str, str],
        head: HeadKind,
        shape: torch.Size,
        dim: int,
        config: ContrastiveSettings,
        given: BuildContext,
        temperature: Value,
    ) -> None:
        super().__init__()
        self.config = config
        self.temperature = temperature
        self.num_samples = given.num_samples
        self.partition: float | None = None
        with seeding.initialisation(given.seed, "head", *name):
            form = config.model_dump(include={"unit_length", "depth", "width", "norm"})
            self.head = Head(head, shape, dim, **form)
        with seeding.initialisation(given.seed, "bank", *name):
            self.bank = build_bank(config, given.num_samples, dim)

    @property
    def stored(self) -> Bank:
        """The bank of a contrast with negatives."""
        assert self.bank is not None
        return self.bank

    def contrast(self, anchors: Tensor, positives: Tensor, rows: Tensor, batch: Batch, negatives: Negatives) -> Tensor:
        """Return the loss of this side's anchors against the other side's positives and rows, a scalar."""
        anchors, positives, rows, temperature = self._products(anchors, positives, rows)
        if isinstance(temperature, Tensor):  # its gradient, if it is learned, is that of the anchors
            anchors, temperature = anchors / temperature, 1.0
        scored = anchors, positives, rows, negatives
        if self.config.estimator == "infonce":
            if self.config.hardness > 0 or negatives.positives is not None:
                return reweighted_loss(*scored, temperature=temperature, hardness=self.config.hardness)
            return info_nce_loss(*scored, temperature=temperature)
        if self.partition is None:
            estimate = estimate_partition(*scored, temperature=temperature, num_samples=self.num_samples)
            self.partition = float(gather_batch(estimate.expand(len(anchors)), batch).mean())
        return noise_contrastive_loss(
            *scored, temperature=temperature, num_samples=self.num_samples, partition=self.partition
        )

    def health(
        self, anchors: Tensor, positives: Tensor, rows: Tensor, classes: tuple[Tensor, Tensor]
    ) -> dict[str, Tensor]:
        """Return `score_health` of this side's anchors against the other side's positives and some of its rows.

        ``classes`` are those that `Source.classes` gives.
        """
        every = -(-len(rows) // MOST_ROWS)
        is_negative = classes[0][::every] != classes[1].unsqueeze(1)
        anchors, positives, rows, temperature = self._products(anchors, positives, rows[::every].float())
        return score_health(anchors, positives, rows, is_negative, temperature)

    def _products(
        self, anchors: Tensor, positives: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, float | Tensor]:
        """Return vectors whose products are the scores, and the temperature that goes with them.

        The scores are cosines, or without ``unit_length`` minus the squared distance, up to a constant for each anchor.
        """
        temperature = self.temperature()
        if not self.config.unit_length:
            return *as_products(anchors, positives, rows), temperature
        if self.config.critic == "squared_distance":
            temperature = temperature / 2
        return anchors, positives, rows, temperature

    def get_extra_state(self) -> dict[str, float | None]:
        """Return the part of the state dict besides parameters and buffers."""
        return {"partition": self.partition}

    def set_extra_state(self, state: Any) -> None:
        """Restore the state that `get_extra_state` returned."""
        self.partition = state["partition"]


class ContrastivePair(nn.Module):
    """Both sides of the pair ``name``, of representations with these ``shapes`` without the batch dimension.

    Initial heads and banks are addressed by (seed, pair, side) alone: the same pair starts with the same parameters in
    every objective, whatever the other objectives are. ``temperature`` is one that pairs share; None: its own.

    Raises:
        ValueError: If a regressor cannot lead from one map to the other.
    """

    def __init__(
        self,
        name: str,
        shapes: tuple[torch.Size, torch.Size],
        config: ContrastiveSettings,
        given: BuildContext,
        temperature: Value | None = None,
    ) -> None:
        super().__init__()
        self.name, self.config = name, config
        self.temperature = temperature or value_of(config.temperature)
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
            Side((name, side), head, shape, self.dim, config, given, self.temperature)
            for side, head, shape in zip(("student", "teacher"), heads, shapes, strict=True)
        )

    def forward(self, student: Tensor, teacher: Tensor, batch: Batch, negatives: Negatives | None) -> Tensor:
        """Return the loss of both sides' representations (batch, ...), a scalar, and update the banks.

        Without negatives it is minus the mean critic of the two embeddings.
        """
        of_student, of_teacher = pad_to_wider(self.student.head(student), self.teacher.head(teacher))
        if negatives is None:
            return -agreement(of_student, of_teacher, self.config.critic, self.temperature()).mean()
        candidates = self.teacher.stored.candidates(of_teacher, batch, negatives)
        if self.config.teacher_threshold is not None:
            negatives = without_alike(negatives, of_teacher, candidates[1], batch, self.config.teacher_threshold)
        loss = self.student.contrast(of_student, *candidates, batch, negatives)
        candidates = self.student.stored.candidates(of_student, batch, negatives)
        loss = loss + self.teacher.contrast(of_teacher, *candidates, batch, negatives)
        # Only now: both sides are scored against the banks as the step before left them.
        self.student.stored.update(batch, of_student)
        self.teacher.stored.update(batch, of_teacher)
        return loss

    def is_fused(self, device: torch.device) -> bool:
        """Return whether the fused kernel takes the contrast on a device."""
        return self.config.negatives > 0 and self.config.source != "batch" and is_fused(device, self.dim)

    @torch.no_grad()
    def health(
        self, student: Tensor, teacher: Tensor, batch: Batch, source: Source | None
    ) -> dict[str, dict[str, Tensor]]:
        """Return `Side.health` for the bank of each side, ``NAME.student`` and ``NAME.teacher``; {} without negatives.

        No state changes. Each anchor's positive is the current embedding of the same sample, because a bank has no row
        of a validation sample.
        """
        if source is None:
            return {}
        classes = source.classes(batch)
        of_student, of_teacher = pad_to_wider(self.student.head(student), self.teacher.head(teacher))
        of_students_bank = of_teacher, of_student, self.student.stored.rows(of_student), classes
        of_teachers_bank = of_student, of_teacher, self.teacher.stored.rows(of_teacher), classes
        return {
            f"{self.name}.student": self.teacher.health(*of_students_bank),
            f"{self.name}.teacher": self.student.health(*of_teachers_bank),
        }


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
        The effective one, tau / s. s^2 is the variance of the scores of an anchor's negatives, mean over the anchors.
        A negative whose score is z standard deviations above the mean weighs exp(z / (tau / s)) times as much in the
        gradient as one at the mean (the relative penalty of Wang and Liu, CVPR 2021, arXiv 2012.09740; of NCE, where p
        is small against c). Far above 1 all negatives count alike; far below, the nearest alone. So it compares
        contrasts whose heads or banks spread scores differently, where equal taus are not equally sharp.

    Args:
        anchors: (batch, dim), float32.
        positives: (batch, dim), float32: of each anchor, the other side's embedding.
        rows: (rows, dim), float32: of the other side.
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
