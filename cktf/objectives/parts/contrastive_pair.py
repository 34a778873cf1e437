"""One pair of representations, contrasted both ways: what CRD has one of and CKTF several."""

from typing import Any

from pydantic import Field
from torch import Tensor, nn

from cktf import seeding
from cktf.batch import Batch
from cktf.objectives.objective import ObjectiveSettings, Setting
from cktf.objectives.parts.contrast import estimate_partition, noise_contrastive_loss
from cktf.objectives.parts.heads import Head, HeadKind
from cktf.objectives.parts.memory_bank import MemoryBank
from cktf.objectives.parts.negatives import Negatives
from cktf.objectives.parts.workers import gather_batch


class ContrastiveSettings(ObjectiveSettings):
    """What every contrastive objective's settings have."""

    temperature: float = Field(default=0.1, ge=0.02, le=100)
    """tau, by which scores are divided; below 0.02 their exponentials could overflow in float32."""

    negatives: int = Field(default=16384, ge=1)
    """K: samples of other classes that each anchor is contrasted with."""

    momentum: float = Field(default=0.5, ge=0, lt=1)
    """Share of the old embedding when a row of a memory bank moves."""

    dim: int = Field(default=128, ge=1)
    """Dimensions in which representations are contrasted."""

    head: HeadKind = "linear"
    """Projection into these dimensions: `linear`, or `mlp` with one hidden layer as wide as its input."""


class Side(nn.Module):
    """The student's or the teacher's half of a pair.

    Args:
        name: Addresses the initial parameters: (pair, side).
        num_features: Of the representation.
        config: Settings.
        setting: What it is built for.

    Attributes:
        head: Projects representations to embeddings.
        bank: This side's embeddings of all samples; the other side's anchors are scored against them.
        partition: Z of this side's anchors, fixed at their first batch; None before. In the state dict, but a
            number: reading a buffer would make every step wait for the device.
    """

    def __init__(
        self, name: tuple[str, str], num_features: int, config: ContrastiveSettings, setting: Setting
    ) -> None:
        super().__init__()
        self.temperature = config.temperature
        self.partition: float | None = None
        with seeding.initialisation(setting.seed, "head", *name):
            self.head = Head(config.head, num_features, config.dim)
        with seeding.initialisation(setting.seed, "bank", *name):
            self.bank = MemoryBank(setting.num_samples, config.dim, config.momentum)

    def contrast(self, anchors: Tensor, bank: MemoryBank, batch: Batch, negatives: Negatives) -> Tensor:
        """Return the NCE loss of this side's anchors against the other side's bank, a scalar."""
        scored = anchors, bank.embeddings, batch.index, negatives
        if self.partition is None:
            estimate = estimate_partition(*scored, temperature=self.temperature)
            self.partition = float(gather_batch(estimate.expand(len(anchors)), batch).mean())
        return noise_contrastive_loss(*scored, temperature=self.temperature, partition=self.partition)

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
        num_features: Of the student's and of the teacher's representation.
        config: Settings.
        setting: What it is built for.
    """

    def __init__(
        self, name: str, num_features: tuple[int, int], config: ContrastiveSettings, setting: Setting
    ) -> None:
        super().__init__()
        self.student = Side((name, "student"), num_features[0], config, setting)
        self.teacher = Side((name, "teacher"), num_features[1], config, setting)

    def forward(self, student: Tensor, teacher: Tensor, batch: Batch, negatives: Negatives) -> Tensor:
        """Return the loss of both sides, a scalar, and move the banks.

        Args:
            student: (batch, student features), float32.
            teacher: (batch, teacher features), float32.
            batch: The batch that both are of; its ``index`` are rows of the banks.
            negatives: Of the batch.
        """
        student_anchors, teacher_anchors = self.student.head(student), self.teacher.head(teacher)
        loss = self.student.contrast(student_anchors, self.teacher.bank, batch, negatives)
        loss = loss + self.teacher.contrast(teacher_anchors, self.student.bank, batch, negatives)
        # Only now: both sides are scored against the banks as the step before left them.
        index = gather_batch(batch.index, batch)
        self.student.bank.update(index, gather_batch(student_anchors, batch))
        self.teacher.bank.update(index, gather_batch(teacher_anchors, batch))
        return loss
