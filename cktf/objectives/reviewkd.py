"""Knowledge review: Chen et al., CVPR 2021, arXiv 2104.09044."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cktf import seeding
from cktf.batch import Activations, Batch
from cktf.objectives.objective import BuildContext, FeatureObjective, ObjectiveSettings, Weight
from cktf.objectives.parts.stages import last_maps, paired_stages, require_preactivations
from cktf.objectives.schedules import warm_up

MOST_CHANNELS = 512
"""Largest number of channels within a fusion, as published."""

POOLED_SIDES = 4, 2, 1
"""Sides to which maps are averaged for the coarser levels of the hierarchical context loss."""


def hierarchical_context_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the weighted mean of the squared differences of maps and of their averages; a scalar.

    HCL of Chen et al. (2021, arXiv 2104.09044, section 3.4): the maps themselves have weight 1, and averaged to 4x4,
    2x2 and 1x1, as far as that is smaller than the map, each half the weight of the one before; divided by the sum of
    the weights. The maps are (batch, channels, height, width), float32.
    """
    loss, weight, total = functional.mse_loss(student, teacher), 1.0, 1.0
    for side in POOLED_SIDES:
        if side < min(student.shape[2:]):
            weight /= 2
            total += weight
            of_student, of_teacher = (functional.adaptive_avg_pool2d(maps, side) for maps in (student, teacher))
            loss = loss + weight * functional.mse_loss(of_student, of_teacher)
    return loss / total


class Fusion(nn.Module):
    """Attention-based fusion (ABF) of one of the student's maps with the fused map of the next deeper level, if any.

    It maps the ``channels`` of the student, through ``width`` channels, to the ``teacher``'s (channels, height, width).
    """

    def __init__(self, channels: int, width: int, teacher: torch.Size, *, fuses: bool) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
        self.attention = nn.Conv2d(2 * width, 2, 1) if fuses else None
        self.expand = nn.Sequential(nn.Conv2d(width, teacher[0], 3, padding=1, bias=False), nn.BatchNorm2d(teacher[0]))
        self.sides = tuple(teacher[1:])
        for convolution in (self.reduce[0], self.expand[0]):
            assert isinstance(convolution, nn.Conv2d)
            nn.init.kaiming_uniform_(convolution.weight, a=1)

    def forward(self, maps: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the map that is compared, shaped as the teacher's, and the map that the next shallower level fuses.

        ``maps`` (batch, channels, height, width) are the student's, ``deeper`` the next deeper level's second result.
        """
        fused = self.reduce(maps)
        if self.attention is not None:
            assert deeper is not None
            deeper = _resized(deeper, tuple(fused.shape[2:]))
            own, below = self.attention(torch.cat([fused, deeper], dim=1)).sigmoid().split(1, dim=1)
            fused = own * fused + below * deeper
        fused = _resized(fused, self.sides)
        return self.expand(fused), fused


class ReviewKD(FeatureObjective):
    """The student's maps, each fused with all deeper ones, follow the teacher's.

    The levels are the stages and the penultimate vector, as a map of one position. The student's maps are taken
    after the ReLU (those of a wide ResNet after its blocks) and the teacher's before it, as in the published code. The
    fusions are trained with the student.

    Raises:
        ValueError: If the teacher has no preactivations, or the numbers of stages differ.
    """

    class Config(ObjectiveSettings):
        weight: Weight = 5.0

        warmup_epochs: int = Field(default=20, ge=0)
        """Epochs over which all terms grow linearly to their whole size; 0: none."""

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.warm_up = warm_up(config.warmup_epochs)
        require_preactivations("reviewkd", given, "teacher")
        levels = paired_stages(given, "objective.reviewkd.weight", equal=True)
        student_features, teacher_features = given.student.penultimate.numel(), given.teacher.penultimate.numel()
        levels["penultimate"] = torch.Size([student_features, 1, 1]), torch.Size([teacher_features, 1, 1])
        width = min(MOST_CHANNELS, student_features)
        self.fusions = nn.ModuleDict()
        for name, (student, teacher) in levels.items():
            with seeding.initialisation(given.seed, "fusion", "reviewkd", name):
                self.fusions[name] = Fusion(student[0], width, teacher, fuses=name != "penultimate")
        self.term_weights = dict.fromkeys(levels, 1.0)

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        maps = last_maps(student) | {"penultimate": student.penultimate[:, :, None, None]}
        teacher_maps = [*teacher.preactivations, teacher.penultimate[:, :, None, None]]
        terms: dict[str, Tensor] = {}
        deeper = None
        levels = zip(self.fusions.items(), teacher_maps, strict=True)
        for (name, fusion), of_teacher in reversed([*levels]):
            compared, deeper = fusion(maps[name].float(), deeper)
            terms[name] = self.warm_up() * hierarchical_context_loss(compared, of_teacher.float())
        return {name: terms[name] for name in self.term_weights}


def _resized(maps: Tensor, sides: tuple[int, ...]) -> Tensor:
    return maps if maps.shape[2:] == sides else functional.interpolate(maps, sides, mode="nearest")
