"""The contrastive knowledge transfer framework: Zhao, Chen and Zhao, ICASSP 2023, arXiv 2303.07599."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from cktf import seeding
from cktf.batch import Activations, Batch
from cktf.objectives.objective import Objective, Setting
from cktf.objectives.parts import maps
from cktf.objectives.parts.contrastive_pair import ContrastivePair, ContrastiveSettings
from cktf.objectives.parts.negatives import SampledNegatives
from cktf.objectives.parts.pairing import Pairing, choose_block
from cktf.objectives.parts.stages import paired_stages


class CKTF(Objective):
    """Representations of the same depth are contrasted, from the stem to the penultimate vector.

    The paper minimises

        gamma * CE + alpha * KL + beta * L_penultimate + theta * (L_stem + L_stage1 + L_stage2 + ...)

    gamma is the weight of ``cross_entropy``, alpha that of ``kd``; beta and theta are settings here. Each L is
    the NCE loss of both sides of a pair (arXiv 1910.10699, eq. 18; see `parts.contrast`). Published: gamma 1,
    alpha 0, beta 0.8, theta 0.1, and for CKTF + KD alpha 1. CKTF as second objective, which adds 0.8 times the
    sum of all pairs to another method's loss, is ``cktf: {weight: 0.8, beta: 1, theta: 1}``.

    Of each pair, with c channels of the teacher and w pooling windows in a map, the heads see

        stem           (batch, its own channels * w), pooled
        stage1, ...    (batch, c * w), normalised over the batch, the student's padded to c, pooled
        penultimate    (batch, features), as it is

    and project it to (batch, dim). A pair whose factor is 0 is neither built nor computed.

    Attributes:
        negatives: What chooses a batch's negatives, one draw for all pairs: any module from `Batch` to
            `Negatives`.
        pairs: Heads and banks of ``stem``, ``stage1``, ``stage2``, ..., ``penultimate``.
    """

    class Config(ContrastiveSettings):
        """Settings of `CKTF`."""

        beta: float = Field(default=0.8, ge=0)
        """Factor of the penultimate pair, the paper's beta."""

        theta: float = Field(default=0.1, ge=0)
        """Factor of the stem's and of each stage's pair, the paper's theta."""

        pairing: Pairing = "last"
        """Which of a teacher stage's blocks the last block of the student's stage is matched with."""

        normalize: Literal["batch", "none"] = "batch"
        """`batch`: block maps are L2-normalised over the batch, as published; `none`: taken as they are."""

        @property
        def active(self) -> bool:
            """Whether any pair has a part in the sum."""
            return super().active and (self.beta > 0 or self.theta > 0)

    def __init__(self, config: Config, setting: Setting) -> None:
        super().__init__()
        self.pairing: Pairing = config.pairing
        self.normalize = config.normalize
        self.seed = setting.seed
        self.student_window = maps.pooling_window(setting.student)
        self.teacher_window = maps.pooling_window(setting.teacher)
        num_features: dict[str, tuple[int, int]] = {}
        if config.theta > 0:
            num_features |= self._num_map_features(setting)
        if config.beta > 0:
            num_features["penultimate"] = (
                setting.student.penultimate.numel(),
                setting.teacher.penultimate.numel(),
            )
        self.negatives = SampledNegatives(setting.labels, config.negatives, setting.seed)
        self.pairs = nn.ModuleDict(
            {
                name: ContrastivePair(name, features, config, setting)
                for name, features in num_features.items()
            }
        )
        self.term_weights = dict.fromkeys(num_features, config.theta)
        if config.beta > 0:
            self.term_weights["penultimate"] = config.beta

    def forward(self, student: Activations, teacher: Activations | None, batch: Batch) -> dict[str, Tensor]:
        """Return ``stem``, ``stage1``, ..., ``penultimate``: the loss of each pair, a scalar; move the banks."""
        assert teacher is not None
        negatives = self.negatives(batch)
        return {
            name: pair(*self.representations(name, student, teacher, batch.step), batch, negatives)
            for name, pair in self.pairs.items()
        }

    def representations(
        self, name: str, student: Activations, teacher: Activations, step: int
    ) -> tuple[Tensor, Tensor]:
        """Return what the heads of one pair are given: (batch, features) of student and teacher."""
        if name == "penultimate":
            return student.penultimate.float(), teacher.penultimate.float()
        if name == "stem":
            ours, theirs = student.stem.float(), teacher.stem.float()
        else:
            stage = int(name.removeprefix("stage")) - 1
            ours, blocks = self._transform(student.stages[stage][-1]), teacher.stages[stage]
            generator = seeding.generator(self.seed, "pairing", name, step)
            theirs = self._transform(
                blocks[choose_block(self.pairing, ours, blocks, self._transform, generator)]
            )
            ours = maps.pad_channels(ours, theirs.shape[1])
        return maps.pool(ours, self.student_window), maps.pool(theirs, self.teacher_window)

    def _transform(self, block: Tensor) -> Tensor:
        return maps.normalise_over_batch(block.float()) if self.normalize == "batch" else block.float()

    def _num_map_features(self, setting: Setting) -> dict[str, tuple[int, int]]:
        student, teacher = setting.student, setting.teacher
        paired = paired_stages(setting, "cktf.theta")
        num_features = {
            "stem": (
                maps.num_pooled_features(student.stem, self.student_window),
                maps.num_pooled_features(teacher.stem, self.teacher_window),
            )
        }
        for name, (ours, theirs) in paired.items():
            if self.pairing in ("largest", "smallest") and ours[1:] != theirs[1:]:
                raise ValueError(
                    f"objective.cktf.pairing: {self.pairing!r} compares maps of equal size, but those of "
                    f"{name} are {tuple(ours[1:])} and {tuple(theirs[1:])}; choose last, first or random"
                )
            num_features[name] = (
                maps.num_pooled_features(ours, self.student_window, num_channels=theirs[0]),
                maps.num_pooled_features(theirs, self.teacher_window),
            )
        return num_features
