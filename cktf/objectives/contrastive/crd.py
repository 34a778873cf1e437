"""Contrastive representation distillation: Tian, Krishnan and Isola, ICLR 2020, arXiv 1910.10699."""

from cktf.objectives.contrastive.cktf import CKTF
from cktf.objectives.contrastive.settings import ContrastiveSettings
from cktf.objectives.objective import BuildContext, Weight


class CRD(CKTF):
    """The penultimate vectors are contrasted: the NCE loss of both sides of one pair (eq. 18).

    It is CKTF with that pair alone, whose beta is here the ``weight``.
    """

    class Config(ContrastiveSettings):
        weight: Weight = 0.8

    def __init__(self, config: Config, given: BuildContext) -> None:
        shared = config.model_dump(exclude={"weight"})
        super().__init__(CKTF.Config(**shared, beta=1.0, theta=0.0), given)
