"""Diagnostics of a distillation. Measuring them changes no result.

Measured after some epochs of the main phase on the validation split, in eval mode and without augmentation:

    agreement                     top-1 agreement of student and teacher, per cent
    kl                            KL(teacher || student) at temperature 1, nats
    cka.PAIR                      linear CKA of two layers, maps averaged over positions: stem, each stage's last block
                                  (if both networks have as many stages), penultimate vector, and the pairs of layers
                                  that objectives match
    MEASURE.OBJECTIVE.PART        measures of an objective itself, such as the gap between the scores of positives and
                                  negatives at a bank (see `cktf.objectives.contrastive.pair`)

and in the epoch's first step:

    gradient.OBJECTIVE.TERM       norm of the gradient of that term, times its factor in the sum, with respect to the
                                  student's parameters

No random number is drawn and no state changes. Every worker measures the whole split; gradients are summed over the
workers' shards. With `compile` no gradients are measured, because the graph of a compiled network
serves one backward only, and training differs by rounding, because compilation depends on the batches seen before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Shapes
from cktf.data import Dataset, Split, evaluation_batches
from cktf.measures.predictions import agreement
from cktf.measures.registry import as_numbers
from cktf.objectives import WeightedSum
from cktf.objectives.contrastive.representations import LayerPair, blocks_of
from cktf.objectives.kd import softened_divergence
from cktf.settings import Settings
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trainer.phases import Phase

LOGITS = "logits"


class HealthConfig(Settings):
    """Settings of the diagnostics."""

    every: int = Field(default=10, ge=1)
    """Epochs of the main phase between two measurements; its last epoch is always measured."""


class Health:
    """Measures the health of one trial in its main phase; ``teacher`` is the frozen one, None if it has none."""

    def __init__(
        self,
        settings: HealthConfig,
        phase: Phase,
        config: TrialConfig,
        objective: WeightedSum,
        teacher: nn.Module | None,
        dataset: Dataset,
        parts: Split,
    ) -> None:
        assert phase.student is not None
        self.settings, self.phase, self.config = settings, phase, config
        self.student, self.teacher, self.objective = phase.student, teacher, objective
        self.dataset, self.rows = dataset, parts.validation_index
        shapes = objective.given.student, objective.given.teacher
        self.pairs = layer_pairs(*shapes, objective.matched) if teacher else {}

    def is_due(self, epoch: int) -> bool:
        """Return whether an epoch of the phase (from 1) is measured."""
        return epoch % self.settings.every == 0 or epoch == self.phase.epochs

    def gradient_norms(self, terms: Mapping[str, Tensor], share: float, workers: Workers) -> dict[str, float]:
        """Return the gradient norm of each term of one step as ``gradient.TERM``; call it before the step's backward.

        ``terms`` are unweighted, means over this worker's ``share`` of the batch; gradients are summed over workers.
        """
        if self.config.compile:
            return {}
        parameters = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
        factors = self.objective.factors
        norms = {}
        for name, term in terms.items():
            weighted = term * (factors[name] * share)
            gradients = torch.autograd.grad(weighted, parameters, retain_graph=True, materialize_grads=True)
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            norms[f"gradient.{name}"] = workers.sum(flat).double().norm()
        return as_numbers(norms)

    @torch.no_grad()
    def on_validation(self) -> dict[str, float]:
        """Return all measures on the validation split; the student's mode is restored.

        Call it in the autocast of the networks.
        """
        was_training = self.student.training
        self.student.eval()
        of_students, of_teachers, of_objectives, sizes = [], [], [], []
        for batch in self._batches():
            own: Activations = self.student(batch.images)
            other: Activations | None = self.teacher(batch.images) if self.teacher else None
            if other:
                of_students.append(_layer_vectors(own, [layer for layer, _ in self.pairs.values()]))
                of_teachers.append(_layer_vectors(other, [layer for _, layer in self.pairs.values()]))
            of_objectives.append(self.objective.health(own, other, batch))
            sizes.append(len(batch.images))
        self.student.train(was_training)
        found = {}
        if self.teacher:
            student, teacher = _joined(of_students), _joined(of_teachers)
            found["agreement"] = agreement(student[LOGITS], teacher[LOGITS])
            found["kl"] = softened_divergence(student[LOGITS].double(), teacher[LOGITS].double(), temperature=1.0)
            for name, (student_layer, teacher_layer) in self.pairs.items():
                found[f"cka.{name}"] = linear_cka(student[student_layer], teacher[teacher_layer])
        for name in of_objectives[0]:
            values = torch.stack([measures[name] for measures in of_objectives]).double()
            weights = values.new_tensor(sizes) * values.isfinite()  # a last batch may have no negatives
            found[name] = (values.nan_to_num(posinf=0) * weights).sum() / weights.sum()
        return as_numbers(found)

    def _batches(self) -> Iterator[Batch]:
        """Yield all samples of the validation split in order, normalised, with the channels innermost."""
        # Batches as in training, since an objective may normalise over them; indices follow the training samples'.
        first = len(self.phase.samples.rows)
        batches = evaluation_batches(self.dataset, self.rows, batch_size=self.config.batch_size)
        for step, (images, labels) in enumerate(batches):
            index = torch.arange(first, first + len(labels), device=labels.device)
            images = images.contiguous(memory_format=torch.channels_last)
            # Without labels every image is its own class.
            yield Batch(images, labels if self.config.task == "distill" else index, index, step)
            first += len(labels)


def layer_pairs(student: Shapes, teacher: Shapes, matched: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return the layers of both networks whose CKA is measured, by name: pairs of equal depth, and ``matched``."""
    layers = {"stem": ["stem"], "stages": [], "penultimate": ["penultimate"]}
    known = [name for name in layers if student.has(name) and teacher.has(name)]
    if "stages" in known and len(student.stages) == len(teacher.stages):
        layers["stages"] = [f"stage{number}" for number in range(1, len(student.stages) + 1)]
    by_depth = [(layer, layer) for name in known for layer in layers[name]]
    pairs = [LayerPair(student=one, teacher=other) for one, other in (*by_depth, *matched)]
    return {pair.name: (pair.student, pair.teacher) for pair in pairs}


def _layer_vectors(activations: Activations, layers: Iterable[str]) -> dict[str, Tensor]:
    """Return the logits and layers of one batch, float32, maps averaged over positions: (batch, channels) each."""
    blocks = {layer: blocks_of(activations, layer)[-1].float() for layer in layers}
    pooled = {layer: block.mean(dim=(2, 3)) if block.dim() == 4 else block for layer, block in blocks.items()}
    return {**pooled, LOGITS: activations.logits.float()}


def _joined(pieces: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {layer: torch.cat([piece[layer] for piece in pieces]) for layer in pieces[0]}


def linear_cka(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the linear centred kernel alignment of two representations, from 0 to 1; a scalar, NaN if one is constant.

    Kornblith, Norouzi, Lee and Hinton, ICML 2019, arXiv 1905.00414, section 3: with X and Y, (samples, features), of
    columns of mean 0, ||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F). A mean over minibatches would be biased.
    """
    x, y = (side.double() - side.double().mean(dim=0) for side in (student, teacher))
    yx, xx, yy = (product.square().sum() for product in (y.T @ x, x.T @ x, y.T @ y))
    return yx / (xx * yy).sqrt()
