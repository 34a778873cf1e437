"""Settings that every contrastive objective has."""

from typing import Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from cktf.errors import InputError
from cktf.objectives.objective import ObjectiveSettings
from cktf.objectives.schedules import LEARNABLE, LearnedNumber, Ramp, bounds

SourceKind = Literal["sampled", "all", "shared", "queue", "batch"]
Estimator = Literal["nce", "infonce"]
Critic = Literal["cosine", "squared_distance"]
BankPrecision = Literal["float32", "bfloat16"]
HeadKind = Literal["linear", "mlp", "pad", "regressor"]
HeadNorm = Literal["none", "batch", "layer"]

_Tau = Annotated[float, Field(ge=0.02, le=100)]
_Number = Annotated[_Tau, Tag("number")]
_Schedule = Annotated[Ramp[_Tau], Tag("schedule")]

Temperature = Annotated[_Number | _Schedule | Annotated[LearnedNumber[_Tau], Tag("learned")], LEARNABLE]
NumNegatives = Annotated[int, Field(ge=0, le=10_000_000)]
Dim = Annotated[int, Field(ge=1, le=65_536)]


class ContrastiveSettings(ObjectiveSettings):
    """Settings that every contrastive objective has."""

    temperature: Temperature = 0.1
    """tau, by which scores are divided; below 0.02 (squared_distance: 0.04) their exponentials could overflow. A number
    or, with `infonce`, also a schedule over the epochs, or learned."""

    negatives: NumNegatives = 16384
    """K: samples of other classes that each anchor is contrasted with. 0: there is no contrast, and the mean critic
    of the two sides' embeddings is maximised; two learned heads may then agree by becoming constant."""

    source: SourceKind = "sampled"
    """Where negatives come from. `sampled`: K for each anchor, as published; `all`: every sample of another class,
    with a total weight of K; `shared`: one draw of K per batch, without those of the anchor's class; `queue`: the
    last K samples' embeddings, without those of the anchor's class, whatever the size of the data; `batch`: the batch's
    other samples, however many."""

    labels: bool = True
    """Whether negatives are of other classes; if false, every other sample may be one and no label is read."""

    positives: Literal["own", "class"] = "own"
    """Positives of an anchor, embeddings of the other side: `own`, that of the same sample; with `infonce` also
    `class`, those of all samples of its class among the rows it is scored against, as in SupCon (Khosla et al., 2020,
    arXiv 2004.11362)."""

    hardness: float = Field(default=0.0, ge=0, le=10)
    """With `infonce`: beta of Robinson et al. (2021, arXiv 2010.04592). A negative's weight is proportional
    to exp(beta score), so nearer ones weigh more; 0: all weigh the same."""

    teacher_threshold: float | None = Field(default=None, gt=-1, lt=1)
    """Two samples are no negatives of each other if the cosine of the teacher's embeddings of them, behind its head, is
    above this: they may be of one kind, whatever the labels say. None: there is no limit."""

    estimator: Estimator = "nce"
    """`nce`: noise-contrastive estimation with a fixed Z, as published; `infonce`: cross-entropy over positive and
    negatives."""

    critic: Critic = "cosine"
    """How two embeddings are compared: `cosine`, or `squared_distance`, minus that; both over the temperature."""

    momentum: float = Field(default=0.5, ge=0, lt=1)
    """Share of the old embedding in an updated row of a memory bank."""

    bank_precision: BankPrecision = "float32"
    """Precision of the embeddings in banks and queues. `bfloat16` halves their memory, and if the processor multiplies
    in it, anchors are scored in it: 1.5 times as fast, and a score is exact to 1 in 256. Exponentials, losses and the
    positives' scores stay in float32."""

    dim: Dim = 128
    """Dimensions in which representations are contrasted, where the head is `linear` or `mlp`."""

    head: HeadKind = "linear"
    """Projection into these dimensions: `linear`, or `mlp`, linear layers with a ReLU between them. `pad`: none; the
    narrower representation gets zeros on both sides, and banks are as wide as the wider one. `regressor`: for the
    student alone, a 1x1 convolution into the teacher's channels, for maps of equal size. Banks and queues begin with
    random rows, from which `nce` fixes Z. `pad` replaces them by maps after a ReLU, which are never negative and have
    cosines near 1, so that this Z is far too small; choose `infonce`, or source `batch`."""

    depth: int = Field(default=2, ge=2, le=16)
    """Number of linear layers of an `mlp`."""

    width: int | None = Field(default=None, ge=1, le=65_536)
    """Width of the hidden layers of an `mlp`; None: that of its input."""

    norm: HeadNorm = "none"
    """Normalisation of the hidden layers of an `mlp`, before the ReLU: `batch`, over the batch (each worker over its
    own samples, unless `sync_batch_norm` is true), or `layer`, over a layer's units."""

    unit_length: bool = True
    """Whether embeddings are L2-normalised; false only with `squared_distance` and `negatives` 0."""

    @property
    def reads_classes(self) -> bool:
        """Whether samples of one class are drawn to each other."""
        return self.positives == "class"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("depth", "width", "norm"):
            value, default = getattr(self, name), type(self).model_fields[name].default
            if self.head != "mlp" and value != default:
                raise InputError(f"{name}: only head mlp has hidden layers; choose mlp, or leave it out; got {value!r}")
        if self.positives == "class" and not self.labels:
            raise InputError("positives: class needs the labels, which 'labels: false' does not read; choose own")
        self.require_fitting()
        return self

    def require_fitting(self) -> None:
        """Raise an InputError if temperature, negatives, critic and estimator do not go together."""
        if not self.unit_length and self.critic == "cosine":
            raise InputError("unit_length: a cosine is of vectors of length 1; choose true, or critic squared_distance")
        if not self.unit_length and self.negatives > 0:
            raise InputError("unit_length: negatives are compared by vectors of length 1; choose true, or negatives 0")
        lowest = bounds(self.temperature)[0]
        if self.critic == "squared_distance" and self.negatives > 0 and lowest < 0.04:
            raise InputError(f"temperature: squared_distance needs 0.04 or more; got {lowest}")
        of_softmax = [name for name in ("positives", "hardness") if getattr(self, name) not in ("own", 0)]
        of_contrast = [
            *of_softmax,
            *(["temperature"] if isinstance(self.temperature, LearnedNumber) else []),
            *([] if self.teacher_threshold is None else ["teacher_threshold"]),
        ]
        if of_contrast and self.negatives == 0:
            raise InputError(f"{of_contrast[0]}: with negatives 0 there is no contrast to change; leave it out")
        if self.estimator == "nce" and self.negatives > 0:
            if not isinstance(self.temperature, float):
                raise InputError("temperature: of estimator nce it must be one number; write one, or choose infonce")
            if of_softmax:
                raise InputError(f"{of_softmax[0]}: changes a softmax, which estimator nce has not; choose infonce")
