"""Decoupled knowledge distillation: Zhao et al., CVPR 2022, arXiv 2203.08679."""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, Factor, Objective, ObjectiveSettings
from cktf.objectives.parts.stages import logits_of
from cktf.objectives.parts.standardised import standardised
from cktf.objectives.parts.warmup import warmup_factor
from cktf.objectives.schedules import LogitTemperature, largest, value_of


def decoupled(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithms of b and p-hat, the two parts of a softmax that Zhao et al. (2022) tell apart.

    b = (P(label), P(not label)) is (batch, 2); p-hat, (batch, classes - 1), is the softmax over the classes other than
    the label (arXiv 2203.08679, section 3.1). Both come from log-softmaxes, so that no logarithm of 0 is taken.

    Args:
        logits: (batch, classes), float32, divided by the temperature.
        labels: (batch,), int64.
    """
    labels = labels.unsqueeze(1)
    positions = torch.arange(logits.shape[1] - 1, device=logits.device)
    others = logits.gather(1, positions + (positions >= labels))  # (batch, classes - 1), the label left out
    target = logits.gather(1, labels)
    binary = torch.cat([target, others.logsumexp(1, keepdim=True)], dim=1)
    return functional.log_softmax(binary, dim=1), functional.log_softmax(others, dim=1)


def decoupled_divergences(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Return TCKD and NCKD of Zhao et al. (2022, arXiv 2203.08679), each times T^2; two scalars.

    TCKD = KL(b teacher || b student), NCKD = KL(p-hat teacher || p-hat student), means over the batch. Their sum with
    the factors 1 and P_teacher(not label) would be `kd.softened_divergence`.

    Args:
        student_logits: (batch, classes), float32.
        teacher_logits: (batch, classes), float32.
        labels: (batch,), int64.
        temperature: T; a scalar if it changes.
    """
    student = decoupled(student_logits / temperature, labels)
    teacher = decoupled(teacher_logits / temperature, labels)
    target, others = (
        functional.kl_div(of_student, of_teacher, reduction="batchmean", log_target=True) * temperature**2
        for of_student, of_teacher in zip(student, teacher, strict=True)
    )
    return target, others


class DKD(Objective):
    """Knowledge distillation whose two parts are weighed apart (see `decoupled_divergences`).

    alpha * TCKD + beta * NCKD, both less in the first epochs.
    """

    needs_labels = True

    class Config(ObjectiveSettings):
        """Settings of `DKD`."""

        alpha: Factor = 1.0
        """Factor of TCKD: how probable the label is."""

        beta: Factor = 8.0
        """Factor of NCKD: how probability is shared by the other classes. Published for CIFAR-100: 8 for ResNet-32x4,
        6 for WRN-40-2 and VGG-13, 2 for ResNet-56 and ResNet-110."""

        temperature: LogitTemperature = 4.0
        """T: both networks' logits are divided by it."""

        warmup_epochs: int = Field(default=20, ge=0)
        """Epochs over which both terms grow linearly to their whole size; 0: none."""

        standardize: bool = False
        """Whether each sample's logits are standardised first (Sun et al., 2024, arXiv 2403.01427)."""

        @property
        def active(self) -> bool:
            """Whether either part has a part in the sum."""
            return super().active and max(largest(self.alpha), largest(self.beta)) > 0

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.temperature = value_of(config.temperature)
        self.warmup_epochs = config.warmup_epochs
        self.standardize = config.standardize
        factors = {"target": config.alpha, "others": config.beta}
        self.term_weights = {name: factor for name, factor in factors.items() if largest(factor) > 0}
        self.readings = (logits_of(given.teacher),)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return ``target`` (TCKD) and ``others`` (NCKD), scalars times the warm-up; none whose factor is 0."""
        of_student, of_teacher = student.logits.float(), teacher.logits.float()
        if self.standardize:
            of_student, of_teacher = standardised(of_student), standardised(of_teacher)
        target, others = decoupled_divergences(of_student, of_teacher, batch.labels, self.temperature())
        terms = {"target": target, "others": others}
        warmup = warmup_factor(batch, self.warmup_epochs)
        return {name: warmup * terms[name] for name in self.term_weights}
