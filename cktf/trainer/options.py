"""How a trial is run: what changes neither its identity nor what is trained."""

from cktf.settings import Settings
from cktf.trainer.health import HealthConfig


class TrainOptions(Settings):
    """How a trial is run, as one value from the study down to the loop."""

    read_test: bool = False
    """Evaluate the test split, once, at the last epoch."""

    teacher_once: bool = False
    """Round what is read of the teacher to float16 and share it with other trials, see `cktf.trial.teacher_once`."""

    health: HealthConfig | None = None
    """How often the health of the distillation is measured, which changes nothing else; None: never. A trial that names
    a teacher which no objective needs is then measured against it."""

    teacher_is_scored: bool = False
    """Whether the accuracy of a teacher from a file is known already; otherwise it is scored on the trial's validation
    split before the student's first step."""
