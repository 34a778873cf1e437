"""The probe of a transfer: a new linear layer on the student's penultimate vector for the target's classes."""

from dataclasses import replace
from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.data import AugmentationConfig
from cktf.objectives.cross_entropy import label_loss
from cktf.seeding import initialisation
from cktf.settings import BatchSize, Epochs, Settings
from cktf.trainer.optimizer import OptimizerConfig


class ProbeConfig(Settings):
    """Settings of the training on labelled images after the transfer."""

    mode: Literal["linear", "full"] = "linear"
    """`linear`: only the new layer is trained, on a student that is frozen in eval mode; `full`: both are trained."""

    epochs: Epochs = 100
    """Passes over the training split."""

    batch_size: BatchSize = 64
    """Samples per step, over all workers together."""

    augmentation: AugmentationConfig = AugmentationConfig()
    """Random augmentation of each sample in each epoch."""

    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimizer and learning-rate schedule of this phase."""

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        self.optimizer.require_fitting(self.epochs, has_heads=False)
        return self


class Probe(nn.Module):
    """A student whose logits come from a new linear layer, `classifier`, instead of its own. It is not copied.

    The layer leads from the ``num_features`` of the penultimate vector to the classes of the target data set.
    """

    def __init__(self, config: ProbeConfig, student: nn.Module, num_features: int, num_classes: int, seed: int) -> None:
        super().__init__()
        self.config = config
        self.student = student
        with initialisation(seed, "probe"):
            self.classifier = nn.Linear(num_features, num_classes)

    @property
    def trained(self) -> nn.Module:
        """The part of the probe that is trained."""
        return self if self.config.mode == "full" else self.classifier

    def forward(self, images: Tensor) -> Activations:
        """Return the student's activations of images (batch, channels, height, width), with the new logits."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trained is self):
            activations: Activations = self.student(images)
        return replace(activations, logits=self.classifier(activations.penultimate))

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the trained part; a frozen student stays in eval mode."""
        super().train(mode)
        if self.trained is not self:
            self.student.eval()
        return self


def classification_loss(
    student: Activations | None, _: Activations | None, batch: Batch
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the cross-entropy of the logits with the labels (a scalar) and no terms."""
    assert student is not None
    return label_loss(student.logits.float(), batch), {}
