"""CRD with every source, estimator and critic, against loops over named samples."""

import itertools
import math
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.contrastive.banks import EmbeddingQueue
from cktf.objectives.contrastive.crd import CRD
from cktf.objectives.contrastive.settings import Critic, Estimator, HeadKind, SourceKind
from tests.objectives.contrastive.one_side import memory_of, pair_of

K, DIM, TAU = 8, 4, 0.3
COMBINATIONS = list(itertools.product(get_args(SourceKind), get_args(Estimator), get_args(Critic)))
UNSEEN = -1
"""Class of a queue's row that is still random."""

Candidates = list[tuple[float, Tensor]]


class SlowCRD:
    """`CRD`, one anchor and one candidate at a time, with the negatives and first rows of the fast one."""

    def __init__(self, crd: CRD, given: BuildContext, config: CRD.Config) -> None:
        self.config, self.labels = config, given.labels
        self.heads = pair_of(crd).student.head, pair_of(crd).teacher.head
        self.sampled = crd.source if config.source in ("sampled", "shared") else None
        self.z: dict[int, float] = {}
        self.rows: list[list[Tensor]] = [[], []]
        for side, half in enumerate((pair_of(crd).student, pair_of(crd).teacher)):
            if config.source == "queue":
                assert isinstance(half.bank, EmbeddingQueue)
                self.rows[side] = [row.clone() for row in half.bank.embeddings.values]
            elif config.source != "batch":
                self.rows[side] = [row.clone() for row in memory_of(half)]
        self.queued = [UNSEEN] * K
        self.oldest = 0

    def score(self, anchor: Tensor, candidate: Tensor) -> Tensor:
        if self.config.critic == "cosine":
            return anchor @ candidate / TAU
        # Of vectors of length 1; a random first row counts as one.
        return 2 * (anchor @ candidate - 1) / TAU

    def candidates(self, number: int, other: int, embeddings: list[Tensor], batch: Batch) -> Candidates:
        """Return weight and embedding of each candidate that anchor ``number`` has on side ``other``."""
        label = batch.labels[number]
        rows = self.rows[other]
        match self.config.source:
            case "sampled":
                assert self.sampled is not None
                weights = self.sampled(batch).weights[number]
                return [(float(weight), row) for weight, row in zip(weights, rows, strict=True)]
            case "shared":
                assert self.sampled is not None
                drawn = self.sampled(batch).rows.tolist()
                return [(1.0, rows[row]) for row in drawn if self.labels[row] != label]
            case "all":
                others = [row for row in range(30) if self.labels[row] != label]
                return [(K / len(others), rows[row]) for row in others]
            case "queue":
                return [(1.0, row) for row, theirs in zip(rows, self.queued, strict=True) if theirs != label]
            case _:
                pairs = zip(embeddings, batch.labels, strict=True)
                return [(1.0, embedding) for embedding, theirs in pairs if theirs != label]

    def one_side(self, side: int, anchors: Tensor, others: Tensor, batch: Batch) -> Tensor:
        """Return the loss of one side's anchors."""
        positives = {"queue": others.detach(), "batch": others}.get(self.config.source)
        if positives is None:
            positives = torch.stack([self.rows[1 - side][row] for row in batch.index.tolist()])
        own = [torch.exp(self.score(*pair)) for pair in zip(anchors, positives, strict=True)]
        negatives = [
            [
                (weight, torch.exp(self.score(anchor, candidate)))
                for weight, candidate in self.candidates(number, 1 - side, list(others), batch)
                if weight > 0
            ]
            for number, anchor in enumerate(anchors)
        ]
        total = torch.zeros(())
        if self.config.estimator == "infonce":
            for positive, rest in zip(own, negatives, strict=True):
                total = total - torch.log(positive / (positive + sum(w * e for w, e in rest)))
            return total / len(anchors)
        if side not in self.z:
            every = [(1.0, positive) for positive in own] + [pair for rest in negatives for pair in rest]
            self.z[side] = 30 * sum(w * float(e.detach()) for w, e in every) / sum(w for w, _ in every)
        c = (len(batch.index) - 1 if self.config.source == "batch" else K) / 30
        for positive, rest in zip(own, negatives, strict=True):
            p = positive / self.z[side]
            total = total - torch.log(p / (p + c + 1e-7))
            for weight, e in rest:
                total = total - weight * torch.log(c / (e / self.z[side] + c + 1e-7))
        return total / len(anchors)

    def __call__(self, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        ours, theirs = self.heads[0](student), self.heads[1](teacher)
        loss = self.one_side(0, ours, theirs, batch) + self.one_side(1, theirs, ours, batch)
        for side, embeddings in enumerate((ours.detach(), theirs.detach())):
            for number, (row, embedding) in enumerate(zip(batch.index.tolist(), embeddings, strict=True)):
                if self.config.source == "queue":
                    self.rows[side][(self.oldest + number) % K] = embedding
                    self.queued[(self.oldest + number) % K] = int(batch.labels[number])
                elif self.config.source != "batch":
                    moved = 0.5 * self.rows[side][row] + 0.5 * embedding
                    self.rows[side][row] = moved / moved.norm()
        self.oldest = (self.oldest + len(batch.index)) % K
        return loss


def batch_of(step: int) -> Batch:
    index = torch.randperm(30, generator=torch.Generator().manual_seed(step))[:6]
    return Batch(torch.empty(0), index % 5, index, step)


def settings(source: SourceKind, estimator: Estimator, critic: Critic, **others: Any) -> CRD.Config:
    return CRD.Config(
        negatives=K, dim=DIM, temperature=TAU, source=source, estimator=estimator, critic=critic, **others
    )


@pytest.mark.parametrize(("source", "estimator", "critic"), COMBINATIONS)
def test_three_steps_equal_loops_over_named_samples(
    source: SourceKind,
    estimator: Estimator,
    critic: Critic,
    student: Activations,
    teacher: Activations,
    given: BuildContext,
) -> None:
    config = settings(source, estimator, critic)
    crd = CRD(config, given)
    slow = SlowCRD(crd, given, config)
    for step in range(3):
        loss = crd(student, teacher, batch_of(step))["penultimate"]
        expected = slow(student.penultimate, teacher.penultimate, batch_of(step))
        torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
        trained = student.penultimate, *crd.parameters()
        torch.testing.assert_close(
            torch.autograd.grad(loss, trained), torch.autograd.grad(expected, trained), rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize("head", get_args(HeadKind))
def test_every_head_makes_embeddings_of_one_width_and_trains_the_student(
    head: HeadKind, student: Activations, teacher: Activations, given: BuildContext
) -> None:
    crd = CRD(settings("sampled", "nce", "cosine", head=head), given)
    crd(student, teacher, batch_of(0))["penultimate"].backward()
    width = {"linear": DIM, "mlp": DIM}.get(head, 16)  # else the teacher's
    assert memory_of(pair_of(crd).student).shape == (30, width) == memory_of(pair_of(crd).teacher).shape
    assert student.penultimate.grad is not None
    assert student.penultimate.grad.abs().sum() > 0
    learned = {
        side: sum(p.numel() for p in pair_of(crd).get_submodule(side).parameters()) for side in ("student", "teacher")
    }
    assert (learned["student"] > 0) == (head != "pad")
    assert (learned["teacher"] > 0) == (head in ("linear", "mlp"))


@pytest.mark.parametrize("source", get_args(SourceKind))
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_resumed_objective_goes_on_as_the_uninterrupted_one(
    source: SourceKind, precision: str, student: Activations, teacher: Activations, given: BuildContext
) -> None:
    config = settings(source, "nce", "cosine", bank_precision=precision)
    crd, resumed = CRD(config, given), CRD(config, replace(given, seed=given.seed))
    for step in range(3):
        crd(student, teacher, batch_of(step))
    resumed(student, teacher, batch_of(9))  # a state of its own, to be replaced
    resumed.load_state_dict(crd.state_dict())
    for step in range(3, 6):
        terms = [each(student, teacher, batch_of(step))["penultimate"] for each in (crd, resumed)]
        assert torch.equal(*terms)


@pytest.mark.parametrize("estimator", get_args(Estimator))
def test_a_bank_in_bfloat16_has_nearly_the_loss_of_one_in_float32(
    estimator: Estimator, student: Activations, teacher: Activations, given: BuildContext
) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        crd = CRD(settings("sampled", estimator, "cosine", bank_precision=precision), given)
        losses.append([crd(student, teacher, batch_of(step))["penultimate"].item() for step in range(3)])
        assert memory_of(pair_of(crd).student).dtype == getattr(torch, precision)
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
    assert losses[0] != losses[1]


def test_without_negatives_and_banks_the_loss_is_the_mean_distance(
    student: Activations, teacher: Activations, given: BuildContext
) -> None:
    config = CRD.Config(negatives=0, dim=DIM, critic="squared_distance", temperature=0.5, unit_length=False)
    crd = CRD(config, given)
    assert not any("bank" in name for name in crd.state_dict())
    loss = crd(student, teacher, batch_of(0))["penultimate"]
    ours, theirs = pair_of(crd).student.head(student.penultimate), pair_of(crd).teacher.head(teacher.penultimate)
    expected = sum(
        sum((a - b) ** 2 for a, b in zip(u, v, strict=True)) / 0.5
        for u, v in zip(ours.tolist(), theirs.tolist(), strict=True)
    )
    assert math.isclose(loss.item(), expected / 6, rel_tol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"unit_length": False}, "unit_length: a cosine"),
        ({"unit_length": False, "critic": "squared_distance"}, "unit_length: negatives"),
        ({"critic": "squared_distance", "temperature": 0.03}, r"temperature: .* 0\.04 or more.* got 0\.03"),
        ({"source": "bank"}, "source"),
        ({"estimator": "softmax"}, "estimator"),
        ({"bank_precision": "float16"}, "bank_precision"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CRD.Config.model_validate(values)
