"""Class attention transfer: Guo et al., CVPR 2023, arXiv 2304.12777."""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cktf.batch import Activations, Batch, Reading
from cktf.objectives.objective import BuildContext, Objective, ObjectiveSettings, Weight
from cktf.objectives.parts.pooled import classifier_of, pooled_map, pooled_shape


def class_activation_maps(maps: Tensor, weight: Tensor, resolution: int) -> Tensor:
    """Return each class's activation map averaged to l x l: (batch, classes, l, l).

    The map of class c is the sum of the channels, each times its weight in c's logit (Guo et al., 2023, arXiv
    2304.12777); its mean over the positions is the logit without the classifier's bias. Averaging and the sum over
    channels commute, so ``maps`` are averaged first: (batch, channels, height, width), float32, the maps that the
    network averages for its classifier. ``weight`` (classes, channels) is the classifier's; ``resolution`` is l.
    """
    return torch.einsum("bchw,kc->bkhw", functional.adaptive_avg_pool2d(maps, resolution), weight)


def attention_loss(student: Tensor, teacher: Tensor, *, normalize: bool) -> Tensor:
    """Return the mean squared difference of class activation maps; a scalar (L_CAT of Guo et al., 2023).

    Both are (batch, classes, l, l), float32; with ``normalize`` each map of a sample and class is divided by its L2
    norm first.
    """
    if normalize:
        student, teacher = (functional.normalize(maps.flatten(2), dim=2) for maps in (student, teacher))
    return functional.mse_loss(student, teacher)


class CATKD(Objective):
    """The student's class activation maps follow the teacher's (see `class_activation_maps`).

    The maps leave out the classifiers' biases. The networks of the published code have no biases; here the student's
    logits include its bias.

    Raises:
        ValueError: If the map before a classifier, or the classifier, is not known.
    """

    class Config(ObjectiveSettings):
        weight: Weight = 15.0

        resolution: int = Field(default=2, ge=1)
        """l: side that the maps are averaged to. Published for CIFAR-100: 2, and 4 for students of another family."""

        normalize: bool = False
        """Whether each map is divided by its norm; published for teachers and students of different families."""

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.config = config
        for role, shapes in (("student", given.student), ("teacher", given.teacher)):
            pooled_shape(shapes, role, "objective.catkd")
        # Held in `Layers`, so not a submodule: the student's classifier is trained, and stored, with the student.
        self.student_layers = given.student_layers
        classifier_of(given.student_layers, given.student, "student", "objective.catkd")
        of_teacher = classifier_of(given.teacher_layers, given.teacher, "teacher", "objective.catkd")
        side = config.resolution
        self.reading = Reading(
            f"class activation maps at {side}x{side}",
            torch.Size([of_teacher.out_features, side, side]),
            of_batch=False,
            compute=lambda teacher, _: class_activation_maps(pooled_map(teacher).float(), of_teacher.weight, side),
        )
        self.readings = (self.reading,)
        self.term_weights = {"maps": 1.0}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        assert self.student_layers.classifier is not None
        weight = self.student_layers.classifier.weight
        of_student = class_activation_maps(pooled_map(student).float(), weight, self.config.resolution)
        stored = teacher.readings.get(self.reading.name)
        of_teacher = self.reading.compute(teacher, batch) if stored is None else stored
        return {"maps": attention_loss(of_student, of_teacher, normalize=self.config.normalize)}
