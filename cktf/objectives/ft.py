"""Factor transfer: Kim, Park and Kwak, NeurIPS 2018, arXiv 1802.04977."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cktf import seeding
from cktf.batch import Activations, Batch
from cktf.errors import InputError
from cktf.objectives.objective import BuildContext, FeatureObjective, InitialPhase, TwoPhaseSettings, Weight
from cktf.objectives.parts.maps import attention, shrink_to_smaller


def factor_loss(student: Tensor, teacher: Tensor, power: int, exponent: int) -> Tensor:
    """Return |a(F_S) - a(F_T)|^p, mean over the positions and the batch; a scalar.

    L_FT of Kim et al. (2018, arXiv 1802.04977, section 3.2) of factors (batch, channels, height, width), float32, of
    which the larger is shrunk; p is ``exponent``. There a factor is divided by its norm; here, as in the published
    comparisons (Tian et al., 2020, arXiv 1910.10699), a is its attention with the ``power`` (`maps.attention`).
    """
    student, teacher = shrink_to_smaller(student, teacher)
    return (attention(student, power) - attention(teacher, power)).abs().pow(exponent).mean()


def convolutions(
    layer: type[nn.Conv2d] | type[nn.ConvTranspose2d], widths: Sequence[int], *, batch_norm: bool
) -> nn.Sequential:
    """Return 3x3 convolutions, each from one of ``widths`` to the next and followed by a leaky ReLU."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        norm = [nn.BatchNorm2d(after)] if batch_norm else []
        layers += [layer(before, after, 3, padding=1), *norm, nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


class Paraphraser(nn.Module):
    """An autoencoder of the teacher's map; its code, between encoder and decoder, is the factor."""

    def __init__(self, channels: int, factor_channels: int) -> None:
        super().__init__()
        widths = channels, channels, factor_channels, factor_channels
        self.encoder = convolutions(nn.Conv2d, widths, batch_norm=False)
        self.decoder = convolutions(nn.ConvTranspose2d, widths[::-1], batch_norm=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the reconstruction of maps (batch, channels, height, width), shaped as they are."""
        reconstruction: Tensor = self.decoder(self.encoder(maps))
        return reconstruction


class ParaphrasePhase(InitialPhase):
    """The paraphraser learns to reconstruct the teacher's last stage; the student is not trained."""

    trains_student = False

    def __init__(self, config: "FT.Config", given: BuildContext, factor_channels: int) -> None:
        super().__init__(config)
        with seeding.initialisation(given.seed, "paraphraser", "ft"):
            self.paraphraser = Paraphraser(given.teacher.stages[-1][-1][0], factor_channels)
        self.term_weights = {"reconstruction": 1.0}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        maps = teacher.stages[-1][-1].float()
        return {"reconstruction": functional.mse_loss(self.paraphraser(maps), maps)}


class FT(FeatureObjective):
    """The student's last stage, translated, follows the factor of the teacher's (see `factor_loss`).

    The translator is trained with the student.
    """

    initial: ParaphrasePhase

    class Config(TwoPhaseSettings):
        weight: Weight = 200.0

        initial_learning_rate: float | None = Field(default=0.01, gt=0)
        """Constant learning rate of the initial phase, as published for CIFAR ResNets and WRNs; None: the trial's."""

        rate: float = Field(default=0.5, gt=0, le=4)
        """k, the paraphrase rate: channels of a factor for each channel of the teacher's map, rounded down."""

        power: int = Field(default=2, ge=1, le=8)
        """Power of the activations in a factor's attention."""

        exponent: int = Field(default=1, ge=1, le=8)
        """p: exponent of the factors' difference."""

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        channels = given.teacher.stages[-1][-1][0]
        factor_channels = int(config.rate * channels)
        if factor_channels == 0:
            least = f"the teacher's {channels}; choose 1/{channels} or more"
            raise InputError(f"objective.ft.rate: {config.rate} leaves no channel of {least}")
        self.power, self.exponent = config.power, config.exponent
        self.initial = ParaphrasePhase(config, given, factor_channels)
        width = given.student.stages[-1][-1][0]
        with seeding.initialisation(given.seed, "translator", "ft"):
            widths = width, width, factor_channels, factor_channels
            self.translator = convolutions(nn.Conv2d, widths, batch_norm=True)
        self.term_weights = {"last_stage": 1.0}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            teacher_factor = self.initial.paraphraser.encoder(teacher.stages[-1][-1].float())
        student_factor = self.translator(student.stages[-1][-1].float())
        return {"last_stage": factor_loss(student_factor, teacher_factor, self.power, self.exponent)}
