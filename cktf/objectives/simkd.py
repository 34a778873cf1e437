"""SimKD, a student that reuses its teacher's classifier: Chen et al., CVPR 2022, arXiv 2203.14001."""

from copy import deepcopy
from dataclasses import replace

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cktf import seeding
from cktf.batch import Activations, Batch
from cktf.errors import InputError
from cktf.objectives.objective import BuildContext, Objective, ObjectiveSettings
from cktf.objectives.parts.maps import shrink_to_smaller
from cktf.objectives.parts.pooled import classifier_of, pooled_map, pooled_shape


class Projector(nn.Sequential):
    """A 1x1, a 3x3 and a 1x1 convolution with batch-norm and ReLU, through ``width`` to the teacher's channels."""

    def __init__(self, channels: int, width: int, teacher_channels: int) -> None:
        layers: list[nn.Module] = []
        for before, after, side in ((channels, width, 1), (width, width, 3), (width, teacher_channels, 1)):
            convolution = nn.Conv2d(before, after, side, padding=side // 2, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers)


class Reusing(nn.Module):
    """A student whose map is projected to the teacher's, and whose logits come from the teacher's classifier.

    Its state dict holds all that is needed to use it. The classifier is copied and frozen, the student is not. ``side``
    is height and width of the teacher's map; the student's is averaged to it if it is larger.
    """

    def __init__(self, student: nn.Module, projector: nn.Module, classifier: nn.Linear, side: tuple[int, int]) -> None:
        super().__init__()
        self.student = student
        self.projector = projector
        self.classifier = deepcopy(classifier).cpu().requires_grad_(False)
        self.side = side

    def forward(self, images: Tensor) -> Activations:
        """Return the student's activations, with the projection as pooled map, its mean as penultimate, new logits."""
        activations: Activations = self.student(images)
        maps = pooled_map(activations)
        side = min(maps.shape[2], self.side[0]), min(maps.shape[3], self.side[1])
        projection: Tensor = self.projector(functional.adaptive_avg_pool2d(maps, side))
        penultimate = projection.mean((2, 3))
        return replace(activations, logits=self.classifier(penultimate), penultimate=penultimate, pooled=projection)


def projection_loss(projection: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of the student's projected map and the teacher's; a scalar.

    L_SimKD of Chen et al. (2022, arXiv 2203.14001), of maps (batch, channels, height, width), float32. A larger map of
    the teacher is averaged to the student's size.
    """
    return functional.mse_loss(*shrink_to_smaller(projection, teacher))


class SimKD(Objective):
    """The student's last map, projected, follows the teacher's, so that the teacher's classifier can read it.

    The student that is trained, evaluated and stored is `Reusing`, whose classifier is the teacher's. It is published
    without other losses: `cross_entropy.weight` 0 and no `kd`.

    Raises:
        ValueError: If the map before a classifier, or the teacher's classifier, is not known.
    """

    class Config(ObjectiveSettings):
        factor: int = Field(default=2, ge=1)
        """Ratio of the teacher's channels to those within the projector: a larger one makes the projector smaller."""

    @classmethod
    def extend_student(cls, config: Config, student: nn.Module, given: BuildContext) -> Reusing:
        """Return the student with a projector and its teacher's classifier."""
        channels = pooled_shape(given.student, "student", "objective.simkd")[0]
        teacher_channels, *side = pooled_shape(given.teacher, "teacher", "objective.simkd")
        classifier = classifier_of(given.teacher_layers, given.teacher, "teacher", "objective.simkd")
        width = teacher_channels // config.factor
        if width == 0:
            most = f"the teacher's {teacher_channels}; choose {teacher_channels} or less"
            raise InputError(f"objective.simkd.factor: {config.factor} leaves no channel of {most}")
        with seeding.initialisation(given.seed, "projector", "simkd"):
            projector = Projector(channels, width, teacher_channels)
        return Reusing(student, projector, classifier, (side[0], side[1]))

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.term_weights = {"projection": 1.0}

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        return {"projection": projection_loss(pooled_map(student).float(), pooled_map(teacher).float())}
