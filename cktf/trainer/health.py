"""The health of a distillation: numbers that say why one arm ends above another, and that move none of them.

Measured after some epochs of the phase that minimises all objectives together, on the validation split, where the
student is in eval mode and nothing is augmented:

    agreement                     top-1 agreement of student and teacher, per cent
    kl                            KL(teacher || student) at temperature 1, nats
    cka.PAIR                      linear CKA of two layers, each map averaged over its positions: of the stem, of every
                                  stage's last block where both networks have as many stages, and of the penultimate
                                  vectors, whatever the objectives are; and of layers that an objective matches besides
    NUMBER.OBJECTIVE.PART         what an objective tells itself, such as the gap between the scores of positives and
                                  negatives at a bank (see `cktf.objectives.contrastive.scores`)

and in the epoch's first step:

    gradient.OBJECTIVE.TERM       norm of the gradient of that term, times its factor in the sum, with respect to the
                                  student's parameters

Nothing is drawn and nothing moves, so a trial learns the same, with the same number of threads bit for bit, whether it
is measured or not. The split is the same after every epoch, so the teacher runs over it once for a trial: what is kept
of it is logits, the layers' means, and the objectives' readings. Only where an objective that tells something reads
whole maps, the teacher runs again each time. All workers of a trial measure the same validation split; of the gradient
each has its shard's part.

A measurement costs the student's forward over the validation split, and one backward of one batch for each term, in
the graph that the step has anyway. With `compile` no gradients are measured, for a compiled network's graph serves one
backward alone, and a trial learns the same but for rounding, for what is compiled depends on the batches seen before.
`benchmarks/health.py` has the share of an epoch that this is.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from pydantic import Field
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Shapes
from cktf.data import Dataset, Split, evaluation_batches
from cktf.objectives import WeightedSum
from cktf.objectives.contrastive.layers import LayerPair, blocks_of
from cktf.settings import Settings
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import World
from cktf.trainer.phases import MAIN, Phase
from cktf.trainer.similarity import agreement, divergence, linear_cka


class HealthConfig(Settings):
    """How often the health of a distillation is measured."""

    every: int = Field(default=10, ge=1)
    """Epochs of the phase from one measurement to the next; its last epoch is always measured."""


@dataclass(frozen=True)
class Validation:
    """The images that are measured on.

    Attributes:
        dataset: The data set.
        rows: (samples,), int64: rows of its training part.
        batch_size: As large as in training, for an objective may normalise over the batch.
        num_learnt: Samples that are learnt from; an index of the validation split begins behind theirs.
        has_labels: Whether the objectives know classes; otherwise every image is one of its own.
    """

    dataset: Dataset
    rows: Tensor
    batch_size: int
    num_learnt: int
    has_labels: bool

    def batches(self) -> Iterator[Batch]:
        """Yield all samples in order, normalised."""
        first = self.num_learnt
        batches = evaluation_batches(self.dataset, self.rows, batch_size=self.batch_size)
        for step, (images, labels) in enumerate(batches):
            index = torch.arange(first, first + len(labels), device=labels.device)
            yield Batch(images, labels if self.has_labels else index, index, step)
            first += len(labels)


@dataclass(frozen=True)
class Seen:
    """What is kept of a network's activations of all samples.

    Attributes:
        logits: (samples, classes), float32.
        layers: Name of a layer to (samples, channels), float32.
    """

    logits: Tensor
    layers: Mapping[str, Tensor]


class Health:
    """Measures one trial.

    Args:
        config: How often.
        phase: The phase that minimises all objectives together.
        objective: Their sum.
        teacher: The frozen teacher; None where the trial has none.
        validation: The images that are measured on.
        is_compiled: Whether the student is.
    """

    def __init__(
        self,
        config: HealthConfig,
        phase: Phase,
        objective: WeightedSum,
        teacher: nn.Module | None,
        validation: Validation,
        *,
        is_compiled: bool,
    ) -> None:
        assert phase.student is not None
        self.config = config
        self.epochs = phase.epochs
        self.student = phase.student
        self.objective = objective
        self.teacher = teacher
        self.validation = validation
        self.is_compiled = is_compiled
        self.pairs: dict[str, tuple[str, str]] = {}
        if teacher:
            built_for = objective.given
            self.pairs = layer_pairs(built_for.student, built_for.teacher, objective.matched)

    def is_due(self, epoch: int) -> bool:
        """Return whether an epoch of the phase, from 1, is measured."""
        return epoch % self.config.every == 0 or epoch == self.epochs

    def gradient_norms(self, terms: Mapping[str, Tensor], share: float, world: World) -> dict[str, float]:
        """Return ``gradient.TERM`` of one step, before its backward; the graph is kept for that.

        Args:
            terms: What the sum gives: unweighted scalars of this worker's shard, means over it.
            share: Part of the whole batch that this worker holds.
            world: All workers, whose gradients add up.
        """
        if self.is_compiled:
            return {}
        parameters = list(self.student.parameters())
        factors = self.objective.factors
        norms = {}
        for name, term in terms.items():
            gradients = torch.autograd.grad(
                term * (factors[name] * share), parameters, retain_graph=True, materialize_grads=True
            )
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            norms[f"gradient.{name}"] = world.sum(flat).double().norm()
        return _finite(norms)

    @torch.no_grad()
    def on_validation(self) -> dict[str, float]:
        """Return all that is measured on the validation split; the student is left in the mode it was in.

        Call it in the autocast of the networks.
        """
        was_training = self.student.training
        self.student.eval()
        layers = [layer for layer, _ in self.pairs.values()]
        seen, own, sizes = [], [], []
        for images, batch in self._batches():
            student: Activations = self.student(images)
            seen.append(_kept(student, layers))
            own.append(self.objective.health(student, self._teacher_on(images, batch), batch))
            sizes.append(len(images))
        self.student.train(was_training)
        found = {}
        if self.teacher:
            ours, theirs = _joined(seen), self._of_teacher[0]
            found["agreement"] = agreement(ours.logits, theirs.logits)
            found["kl"] = divergence(ours.logits, theirs.logits)
            for name, (layer, its_layer) in self.pairs.items():
                found[f"cka.{name}"] = linear_cka(ours.layers[layer], theirs.layers[its_layer])
        for name in own[0]:
            values = torch.stack([numbers[name] for numbers in own]).double()
            weights = values.new_tensor(sizes) * values.isfinite()  # a last batch may have no negatives
            found[name] = (values.nan_to_num(posinf=0) * weights).sum() / weights.sum()
        return _finite(found)

    def _batches(self) -> Iterator[tuple[Tensor, Batch]]:
        for batch in self.validation.batches():
            yield batch.images.contiguous(memory_format=torch.channels_last), batch

    def _teacher_on(self, images: Tensor, batch: Batch) -> Activations | None:
        """Return what the objectives' own numbers read of the teacher; None where there is none."""
        if self.teacher is None:
            return None
        _, read = self._of_teacher
        activations: Activations = self.teacher(images) if read is None else read[batch.step]
        return activations

    @cached_property
    def _of_teacher(self) -> tuple[Seen, list[Activations] | None]:
        """What is kept of the teacher, and of each batch the objectives' readings; None where these may be anything."""
        assert self.teacher is not None
        readings = self.objective.health_readings
        layers = [layer for _, layer in self.pairs.values()]
        seen, read = [], []
        for images, batch in self._batches():
            activations: Activations = self.teacher(images)
            seen.append(_kept(activations, layers))
            values = {reading.name: reading.compute(activations, batch).float() for reading in readings or ()}
            read.append(Activations.of_readings(values))
        return _joined(seen), None if readings is None else read


def health_of(
    health: HealthConfig | None,
    phase: Phase,
    config: TrialConfig,
    objective: WeightedSum,
    teacher: nn.Module | None,
    dataset: Dataset,
    parts: Split,
) -> Health | None:
    """Return what measures a phase; None where the study does not ask for it, or the phase is not the main one.

    Args:
        health: How often; None: not at all.
        phase: The phase.
        config: Of the trial.
        objective: The sum of its objectives.
        teacher: The frozen teacher; None where the trial has none.
        dataset: What the student learns from.
        parts: Its splits.
    """
    if health is None or phase.name != MAIN[config.task]:
        return None
    rows, num_learnt = parts.validation_index, len(phase.samples.rows)
    is_labelled = config.task == "distill"
    validation = Validation(dataset, rows, config.batch_size, num_learnt, has_labels=is_labelled)
    return Health(health, phase, objective, teacher, validation, is_compiled=config.compile)


def layer_pairs(
    student: Shapes, teacher: Shapes, matched: Iterable[tuple[str, str]]
) -> dict[str, tuple[str, str]]:
    """Return the layers whose likeness is told, of student and teacher, by the name of their pair.

    Args:
        student: Shapes of the student's activations.
        teacher: Shapes of the teacher's.
        matched: Pairs that the objectives name, which stand beside those of equal depth.
    """
    stages = range(1, len(student.stages) + 1) if len(student.stages) == len(teacher.stages) else ()
    by_depth = [(layer, layer) for layer in ("stem", *(f"stage{number}" for number in stages), "penultimate")]
    return {
        LayerPair(student=ours, teacher=theirs).name: (ours, theirs) for ours, theirs in (*by_depth, *matched)
    }


def _kept(activations: Activations, layers: Iterable[str]) -> Seen:
    blocks = {layer: blocks_of(activations, layer)[-1].float() for layer in layers}
    pooled = {layer: block.mean(dim=(2, 3)) if block.dim() == 4 else block for layer, block in blocks.items()}
    return Seen(activations.logits.float(), pooled)


def _joined(pieces: Sequence[Seen]) -> Seen:
    layers = {layer: torch.cat([piece.layers[layer] for piece in pieces]) for layer in pieces[0].layers}
    return Seen(torch.cat([piece.logits for piece in pieces]), layers)


def _finite(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Return scalars as numbers, read from their device at once; what is none is left out."""
    numbers = torch.stack([value.double() for value in values.values()]).tolist() if values else []
    return {name: number for name, number in zip(values, numbers, strict=True) if math.isfinite(number)}
