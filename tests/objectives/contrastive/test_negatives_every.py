"""Every sample of another class as a negative: what sampled negatives come to on average."""

import itertools

import pytest
import torch
from torch import Tensor

from cktf.batch import Batch
from cktf.objectives.contrastive.nce import estimate_partition
from cktf.objectives.contrastive.negatives import EveryNegative, Negatives, SampledNegatives
from tests.objectives.contrastive.one_side import noise_contrastive_loss

# Classes of 5, 3 and 2 samples.
LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 0, 2, 1, 0])
INDEX = torch.tensor([0, 1, 3, 6])
BATCH = Batch(torch.empty(0), LABELS[INDEX], INDEX, step=0)


def both(negatives: Negatives) -> Tensor:
    """Return Z and the NCE loss at a Z of 20, of fixed anchors and a fixed bank, with the anchors' gradient."""
    generator = torch.Generator().manual_seed(0)
    anchors = torch.nn.functional.normalize(torch.randn(4, 3, generator=generator), dim=1).requires_grad_()
    bank = torch.nn.functional.normalize(torch.randn(10, 3, generator=generator), dim=1)
    scored = anchors, bank[INDEX], bank, negatives
    z = estimate_partition(*scored, temperature=0.5, num_samples=10)
    loss = noise_contrastive_loss(*scored, temperature=0.5, partition=20.0, num_samples=10)
    (gradient,) = torch.autograd.grad(loss, anchors)
    return torch.stack([z, loss.detach(), *gradient.flatten()])


def test_weights_of_each_anchor_sum_to_k_and_own_classes_have_none() -> None:
    negatives = EveryNegative(LABELS, count=4)(BATCH)
    assert negatives.scale is not None
    weights = negatives.weights * negatives.scale.unsqueeze(1)
    torch.testing.assert_close(weights.sum(1), torch.full((4,), 4.0))
    assert not weights[BATCH.labels.unsqueeze(1) == LABELS].any()
    assert weights[2].tolist() == pytest.approx([0.5, 0.5, 0.5, 0, 0.5, 0.5, 0.5, 0, 0.5, 0.5])


def test_it_is_the_mean_over_all_single_negatives() -> None:
    others = [(label != LABELS).nonzero().flatten().tolist() for label in BATCH.labels]
    total, count = torch.zeros(14), 0
    for rows in itertools.product(*others):
        weights = torch.nn.functional.one_hot(torch.tensor(rows), 10).float()
        total += both(Negatives(weights, 1, distinct=True))
        count += 1
    torch.testing.assert_close(both(EveryNegative(LABELS, count=1)(BATCH)), total / count, rtol=1e-4, atol=1e-5)


def test_the_mean_over_many_draws_tends_to_it() -> None:
    sampled, every = SampledNegatives(LABELS, 4, seed=0), both(EveryNegative(LABELS, 4)(BATCH))
    draws = torch.stack([both(sampled(Batch(torch.empty(0), BATCH.labels, INDEX, step))) for step in range(800)])
    error = draws.std(0) / 800**0.5
    assert ((draws.mean(0) - every).abs() < 4 * error + 1e-6).all()
    assert (draws.std(0)[:2] > 10 * error[:2]).all()  # single draws differ from it


def test_with_k_equal_to_all_others_it_is_the_sampled_draw_of_all() -> None:
    labels = torch.arange(10) % 5
    batch = Batch(torch.empty(0), labels[INDEX], INDEX, step=0)
    torch.testing.assert_close(both(EveryNegative(labels, 8)(batch)), both(SampledNegatives(labels, 8, seed=0)(batch)))


def test_nothing_of_it_is_in_the_state_dict() -> None:
    assert not EveryNegative(LABELS, 4).state_dict()
