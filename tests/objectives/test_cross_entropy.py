"""Cross-entropy."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.cross_entropy import CrossEntropy


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes(
    student: Activations, batch: Batch, given: BuildContext
) -> None:
    even = replace(student, logits=torch.zeros(6, 5))
    terms = CrossEntropy(CrossEntropy.Config(), given)(even, None, batch)
    assert terms.keys() == {"logits"}
    assert math.isclose(float(terms["logits"]), math.log(5), rel_tol=1e-6)


def reference(logits: Tensor, targets: list[dict[int, float]], smoothing: float) -> float:
    """Add up minus target times logarithm of probability, class by class; each sample's target is class to share."""
    total = 0.0
    for row, target in zip(logits.tolist(), targets, strict=True):
        normaliser = math.log(sum(math.exp(value) for value in row))
        for label, value in enumerate(row):
            share = (1 - smoothing) * target.get(label, 0.0) + smoothing / len(row)
            total -= share * (value - normaliser) / len(targets)
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("is_mixed", [False, True])
def test_smoothed_and_mixed_labels_are_targets_that_add_up_to_one(
    student: Activations, batch: Batch, given: BuildContext, smoothing: float, is_mixed: bool
) -> None:
    logits = torch.randn(6, 5, requires_grad=True)
    targets = [{int(label): 1.0} for label in batch.labels]
    if is_mixed:
        others, shares = (batch.labels + 2) % 5, torch.linspace(0, 1, 6)
        batch = replace(batch, other_labels=others, own_share=shares)
        both = zip(batch.labels.tolist(), others.tolist(), shares.tolist(), strict=True)
        targets = [{own: share, other: 1 - share} for own, other, share in both]
    objective = CrossEntropy(CrossEntropy.Config(smoothing=smoothing), given)
    loss = objective(replace(student, logits=logits), None, batch)["logits"]
    assert loss.item() == pytest.approx(reference(logits.detach(), targets, smoothing), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, logits)
    expected = logits.softmax(dim=1).detach()
    for row, target in enumerate(targets):
        for label in range(5):
            expected[row, label] -= (1 - smoothing) * target.get(label, 0.0) + smoothing / 5
    torch.testing.assert_close(gradient, expected / 6)


def test_no_teacher_is_needed() -> None:
    assert not CrossEntropy.needs_teacher
