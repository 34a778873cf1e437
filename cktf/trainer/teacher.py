"""Settings of the teacher: a recipe to train it, or a file to load it from."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from cktf.errors import InputError, shown
from cktf.models import ModelConfig
from cktf.settings import BatchSize, Epochs, Precision, Seed
from cktf.trainer.optimizer import OptimizerConfig

OF_TRAINING = ("weights", "epochs", "epoch", "batch_size", "optimizer", "train_fraction", "seed")
"""Settings of a teacher's training, which do not apply to a checkpoint."""

OF_CHECKPOINT = ("sha256", "mean", "std", "classes", "accept_any")
"""Settings that apply to a checkpoint alone."""


class TeacherConfig(ModelConfig):
    """The frozen network that the student learns from.

    Without ``checkpoint`` the teacher is trained once by cross-entropy with the recipe below and cached for every study
    that has the same recipe. With ``checkpoint`` the recipe does not apply.
    """

    checkpoint: str | None = None
    """File of trained weights: safetensors, or a PyTorch file of a state dict, alone or under a key such as `model`;
    its keys may have prefixes of wrappers and of larger modules."""

    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 that the checkpoint file must have. A study fills it in when it is planned, so that a trial is identified
    by its teacher's content, wherever the file is."""

    mean: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None = Field(default=None, min_length=1)
    """For a checkpoint: mean of each channel with which its training images, in [0, 1], were normalised; set together
    with `std`. Not set: that of its data set, which in a `transfer` is `source`."""

    std: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = Field(default=None, min_length=1)
    """For a checkpoint: standard deviation of each channel, likewise."""

    classes: int | None = Field(default=None, ge=2)
    """For a checkpoint: number of classes of its classifier if they are not those of the student's data; only features
    may then be read of it. Not set: the number of its data set."""

    accept_any: bool = False
    """Accept a checkpoint that does no better than chance on the validation split, or whose weights or outputs are not
    finite. It is not part of the identity of trials and arms."""

    epochs: Epochs = 240
    """Passes over the training split."""

    epoch: int | None = Field(default=None, ge=1)
    """Epoch after which its training is stopped, with the schedule of all `epochs`; None: it runs them all."""

    batch_size: BatchSize = 64
    """Samples per step."""

    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimizer and learning-rate schedule."""

    train_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the training split that the teacher is trained on, independent of the student's."""

    precision: Precision = "auto"
    """Precision of the teacher's training, as `precision` of a trial and independent of it. It has no effect on a
    checkpoint, but may be set beside one, so that a context can replace the recipe by a file."""

    seed: Seed = 0
    """Seed of the teacher's training; the same teacher serves all seeds of the student."""

    @model_validator(mode="after")
    def _recipe_or_file(self) -> Self:
        self.optimizer.require_fitting(self.epochs, has_heads=False)
        if self.epoch is not None and self.epoch > self.epochs:
            raise InputError(f"epoch: must be {self.epochs} or less, the epochs of its training; got {self.epoch}")
        if len(self.mean or ()) != len(self.std or ()):
            raise InputError(
                f"mean and std: go together, one number a channel in each; got {shown(self.mean)} and {shown(self.std)}"
            )
        # Compared by value, not by which fields were set: a configuration read back from a row sets every field.
        names = OF_CHECKPOINT if self.checkpoint is None else OF_TRAINING
        changed = [name for name in names if getattr(self, name) != type(self).model_fields[name].default]
        if changed and self.checkpoint is None:
            raise InputError(f"{', '.join(changed)}: of a checkpoint alone, and none is named")
        if changed:
            raise InputError(f"checkpoint is loaded as it is, so {', '.join(changed)} cannot be set beside it")
        return self
