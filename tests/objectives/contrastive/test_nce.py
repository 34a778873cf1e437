"""The contrast with a whole bank: loss, gradient, Z, tiles."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from cktf.objectives.contrastive import nce as contrast
from cktf.objectives.contrastive.nce import estimate_partition
from cktf.objectives.contrastive.negatives import Negatives
from tests.objectives.contrastive.one_side import noise_contrastive_loss, shapes_saved_for_backward

NUM_SAMPLES, BATCH, DIM, NEGATIVES = 23, 4, 3, 6

loss_of = partial(noise_contrastive_loss, num_samples=NUM_SAMPLES)


def case(*, distinct: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return anchors, bank, index and negatives (batch, K), of which some come twice unless distinct."""
    generator, dtype = torch.Generator().manual_seed(0), torch.float64
    anchors = torch.nn.functional.normalize(torch.randn(BATCH, DIM, generator=generator, dtype=dtype), dim=1)
    bank = torch.nn.functional.normalize(torch.randn(NUM_SAMPLES, DIM, generator=generator, dtype=dtype), dim=1)
    index = torch.randperm(NUM_SAMPLES, generator=generator)[:BATCH]
    if distinct:
        negatives = torch.rand(BATCH, NUM_SAMPLES, generator=generator).argsort(1)[:, :NEGATIVES]
    else:
        negatives = torch.randint(NUM_SAMPLES, (BATCH, NEGATIVES), generator=generator)
    return anchors, bank, index, negatives


def as_negatives(rows: Tensor, dtype: torch.dtype = torch.float64) -> Negatives:
    weights = torch.zeros(len(rows), NUM_SAMPLES, dtype=dtype)
    weights.scatter_add_(1, rows, torch.ones(rows.shape, dtype=dtype))
    return Negatives(weights, count=rows.shape[1], distinct=bool(weights.max() == 1))


def slow_loss(
    anchors: Tensor, bank: Tensor, index: Tensor, negatives: Tensor, temperature: float, partition: float
) -> Tensor:
    """Return equation 18 as it is written, one pair of vectors at a time."""
    noise = negatives.shape[1] / len(bank)
    total = torch.zeros((), dtype=anchors.dtype)
    for anchor, own, others in zip(anchors, index, negatives, strict=True):
        p = torch.exp(anchor @ bank[own] / temperature) / partition
        total = total - torch.log(p / (p + noise + 1e-7))
        for other in others:
            p = torch.exp(anchor @ bank[other] / temperature) / partition
            total = total - torch.log(noise / (p + noise + 1e-7))
    return total / len(anchors)


def slow_partition(anchors: Tensor, bank: Tensor, index: Tensor, negatives: Tensor, temperature: float) -> float:
    rows = torch.cat([index.unsqueeze(1), negatives], dim=1)
    values = [
        math.exp(float(anchor @ bank[row]) / temperature)
        for anchor, chosen in zip(anchors, rows, strict=True)
        for row in chosen
    ]
    return sum(values) / len(values) * len(bank)


@pytest.mark.parametrize("temperature", [0.02, 0.1, 1.0])
@pytest.mark.parametrize("tile", [1, 4 * 5, 2**20])
@pytest.mark.parametrize("distinct", [True, False])
def test_loss_and_gradient_equal_equation_18(
    temperature: float, tile: int, distinct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrast, "TILE_ELEMENTS", tile)
    anchors, bank, index, negatives = case(distinct=distinct)
    assert as_negatives(negatives).distinct == distinct
    partition = slow_partition(anchors, bank, index, negatives, temperature)
    fast, slow = anchors.clone().requires_grad_(), anchors.clone().requires_grad_()
    loss = loss_of(fast, bank[index], bank, as_negatives(negatives), temperature=temperature, partition=partition)
    expected = slow_loss(slow, bank, index, negatives, temperature, partition)
    torch.autograd.backward([3 * loss, 3 * expected])
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(fast.grad, slow.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("is_native", "tolerance"), [(True, 2e-2), (False, 1e-4)])
@pytest.mark.parametrize("distinct", [True, False])
def test_a_bank_in_bfloat16_has_the_loss_and_gradient_of_its_rows(
    distinct: bool, is_native: bool, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrast, "multiplies_bfloat16", lambda _: is_native)
    anchors, bank, index, negatives = case(distinct=distinct)
    rows = bank.bfloat16()
    fast, slow = anchors.float().requires_grad_(), anchors.float().double().requires_grad_()
    partition = slow_partition(slow.detach(), rows.double(), index, negatives, 0.1)
    loss = loss_of(
        fast, rows[index].float(), rows, as_negatives(negatives, torch.float32), temperature=0.1, partition=partition
    )
    expected = slow_loss(slow, rows.double(), index, negatives, 0.1, partition)
    torch.autograd.backward([loss, expected])
    torch.testing.assert_close(loss.double(), expected, rtol=tolerance, atol=0)
    assert slow.grad is not None
    assert fast.grad is not None
    largest = float(slow.grad.abs().max())
    torch.testing.assert_close(fast.grad.double(), slow.grad, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize("distinct", [True, False])
def test_gradients_of_anchors_positives_and_rows_are_those_of_the_loss(distinct: bool) -> None:
    anchors, bank, index, rows = case(distinct=distinct)
    negatives = replace(as_negatives(rows), scale=torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64))
    values = [value.clone().requires_grad_() for value in (anchors, bank[index], bank)]
    assert torch.autograd.gradcheck(
        lambda anchors, positives, bank: loss_of(anchors, positives, bank, negatives, temperature=0.5, partition=50.0),
        values,
    )


def test_a_scale_of_two_counts_each_negative_twice() -> None:
    anchors, bank, index, rows = case()
    negatives = as_negatives(rows)
    twice = replace(negatives, weights=2 * negatives.weights, count=12, distinct=False)
    scaled = replace(negatives, scale=torch.full((BATCH,), 2.0), count=12)
    values = []
    for chosen in (scaled, twice):
        scored = anchors.requires_grad_(), bank[index], bank, chosen
        z = estimate_partition(*scored, temperature=0.1, num_samples=NUM_SAMPLES)
        loss = loss_of(*scored, temperature=0.1, partition=float(z))
        values.append((z, loss, *torch.autograd.grad(loss, anchors)))
    torch.testing.assert_close(values[0], values[1])


def test_partition_is_the_mean_score_times_the_number_of_samples() -> None:
    anchors, bank, index, negatives = case()
    z = estimate_partition(
        anchors, bank[index], bank, as_negatives(negatives), temperature=0.1, num_samples=NUM_SAMPLES
    )
    assert math.isclose(float(z), slow_partition(anchors, bank, index, negatives, 0.1), rel_tol=1e-9)


def test_loss_of_one_positive_and_one_negative_by_hand() -> None:
    # n = 2, K = 1, so c = 1/2. v . m = 1 and 0; tau = 1 / log 2 makes the exponentials 2 and 1; Z = 4 makes
    # p = c and c / 2: log(1/2) for the positive, log(2/3) for the negative.
    anchors = torch.tensor([[1.0, 0.0]])
    bank = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    loss = noise_contrastive_loss(
        anchors,
        bank[:1],
        bank,
        Negatives(torch.tensor([[0.0, 1.0]]), count=1, distinct=True),
        temperature=1 / math.log(2),
        partition=4.0,
        num_samples=2,
    )
    assert math.isclose(float(loss), math.log(2) + math.log(1.5), rel_tol=1e-6)


@pytest.mark.parametrize("temperature", [0.02, 0.07, 1.0])
def test_float32_keeps_to_float64(temperature: float) -> None:
    results = []
    for dtype in (torch.float32, torch.float64):
        anchors, bank, index, negatives = (value.to(dtype) if value.is_floating_point() else value for value in case())
        partition = slow_partition(anchors.double(), bank.double(), index, negatives, temperature)
        anchors.requires_grad_()
        loss = loss_of(
            anchors, bank[index], bank, as_negatives(negatives, dtype), temperature=temperature, partition=partition
        )
        (gradient,) = torch.autograd.grad(loss, anchors)
        results.append((loss.detach().double(), gradient.double()))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_order_of_the_bank_does_not_matter() -> None:
    anchors, bank, index, negatives = case()
    order = torch.randperm(NUM_SAMPLES, generator=torch.Generator().manual_seed(5))
    place = order.argsort()
    losses = [
        loss_of(anchors, rows[own], rows, chosen, temperature=0.1, partition=50.0)
        for rows, own, chosen in (
            (bank, index, as_negatives(negatives)),
            (bank[order], place[index], as_negatives(place[negatives])),
        )
    ]
    torch.testing.assert_close(losses[0], losses[1])


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_bank() -> None:
    anchors, bank, index, negatives = case()
    with shapes_saved_for_backward() as saved:
        loss_of(anchors.requires_grad_(), bank[index], bank, as_negatives(negatives), temperature=0.1, partition=50.0)
    assert saved == [torch.Size([1, BATCH, DIM])]


def test_anchors_may_have_unequal_numbers_of_negatives() -> None:
    # K / n = 6 / 10^6 is the noise, whatever an anchor has: 2, 4, 0 and 6 of them.
    anchors, bank, index, rows = case()
    negatives, num_samples, numbers = as_negatives(rows), 10**6, (2, 4, 0, 6)
    for number, weights, chosen in zip(numbers, negatives.weights, rows, strict=True):
        weights[chosen[number:]] = 0
    negatives = replace(negatives, mean_count=torch.tensor(3.0, dtype=torch.float64))
    scored = anchors, bank[index], bank, negatives
    exponentials = [
        [math.exp(float(anchor @ bank[row]) / 0.1) for row in (own, *chosen[:number])]
        for anchor, own, chosen, number in zip(anchors, index, rows, numbers, strict=True)
    ]
    mean = sum(map(sum, exponentials)) / (4 + sum(numbers))
    z = float(estimate_partition(*scored, temperature=0.1, num_samples=num_samples))
    assert math.isclose(z, mean * num_samples, rel_tol=1e-9)
    noise, expected = 6 / num_samples, 0.0
    for positive, *others in exponentials:
        expected -= math.log(positive / z / (positive / z + noise + 1e-7)) / 4
        expected -= sum(math.log(noise / (other / z + noise + 1e-7)) for other in others) / 4
    loss = noise_contrastive_loss(*scored, temperature=0.1, partition=z, num_samples=num_samples)
    assert math.isclose(float(loss), expected, rel_tol=1e-9)
