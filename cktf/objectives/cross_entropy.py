"""Cross-entropy of the student's logits with the labels."""

from functools import partial

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, Objective, ObjectiveSettings


def label_loss(logits: Tensor, batch: Batch, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy of logits (batch, classes), float32, with the labels, mean over the batch; in nats.

    For mixed images, the losses with both samples' labels are weighted by the samples' shares of the image (arXiv
    1710.09412, 1905.04899). The share ``smoothing`` of the target is spread evenly over all classes.
    """
    if batch.other_labels is None:
        return functional.cross_entropy(logits, batch.labels, label_smoothing=smoothing)
    return batch.by_shares(partial(functional.cross_entropy, logits, label_smoothing=smoothing, reduction="none"))


class CrossEntropy(Objective):
    """The supervised loss, without a teacher; its ``weight`` is the gamma of CKTF's paper (arXiv 2303.07599)."""

    needs_teacher = False
    needs_labels = True
    takes_mixed = True
    readings = ()

    class Config(ObjectiveSettings):
        smoothing: float = Field(default=0.0, ge=0, lt=1)
        """Label smoothing: share of the target that is spread evenly over all classes (Szegedy et al., CVPR 2016, arXiv
        1512.00567, section 7)."""

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.smoothing = config.smoothing
        self.term_weights = {"logits": 1.0}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        return {"logits": label_loss(student.logits.float(), batch, self.smoothing)}
