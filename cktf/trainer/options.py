"""Options of how a trial is run, which are not part of its identity."""

from cktf.settings import Settings
from cktf.trainer.health import HealthConfig


class TrainOptions(Settings):
    """How a trial is run; passed as one value from the study to the training loop."""

    read_test: bool = False
    """Evaluate the test split once, after the last epoch."""

    teacher_once: bool = False
    """Share the teacher's outputs between trials, rounded to float16; see `cktf.trial.teacher_once`."""

    health: HealthConfig | None = None
    """How often the health of the distillation is measured; None: never. A trial whose teacher no objective needs is
    then measured against it."""

    teacher_is_scored: bool = False
    """Whether the accuracy of a teacher from a file is known already; otherwise it is measured on the trial's
    validation split before training."""
