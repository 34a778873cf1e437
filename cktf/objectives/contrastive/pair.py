"""One pair of representations, contrasted both ways: what CRD has one of and CKTF several."""

from typing import Any

import torch
from torch import Tensor, nn

from cktf import seeding
from cktf.batch import Batch
from cktf.errors import InputError
from cktf.objectives.contrastive.critics import agreement, as_products
from cktf.objectives.contrastive.heads import Head, HeadKind, pad_to_wider
from cktf.objectives.contrastive.info_nce import info_nce_loss
from cktf.objectives.contrastive.nce import estimate_partition, noise_contrastive_loss
from cktf.objectives.contrastive.negatives import Negatives
from cktf.objectives.contrastive.scores import MOST_ROWS, score_health
from cktf.objectives.contrastive.settings import ContrastiveSettings
from cktf.objectives.contrastive.sources import build_bank
from cktf.objectives.objective import BuildContext
from cktf.objectives.parts.workers import gather_batch


class Side(nn.Module):
    """The student's or the teacher's half of a pair.

    Args:
        name: Addresses the initial parameters: (pair, side).
        head: Kind of the head.
        shape: Of the representation.
        dim: Of an embedding.
        config: Settings.
        given: What it is built for.

    Attributes:
        head: Projects representations to embeddings.
        bank: What keeps this side's embeddings, and the other side's anchors are scored against; None where there
            are no negatives.
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
    ) -> None:
        super().__init__()
        self.config = config
        self.num_samples = given.num_samples
        self.partition: float | None = None
        with seeding.initialisation(given.seed, "head", *name):
            self.head = Head(head, shape, dim, unit_length=config.unit_length)
        with seeding.initialisation(given.seed, "bank", *name):
            self.bank = build_bank(config, given.num_samples, dim)

    def contrast(
        self, anchors: Tensor, positives: Tensor, rows: Tensor, batch: Batch, negatives: Negatives
    ) -> Tensor:
        """Return the loss of this side's anchors against the other side's positives and rows, a scalar."""
        anchors, positives, rows, temperature = self._products(anchors, positives, rows)
        scored = anchors, positives, rows, negatives
        if self.config.estimator == "infonce":
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
        """Return `score_health` of this side's anchors against the other side's positives and rows.

        Scores are as the loss sees them before they are divided by the temperature: cosines, or without
        ``unit_length`` minus the squared distance less what is the same for all of an anchor.
        """
        classes_of_rows, classes_of_anchors = classes
        every = -(-len(rows) // MOST_ROWS)
        rows, classes_of_rows = rows[::every].float(), classes_of_rows[::every]
        anchors, positives, rows, temperature = self._products(anchors, positives, rows)
        is_negative = classes_of_rows != classes_of_anchors.unsqueeze(1)
        return score_health(anchors, positives, rows, is_negative, temperature)

    def _products(
        self, anchors: Tensor, positives: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        """Return vectors whose products are the scores, and the temperature that goes with them."""
        temperature = self.config.temperature
        if not self.config.unit_length:
            return *as_products(anchors, positives, rows), temperature
        if self.config.critic == "squared_distance":
            temperature = temperature / 2
        return anchors, positives, rows, temperature

    def get_extra_state(self) -> dict[str, float | None]:
        """Return what the state dict holds besides parameters and buffers."""
        return {"partition": self.partition}

    def set_extra_state(self, state: Any) -> None:
        """Take over what `get_extra_state` returned."""
        self.partition = state["partition"]


class ContrastivePair(nn.Module):
    """Both sides of one pair.

    Initial heads and banks are addressed by (seed, pair, side) and by nothing else: the same pair begins
    alike in every objective, whichever others there are.

    Args:
        name: The pair: ``stem``, ``stage1``, ..., ``penultimate``.
        shapes: Of the student's and of the teacher's representation, without the batch dimension.
        config: Settings.
        given: What it is built for.

    Raises:
        ValueError: If a regressor cannot lead from one map to the other.
    """

    def __init__(
        self,
        name: str,
        shapes: tuple[torch.Size, torch.Size],
        config: ContrastiveSettings,
        given: BuildContext,
    ) -> None:
        super().__init__()
        self.config = config
        ours, theirs = shapes
        heads: tuple[HeadKind, HeadKind] = config.head, config.head
        dim = config.dim
        if config.head == "pad":
            dim = max(ours.numel(), theirs.numel())
        elif config.head == "regressor":
            if ours[1:] != theirs[1:]:
                raise InputError(
                    f"objective.cktf.head: a regressor needs maps of equal size, but those of {name} are "
                    f"{tuple(ours[1:])} and {tuple(theirs[1:])}; choose linear, mlp or pad"
                )
            heads, dim = ("regressor", "pad"), theirs.numel()
        self.student = Side((name, "student"), heads[0], ours, dim, config, given)
        self.teacher = Side((name, "teacher"), heads[1], theirs, dim, config, given)

    def forward(self, student: Tensor, teacher: Tensor, batch: Batch, negatives: Negatives | None) -> Tensor:
        """Return the loss of both sides, a scalar, and move the banks.

        Args:
            student: (batch, ...), float32.
            teacher: (batch, ...), float32.
            batch: The batch that both are of; its ``index`` are rows of memory banks.
            negatives: Of the batch. None: the loss is minus the mean critic of the two embeddings.
        """
        ours, theirs = pad_to_wider(self.student.head(student), self.teacher.head(teacher))
        if negatives is None:
            return -agreement(ours, theirs, self.config.critic, self.config.temperature).mean()
        assert self.student.bank is not None
        assert self.teacher.bank is not None
        candidates = self.teacher.bank.candidates(theirs, batch, negatives)
        loss = self.student.contrast(ours, *candidates, batch, negatives)
        candidates = self.student.bank.candidates(ours, batch, negatives)
        loss = loss + self.teacher.contrast(theirs, *candidates, batch, negatives)
        # Only now: both sides are scored against the banks as the step before left them.
        self.student.bank.update(batch, ours)
        self.teacher.bank.update(batch, theirs)
        return loss

    @torch.no_grad()
    def health(
        self, student: Tensor, teacher: Tensor, classes: tuple[Tensor, Tensor]
    ) -> dict[str, dict[str, Tensor]]:
        """Return for the bank of each side, ``student`` and ``teacher``, `Side.health` of the other side's anchors.

        Nothing moves. Each anchor's positive is the current embedding of the same sample, for a bank has no row of a
        sample that is not learnt from.

        Args:
            student: (batch, ...), float32.
            teacher: (batch, ...), float32.
            classes: As `Source.classes` gives them for the batch.
        """
        assert self.student.bank is not None
        assert self.teacher.bank is not None
        ours, theirs = pad_to_wider(self.student.head(student), self.teacher.head(teacher))
        return {
            "student": self.teacher.health(theirs, ours, self.student.bank.rows(ours), classes),
            "teacher": self.student.health(ours, theirs, self.teacher.bank.rows(theirs), classes),
        }
