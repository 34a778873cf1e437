"""The contrastive knowledge transfer framework: Zhao, Chen and Zhao, ICASSP 2023, arXiv 2303.07599."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.errors import InputError
from cktf.objectives.contrastive.negatives import Source, build_source
from cktf.objectives.contrastive.pair import ContrastivePair, losses
from cktf.objectives.contrastive.representations import OF_BATCH, LayerPair, Pairing, Representations, Transform
from cktf.objectives.contrastive.settings import ContrastiveSettings
from cktf.objectives.objective import BuildContext, Factor, FeatureObjective
from cktf.objectives.parts.stages import partners
from cktf.objectives.schedules import Ramp, largest, value_of


class CKTF(FeatureObjective):
    """Representations of the same depth are contrasted, from the stem to the penultimate vector.

    The paper minimises

        gamma * CE + alpha * KL + beta * L_penultimate + theta * (L_stem + L_stage1 + L_stage2 + ...)

    gamma is the weight of ``cross_entropy``, alpha that of ``kd``; beta and theta are settings here. Each L is
    the NCE loss of both sides of a pair (arXiv 1910.10699, eq. 18; see `nce`). Published: gamma 1, alpha 0, beta 0.8,
    theta 0.1, and for CKTF + KD alpha 1; as second objective beside another method, weight 0.8, beta 1 and theta 1.

    For each pair, with c channels of the teacher and w pooling windows in a map, the heads read

        stem           (batch, its own channels * w), pooled
        stage1, ...    (batch, c * w), normalised over the batch, the student's padded to c, pooled
        penultimate    (batch, features), as it is

    and project it to (batch, dim). A pair whose factor is 0 is neither built nor computed.

    Earlier methods are special cases: with ``negatives: 0`` and ``critic: squared_distance`` a term is the mean over
    the batch of |u - v|^2 / tau, u and v being the outputs of ``head`` and ``transform`` for the two layers. With
    ``normalize: none``, tau 1 and the layers as ``pairs`` it is

        AT        attention, pad            positions times the mean squared difference of the attention maps
        SP        similarity, pad           batch size times ||G_T - G_S||_F^2 / (batch size)^2
        FitNet    hint, regressor, and      features times the mean squared difference of the hint and the student's
                  unit_length false         map behind a 1x1 convolution (no batch-norm, no ReLU)

    The transforms of FT and RKD are here as well; their losses, which are no squared distances, are in `ft` and `rkd`.

    ``source`` chooses a batch's negatives, once for all pairs that do not set ``negatives`` themselves.
    """

    takes_mixed = False  # each row of a bank, and each negative, belongs to one sample and one class

    class Config(ContrastiveSettings):
        beta: Factor = 0.8
        """Factor of the penultimate pair, the paper's beta."""

        theta: Factor = 0.1
        """Factor of the stem's and of each stage's pair, the paper's theta."""

        pairing: Pairing = "last"
        """Block of the teacher's stage that is compared with the last block of the student's stage."""

        pairs: tuple[LayerPair, ...] = ()
        """Pairs given by hand, in place of beta, theta and pairing: student, teacher and weight of each, and dim,
        temperature and negatives where they differ from the method's. A layer is stem, penultimate, a stage such as
        stage3 (counted from 1; its last block) or a block of it such as stage3.0 (counted from 0)."""

        normalize: Literal["batch", "none"] = "batch"
        """`batch`: block maps are L2-normalised over the batch, as published; `none`: taken as they are."""

        transform: Transform = "map"
        """The part of a layer that is compared: `map`, pooled, as published; `hint`, the whole map as in FitNet;
        `attention` as in AT, for maps only; `factor`, the whole map normalised, as in FT; or rows of the batch,
        `similarity` as in SP or `relation` as in RKD."""

        @property
        def factors(self) -> dict[str, float | Ramp[float]]:
            """Factors of the pairs in ``pairs`` by name; beta and theta if there are none."""
            return {pair.name: pair.weight for pair in self.pairs} or {"beta": self.beta, "theta": self.theta}

        def of_pair(self, pair: LayerPair) -> Self:
            """Return the method's settings, overridden by those that ``pair`` sets itself."""
            own = {name: getattr(pair, name) for name in ("dim", "temperature", "negatives")}
            return self.model_copy(update={name: value for name, value in own.items() if value is not None})

        @model_validator(mode="after")
        def _fits_together(self) -> Self:
            # Compared by value, not by which fields were set: a configuration read back from a row sets every field.
            replaced = {name: getattr(self, name) for name in ("beta", "theta", "pairing")}
            defaults = type(self).model_fields
            changed = [f"{name}: {value}" for name, value in replaced.items() if value != defaults[name].default]
            if self.pairs and changed:
                raise InputError(
                    f"pairs: they replace beta, theta and pairing; leave out {', '.join(changed)}, or the pairs"
                )
            names = [pair.name for pair in self.pairs]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise InputError(f"pairs: each pair may be named only once; named twice: {', '.join(twice)}")
            for pair in self.pairs:
                if pair.dim is not None and self.head not in ("linear", "mlp"):
                    raise InputError(f"pairs: {pair.name}: dim: head {self.head} has no dim to choose; leave it out")
                if pair.negatives and self.source == "batch":
                    raise InputError(
                        f"pairs: {pair.name}: negatives: of source batch are the batch's; leave it out, or 0"
                    )
                try:
                    self.of_pair(pair).require_fitting()
                except InputError as error:
                    raise InputError(f"pairs: {pair.name}: {error}") from None
            if self.transform in OF_BATCH and self.head != "pad":
                raise InputError(f"head: rows of transform {self.transform} fit pad alone; got {self.head!r}")
            of_pairs = [self.of_pair(pair) for pair in self.pairs] or [self]
            reads_bank = self.source != "batch" and any(each.negatives > 0 for each in of_pairs)
            if self.transform in OF_BATCH and reads_bank:
                raise InputError(
                    f"source: rows of transform {self.transform} need batch, or negatives 0; got {self.source!r}"
                )
            return self

    def __init__(self, config: Config, given: BuildContext) -> None:
        super().__init__()
        self.reads_labels = config.labels
        normalize = config.normalize == "batch"
        self.representations = Representations(config.pairing, config.transform, given, normalize=normalize)
        layers = config.pairs or _pairs_by_depth(config, given)
        self.layers = {pair.name: pair for pair in layers if largest(pair.weight) > 0}
        self.temperature = value_of(config.temperature)
        self._pairs: dict[str, ContrastivePair] = {}
        self._own: dict[str, Source | None] = {}
        for name, pair in self.layers.items():
            shapes, own = self.representations.shapes(pair, given), config.of_pair(pair)
            temperature = self.temperature if pair.temperature is None else value_of(pair.temperature)
            self._pairs[name] = ContrastivePair(name, shapes, own, given, temperature)
            if pair.negatives is not None:
                self._own[name] = build_source(own, given.labels, given.seed)
        self.pairs = nn.ModuleDict(self._pairs)
        is_shared = len(self._own) < len(self.layers)
        self.source = build_source(config, given.labels, given.seed) if is_shared else None
        self.own_sources = nn.ModuleList(source for source in self._own.values() if source)
        self.term_weights = {name: pair.weight for name, pair in self.layers.items()}
        readings = [self.representations.reading(pair, given) for pair in self.layers.values()]
        self.readings = None if None in readings else tuple(reading for reading in readings if reading)
        self.matched = tuple(self.representations.matched(pair) for pair in self.layers.values())

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:
        """Return ``stem``, ``stage1``, ..., ``penultimate``: the loss of each pair, a scalar; update the banks."""
        batch = self._classed(batch)
        shared = self.source(batch) if self.source else None
        own = {name: source(batch) if source else None for name, source in self._own.items()}
        pairs = self._pairs
        compared = {pairs[name]: self.representations(of, student, teacher, batch) for name, of in self.layers.items()}
        found = losses(compared, batch, {pair: own.get(name, shared) for name, pair in pairs.items()})
        return {name: found[pair] for name, pair in pairs.items()}

    def draws(self, batch: Batch) -> Mapping[Any, Tensor]:
        batch = self._classed(batch)
        sources = [self.source, *self._own.values()]
        negatives = {part: drawn for source in sources if source for part, drawn in source.draws(batch).items()}
        return negatives | self.representations.draws(self.layers.values(), batch)

    def is_fused(self, device: torch.device) -> bool:
        return any(pair.is_fused(device) for pair in self._pairs.values())

    def health(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, dict[str, Tensor]]:
        """Return the `score_health` of each pair's two banks: ``stem.student``, ``stem.teacher``, ..."""
        batch = self._classed(batch)
        found: dict[str, dict[str, Tensor]] = {}
        for name, pair in self._pairs.items():
            if (source := self._own.get(name, self.source)) is not None:
                compared = self.representations(self.layers[name], student, teacher, batch)
                found |= pair.health(*compared, batch.labels, source.classes(batch))
        return found

    def _classed(self, batch: Batch) -> Batch:
        """Return the batch; if no labels are read, every sample is a class of its own."""
        return batch if self.reads_labels else replace(batch, labels=batch.index)


def _pairs_by_depth(config: CKTF.Config, given: BuildContext) -> tuple[LayerPair, ...]:
    factors: dict[tuple[str, str], float | Ramp[float]] = {}
    if largest(config.theta) > 0:
        remedy = "name the pairs by hand under objective.cktf.pairs, or theta: 0"
        layers = {"stem": "stem"} | partners(given.student, given.teacher, "objective.cktf.theta", remedy)
        factors = dict.fromkeys(layers.items(), config.theta)
    factors["penultimate", "penultimate"] = config.beta
    return tuple(LayerPair(student=own, teacher=other, weight=factor) for (own, other), factor in factors.items())
