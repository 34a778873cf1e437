"""Contrastive representation distillation: Tian, Krishnan and Isola, ICLR 2020, arXiv 1910.10699."""

from pydantic import Field
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives.objective import Objective, Setting
from cktf.objectives.parts.contrastive_pair import ContrastivePair, ContrastiveSettings
from cktf.objectives.parts.negatives import SampledNegatives


class CRD(Objective):
    """The penultimate vectors are contrasted: the NCE loss of both sides of one pair (eq. 18).

    It is CKTF with that pair alone, whose beta is here the ``weight``. Heads project (batch, features) to
    (batch, dim).

    Attributes:
        negatives: What chooses a batch's negatives: any module from `Batch` to `Negatives`.
        pair: Heads and banks of the penultimate vectors.
    """

    class Config(ContrastiveSettings):
        """Settings of `CRD`."""

        weight: float = Field(default=0.8, ge=0)
        """Factor of this objective in the sum; 0 means that it is never built or computed."""

    def __init__(self, config: Config, setting: Setting) -> None:
        super().__init__()
        self.negatives = SampledNegatives(setting.labels, config.negatives, setting.seed)
        num_features = setting.student.penultimate.numel(), setting.teacher.penultimate.numel()
        self.pair = ContrastivePair("penultimate", num_features, config, setting)
        self.term_weights = {"penultimate": 1.0}

    def forward(self, student: Activations, teacher: Activations | None, batch: Batch) -> dict[str, Tensor]:
        """Return ``penultimate``: the loss of the pair, a scalar; move the banks."""
        assert teacher is not None
        loss = self.pair(
            student.penultimate.float(), teacher.penultimate.float(), batch, self.negatives(batch)
        )
        return {"penultimate": loss}
