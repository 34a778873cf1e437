"""Knowledge distillation: Hinton, Vinyals and Dean, arXiv 1503.02531."""

from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, Objective, ObjectiveSettings
from cktf.objectives.parts.stages import reading_of
from cktf.objectives.schedules import LearnableLogitTemperature, value_of


def softened_divergence(student_logits: Tensor, teacher_logits: Tensor, temperature: float | Tensor) -> Tensor:
    """Return T^2 * KL(softmax(teacher / T) || softmax(student / T)), mean over the batch; a scalar.

    Probabilities of logits (batch, classes), float32, softened by T, are eq. 1 of Hinton et al. (2015, arXiv
    1503.02531). T^2 keeps the gradient's size about the same at every temperature (end of its section 2).
    """
    student, teacher = (
        functional.log_softmax(logits / temperature, dim=1) for logits in (student_logits, teacher_logits)
    )
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def standardised(logits: Tensor) -> Tensor:
    """Return each sample's logits minus their mean, over their standard deviation: (batch, classes).

    The Z-score of Sun et al. (CVPR 2024, arXiv 2403.01427, algorithm 1) of float32 logits, by the unbiased deviation
    and with 1e-7 added to it, as published.
    """
    return (logits - logits.mean(1, keepdim=True)) / (logits.std(1, keepdim=True) + 1e-7)


class KD(Objective):
    """The student's softened class probabilities follow the teacher's.

    See `softened_divergence`. Its factor, the ``weight``, is the alpha of CKTF's paper (arXiv 2303.07599).
    """

    reads_features = False

    class Config(ObjectiveSettings):
        temperature: LearnableLogitTemperature = 4.0
        """T: both networks' logits are divided by it. A number, a schedule over the epochs, or learned."""

        standardize: bool = False
        """Whether each sample's logits are standardised first (Sun et al., 2024, arXiv 2403.01427; published with a
        ``weight`` of 9, a temperature of 2 and cross-entropy's weight 0.1)."""

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.temperature = value_of(config.temperature)
        self.standardize = config.standardize
        self.term_weights = {"logits": 1.0}
        self.readings = (reading_of("logits", given.teacher),)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return ``logits``: the divergence, a scalar, in nats times T^2."""
        of_student, of_teacher = student.logits.float(), teacher.logits.float()
        if self.standardize:
            of_student, of_teacher = standardised(of_student), standardised(of_teacher)
        return {"logits": softened_divergence(of_student, of_teacher, self.temperature())}
