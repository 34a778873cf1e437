"""The contrastive knowledge transfer framework: Zhao, Chen and Zhao, ICASSP 2023, arXiv 2303.07599."""

from typing import Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.errors import InputError
from cktf.objectives.contrastive.negatives import build_source
from cktf.objectives.contrastive.pair import ContrastivePair
from cktf.objectives.contrastive.representations import OF_BATCH, LayerPair, Pairing, Representations, Transform
from cktf.objectives.contrastive.settings import ContrastiveSettings
from cktf.objectives.objective import BuildContext, FeatureObjective
from cktf.objectives.parts.stages import partners


class CKTF(FeatureObjective):
    """Representations of the same depth are contrasted, from the stem to the penultimate vector.

    The paper minimises

        gamma * CE + alpha * KL + beta * L_penultimate + theta * (L_stem + L_stage1 + L_stage2 + ...)

    gamma is the weight of ``cross_entropy``, alpha that of ``kd``; beta and theta are settings here. Each L is
    the NCE loss of both sides of a pair (arXiv 1910.10699, eq. 18; see `nce`). Published: gamma 1,
    alpha 0, beta 0.8, theta 0.1, and for CKTF + KD alpha 1. CKTF as second objective, which adds 0.8 times the
    sum of all pairs to another method's loss, is ``cktf: {weight: 0.8, beta: 1, theta: 1}``.

    Of each pair, with c channels of the teacher and w pooling windows in a map, the heads see

        stem           (batch, its own channels * w), pooled
        stage1, ...    (batch, c * w), normalised over the batch, the student's padded to c, pooled
        penultimate    (batch, features), as it is

    and project it to (batch, dim). A pair whose factor is 0 is neither built nor computed.

    Earlier methods are special cases, as the paper says: with ``negatives: 0`` a term is the mean over the batch
    of |u - v|^2 / tau, if ``critic`` is squared_distance, u and v being the outputs of ``head`` and
    ``transform`` for the two layers. With ``normalize: none``, tau 1 and the layers as ``pairs`` it is

        AT        attention, pad            positions times the mean squared difference of the attention maps
        SP        similarity, pad           batch size times ||G_T - G_S||_F^2 / (batch size)^2
        FitNet    hint, regressor, and      features times the mean squared difference of the hint and the student's
                  unit_length false         map behind a 1x1 convolution (no batch-norm, no ReLU)

    The transforms of FT and RKD are here as well; their losses, which are no squared distances, are in `ft` and `rkd`.

    Attributes:
        source: Chooses a batch's negatives, once for all pairs; None if there are none.
        pairs: Heads and banks of ``stem``, ``stage1``, ``stage2``, ..., ``penultimate``, or of the pairs named.
    """

    class Config(ContrastiveSettings):
        beta: float = Field(default=0.8, ge=0)
        """Factor of the penultimate pair, the paper's beta."""

        theta: float = Field(default=0.1, ge=0)
        """Factor of the stem's and of each stage's pair, the paper's theta."""

        pairing: Pairing = "last"
        """Which of a teacher stage's blocks the last block of the student's stage is matched with."""

        pairs: tuple[LayerPair, ...] = ()
        """Pairs given by hand, in place of beta, theta and pairing: student, teacher and weight of each. A layer is
        stem, penultimate, a stage such as stage3 (counted from 1; its last block) or a block of it such as stage3.0
        (counted from 0)."""

        normalize: Literal["batch", "none"] = "batch"
        """`batch`: block maps are L2-normalised over the batch, as published; `none`: taken as they are."""

        transform: Transform = "map"
        """The part of a layer that is compared: `map`, pooled, as published; `hint`, the whole map as in FitNet;
        `attention` as in AT, of maps alone; `factor`, the whole map normalised, as in FT; or rows of the batch,
        `similarity` as in SP or `relation` as in RKD."""

        @property
        def active(self) -> bool:
            """Whether any pair has a part in the sum."""
            factors = [pair.weight for pair in self.pairs] or [self.beta, self.theta]
            return super().active and any(factor > 0 for factor in factors)

        @model_validator(mode="after")
        def _fits_together(self) -> Self:
            fields = type(self).model_fields
            # Not by whether they were set: a configuration that was written out names them all.
            replaced = {name: getattr(self, name) for name in ("beta", "theta", "pairing")}
            changed = [f"{name}: {value}" for name, value in replaced.items() if value != fields[name].default]
            if self.pairs and changed:
                raise InputError(
                    "pairs: given by hand they replace beta, theta and pairing; leave out "
                    f"{', '.join(changed)}, or the pairs"
                )
            names = [pair.name for pair in self.pairs]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise InputError(f"pairs: each pair may be named only once; named twice: {', '.join(twice)}")
            if self.transform in OF_BATCH and self.head != "pad":
                raise InputError(
                    f"head: rows of transform {self.transform} are as long as the batch, which no learned head "
                    f"fits; choose pad; got {self.head!r}"
                )
            if self.transform in OF_BATCH and self.negatives > 0 and self.source != "batch":
                raise InputError(
                    f"source: rows of transform {self.transform} depend on the batch, so none can be kept for "
                    f"another; choose batch, or negatives 0; got {self.source!r}"
                )
            return self

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.representations = Representations(
            config.pairing, config.transform, given, normalize=config.normalize == "batch"
        )
        layers = config.pairs or _pairs_by_depth(config, given)
        self.layers = {pair.name: pair for pair in layers if pair.weight > 0}
        self.source = build_source(config, given.labels, given.seed)
        self.pairs = nn.ModuleDict()
        for name, pair in self.layers.items():
            self.pairs[name] = ContrastivePair(name, self.representations.shapes(pair, given), config, given)
        self.term_weights = {name: pair.weight for name, pair in self.layers.items()}
        readings = [self.representations.reading(pair, given) for pair in self.layers.values()]
        self.readings = None if None in readings else tuple(reading for reading in readings if reading)
        self.health_readings = self.readings if self.source else ()
        self.matched = tuple(self.representations.matched(pair) for pair in self.layers.values())

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return ``stem``, ``stage1``, ..., ``penultimate``: the loss of each pair, a scalar; update the banks."""
        negatives = self.source(batch) if self.source else None
        return {
            name: pair(*self.representations(self.layers[name], student, teacher, batch), batch, negatives)
            for name, pair in self.pairs.items()
        }

    def health(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, dict[str, Tensor]]:
        """Return `score_health` of ``stem.student``, ``stem.teacher``, ...: each pair's two banks."""
        if self.source is None:
            return {}
        classes = self.source.classes(batch)
        found: dict[str, dict[str, Tensor]] = {}
        for name, pair in self.pairs.items():
            assert isinstance(pair, ContrastivePair)
            compared = self.representations(self.layers[name], student, teacher, batch)
            found |= {f"{name}.{side}": numbers for side, numbers in pair.health(*compared, classes).items()}
        return found


def _pairs_by_depth(config: CKTF.Config, given: BuildContext) -> tuple[LayerPair, ...]:
    pairs: list[tuple[str, str, float]] = []
    if config.theta > 0:
        remedy = "name the pairs by hand under objective.cktf.pairs, or theta: 0"
        layers = {"stem": "stem"} | partners(given.student, given.teacher, "objective.cktf.theta", remedy)
        pairs = [(name, partner, config.theta) for name, partner in layers.items()]
    pairs.append(("penultimate", "penultimate", config.beta))
    return tuple(LayerPair(student=name, teacher=partner, weight=factor) for name, partner, factor in pairs)
