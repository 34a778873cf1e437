"""Cross-entropy of the student's logits with the labels."""

from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, Objective, ObjectiveSettings


class CrossEntropy(Objective):
    """The supervised loss, without a teacher.

    The ``weight`` is the gamma of CKTF's paper (arXiv 2303.07599).
    """

    needs_teacher = False
    needs_labels = True
    readings = ()

    Config = ObjectiveSettings

    def __init__(self, config: ObjectiveSettings, given: BuildContext) -> None:
        super().__init__()
        self.term_weights = {"logits": 1.0}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return ``logits``: the mean over the batch, a scalar, in nats."""
        return {"logits": functional.cross_entropy(student.logits.float(), batch.labels)}
