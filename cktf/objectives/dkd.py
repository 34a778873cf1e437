"""Decoupled knowledge distillation: Zhao et al., CVPR 2022, arXiv 2203.08679."""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives.kd import standardised
from cktf.objectives.objective import BuildContext, Factor, Objective, ObjectiveSettings
from cktf.objectives.parts.stages import reading_of
from cktf.objectives.schedules import LogitTemperature, Ramp, value_of, warm_up


def decoupled(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logarithms of b and p-hat, the two parts into which Zhao et al. (2022) split a softmax.

    b = (P(label), P(not label)) is (batch, 2); p-hat, (batch, classes - 1), is the softmax over the classes other than
    the label (arXiv 2203.08679, section 3.1). Both come from log-softmaxes, so that no logarithm of 0 is taken.
    ``logits`` (batch, classes), float32, are divided by the temperature; ``labels`` are (batch,), int64.
    """
    labels = labels.unsqueeze(1)
    positions = torch.arange(logits.shape[1] - 1, device=logits.device)
    others = logits.gather(1, positions + (positions >= labels))  # (batch, classes - 1), the label left out
    binary = torch.cat([logits.gather(1, labels), others.logsumexp(1, keepdim=True)], dim=1)
    return functional.log_softmax(binary, dim=1), functional.log_softmax(others, dim=1)


def decoupled_divergences(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Return TCKD and NCKD of Zhao et al. (2022, arXiv 2203.08679), each times T^2; two scalars.

    TCKD = KL(b teacher || b student), NCKD = KL(p-hat teacher || p-hat student), means over the batch, of logits
    (batch, classes), float32, and labels (batch,), int64. Their sum with the factors 1 and P_teacher(not label) would
    be `kd.softened_divergence`.
    """
    student = decoupled(student_logits / temperature, labels)
    teacher = decoupled(teacher_logits / temperature, labels)
    target, others = (
        functional.kl_div(of_student, of_teacher, reduction="batchmean", log_target=True) * temperature**2
        for of_student, of_teacher in zip(student, teacher, strict=True)
    )
    return target, others


class DKD(Objective):
    """Knowledge distillation as a weighted sum of its two parts (see `decoupled_divergences`).

    alpha * TCKD + beta * NCKD, both scaled down in the first epochs.
    """

    needs_labels = True
    reads_features = False

    class Config(ObjectiveSettings):
        alpha: Factor = 1.0
        """Factor of TCKD, which compares the probability of the label."""

        beta: Factor = 8.0
        """Factor of NCKD, which compares the distribution over the other classes. Published for CIFAR-100: 8 for
        ResNet-32x4, 6 for WRN-40-2 and VGG-13, 2 for ResNet-56 and ResNet-110."""

        temperature: LogitTemperature = 4.0
        """T: both networks' logits are divided by it."""

        warmup_epochs: int = Field(default=20, ge=0)
        """Epochs over which both terms grow linearly to their whole size; 0: none."""

        standardize: bool = False
        """Whether each sample's logits are standardised first (Sun et al., 2024, arXiv 2403.01427)."""

        @property
        def factors(self) -> dict[str, float | Ramp[float]]:
            return {"target": self.alpha, "others": self.beta}

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.config = config
        self.temperature = value_of(config.temperature)
        self.warm_up = warm_up(config.warmup_epochs)
        self.term_weights = config.computed
        self.readings = (reading_of("logits", given.teacher),)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        of_student, of_teacher = student.logits.float(), teacher.logits.float()
        if self.config.standardize:
            of_student, of_teacher = standardised(of_student), standardised(of_teacher)
        target, others = decoupled_divergences(of_student, of_teacher, batch.labels, self.temperature())
        terms = {"target": target, "others": others}
        return {name: self.warm_up() * terms[name] for name in self.term_weights}
