"""Contrastive representation distillation: Tian, Krishnan and Isola, ICLR 2020, arXiv 1910.10699."""

import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.objectives.contrastive.negatives import build_source
from cktf.objectives.contrastive.pair import ContrastivePair
from cktf.objectives.contrastive.settings import ContrastiveSettings
from cktf.objectives.objective import BuildContext, FeatureObjective, Weight
from cktf.objectives.parts.stages import penultimate_of
from cktf.objectives.schedules import value_of


class CRD(FeatureObjective):
    """The penultimate vectors are contrasted: the NCE loss of both sides of one pair (eq. 18).

    It is CKTF with that pair alone, whose beta is here the ``weight``.
    """

    takes_mixed = False  # a bank's row and a negative are of one sample and one class

    class Config(ContrastiveSettings):
        weight: Weight = 0.8

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.source = build_source(config, given.labels, given.seed)
        shapes = given.student.penultimate, given.teacher.penultimate
        self.temperature = value_of(config.temperature)
        self.pair = ContrastivePair("penultimate", shapes, config, given, self.temperature)
        self.term_weights = {"penultimate": 1.0}
        self.readings = (penultimate_of(given.teacher),)
        self.health_readings = self.readings if self.source else ()

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return ``penultimate``: the loss of the pair, a scalar; update the banks."""
        negatives = self.source(batch) if self.source else None
        loss = self.pair(student.penultimate.float(), teacher.penultimate.float(), batch, negatives)
        return {"penultimate": loss}

    def draws(self, batch: Batch) -> dict[nn.Module, Tensor]:
        return self.source.draws(batch) if self.source else {}

    def is_fused(self, device: torch.device) -> bool:
        return self.pair.is_fused(device)

    def health(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, dict[str, Tensor]]:
        """Return `score_health` of ``penultimate.student`` and ``.teacher``: the pair's two banks."""
        return self.pair.health(student.penultimate.float(), teacher.penultimate.float(), batch, self.source)
