"""Contrastive representation distillation."""

import torch

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.contrastive.cktf import CKTF
from cktf.objectives.contrastive.crd import CRD
from tests.objectives.contrastive.one_side import memory_of, pair_of

SMALL = {"negatives": 8, "dim": 4}


def test_crd_is_cktf_with_the_penultimate_pair_alone(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    crd = CRD(CRD.Config(**SMALL), given)
    cktf = CKTF(CKTF.Config(theta=0, **SMALL), given)
    for _ in range(2):
        expected = cktf(student, teacher, batch)
        terms = crd(student, teacher, batch)
        assert terms.keys() == expected.keys() == {"penultimate"}
        assert torch.equal(terms["penultimate"], expected["penultimate"])


def test_one_step_equals_both_sides_written_out(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    crd = CRD(CRD.Config(**SMALL), given)
    assert crd.source is not None
    weights = crd.source(batch).weights
    ours, theirs = pair_of(crd).student.head(student.penultimate), pair_of(crd).teacher.head(teacher.penultimate)
    expected = torch.zeros(())
    for anchors, bank in ((ours, memory_of(pair_of(crd).teacher)), (theirs, memory_of(pair_of(crd).student))):
        scores = torch.exp(anchors @ bank.T / 0.1)
        positive = scores[torch.arange(6), batch.index]
        z = (positive.sum() + (scores * weights).sum()) / (6 * 9) * 30
        c = 8 / 30
        p, q = positive / z.detach(), scores / z.detach()
        expected = expected - torch.log(p / (p + c + 1e-7)).mean()
        expected = expected - (weights * torch.log(c / (q + c + 1e-7))).sum() / 6
    (gradient,) = torch.autograd.grad(expected, student.penultimate)
    loss = crd(student, teacher, batch)["penultimate"]
    loss.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(student.penultimate.grad, gradient)
