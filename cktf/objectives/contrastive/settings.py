"""Settings that every contrastive objective has."""

from typing import Literal, Self

from pydantic import Field, model_validator

from cktf.errors import InputError
from cktf.objectives.objective import ObjectiveSettings

SourceKind = Literal["sampled", "all", "shared", "queue", "batch"]
Estimator = Literal["nce", "infonce"]
Critic = Literal["cosine", "squared_distance"]
BankPrecision = Literal["float32", "bfloat16"]
HeadKind = Literal["linear", "mlp", "pad", "regressor"]


class ContrastiveSettings(ObjectiveSettings):
    """Settings that every contrastive objective has."""

    temperature: float = Field(default=0.1, ge=0.02, le=100)
    """tau, by which scores are divided; below 0.02 (squared_distance: 0.04) their exponentials could overflow."""

    negatives: int = Field(default=16384, ge=0, le=10_000_000)
    """K: samples of other classes that each anchor is contrasted with. 0: there is no contrast, and minus the mean
    critic of the two sides' embeddings is minimised; two learned heads may then agree by becoming constant."""

    source: SourceKind = "sampled"
    """Where negatives come from. `sampled`: K for each anchor, as published; `all`: every sample of another class,
    weighted as K; `shared`: one draw of K a batch, own classes left out; `queue`: the last K samples' embeddings,
    own classes left out, whatever the size of the data; `batch`: the batch's other samples, however many."""

    labels: bool = True
    """Whether negatives are of other classes; if false, every other sample may be one and no label is read."""

    estimator: Estimator = "nce"
    """`nce`: noise-contrastive estimation with a fixed Z, as published; `infonce`: cross-entropy over positive and
    negatives."""

    critic: Critic = "cosine"
    """How two embeddings are compared: `cosine`, or `squared_distance`, minus that; both over the temperature."""

    momentum: float = Field(default=0.5, ge=0, lt=1)
    """Share of the old embedding when a row of a memory bank moves."""

    bank_precision: BankPrecision = "float32"
    """In which banks and queues keep embeddings. `bfloat16` halves their memory, and where the processor has products
    in it, anchors are scored in it: 1.5 times as fast, and a score is exact to 1 in 512. Exponentials, losses and the
    positives' scores stay in float32."""

    dim: int = Field(default=128, ge=1, le=65_536)
    """Dimensions in which representations are contrasted, where the head is `linear` or `mlp`."""

    head: HeadKind = "linear"
    """Projection into these dimensions: `linear`, or `mlp` with one hidden layer as wide as its input. `pad`: none,
    the narrower representation gets zeros on both sides, and banks are as wide as the other. `regressor`: of the
    student's side alone, a 1x1 convolution into the teacher's channels, for maps of equal size. Banks and queues begin
    with random rows, and `nce` fixes Z against those. What `pad` puts in their place, maps behind a ReLU, is never
    negative and has cosines near 1, for which that Z is far too small; choose `infonce`, or source `batch`."""

    unit_length: bool = True
    """Whether embeddings are L2-normalised; false only with `squared_distance`, and without a bank."""

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if not self.unit_length and self.critic == "cosine":
            raise InputError("unit_length: a cosine is of vectors of length 1; choose true, or critic squared_distance")
        softmax_of_batch = self.source == "batch" and self.estimator == "infonce"
        if not self.unit_length and self.negatives > 0 and not softmax_of_batch:
            raise InputError(
                "unit_length: with false, distances have no bound, and neither Z nor a bank can take them; choose "
                "true, negatives 0, or source batch with estimator infonce"
            )
        if self.critic == "squared_distance" and self.negatives > 0 and self.temperature < 0.04:
            raise InputError(
                f"temperature: squared_distance needs 0.04 or more, or exponentials could overflow; got "
                f"{self.temperature}"
            )
        return self
