"""The draw of negatives: whose, how many, how evenly."""

import itertools

import pytest
import torch
from torch import Tensor

from cktf.batch import Batch
from cktf.objectives.contrastive.negatives import Negatives, SampledNegatives


def draw(negatives: SampledNegatives, labels: Tensor, step: int = 0, offset: int = 0) -> Tensor:
    index = torch.arange(len(labels))
    drawn: Negatives = negatives(Batch(torch.empty(0), labels, index, step, offset=offset))
    assert drawn.count == negatives.count
    assert not drawn.distinct or drawn.weights.max() <= 1
    return drawn.weights


# Classes of 30, 20 and 10 samples: 30, 40 and 50 are available.
LABELS = torch.tensor([0] * 30 + [1] * 20 + [2] * 10)[torch.randperm(60, generator=torch.Generator().manual_seed(0))]
ANCHORS = torch.tensor([0, 1, 2, 2, 1, 0, 0])


@pytest.mark.parametrize("count", [1, 7, 15, 20, 29, 30])
def test_each_anchor_has_k_distinct_negatives_of_other_classes(count: int) -> None:
    negatives = SampledNegatives(LABELS, count, seed=3)
    for step in range(20):
        weights = draw(negatives, ANCHORS, step)
        assert weights.dtype == torch.float32
        assert weights.sum(1).tolist() == [count] * len(ANCHORS)
        assert weights.max() == 1
        assert not weights[ANCHORS.unsqueeze(1) == LABELS].any()


def test_a_class_that_leaves_too_few_draws_with_replacement_and_no_other_does() -> None:
    weights = draw(SampledNegatives(LABELS, 40, seed=3), ANCHORS)
    assert weights.sum(1).tolist() == [40] * len(ANCHORS)
    assert not weights[ANCHORS.unsqueeze(1) == LABELS].any()
    repeats = weights.max(1).values > 1
    assert repeats.tolist() == (ANCHORS == 0).tolist()


def test_a_small_share_of_a_large_split_is_exact_too() -> None:
    labels = torch.arange(20_000) % 10
    for count in (3, 500, 6_000, 17_000):
        weights = draw(SampledNegatives(labels, count, seed=0), labels[:16])
        assert weights.sum(1).tolist() == [count] * 16
        assert weights.max() == 1
        assert not weights[labels == labels[:16].unsqueeze(1)].any()


@pytest.mark.parametrize("threshold", [0, 255])
def test_sets_are_exact_when_the_first_move_takes_none_and_when_it_takes_too_many(threshold: int) -> None:
    negatives = SampledNegatives(LABELS, 15, seed=3)
    negatives.width = 400
    negatives.thresholds.fill_(threshold)
    for step in range(20):
        weights = draw(negatives, ANCHORS, step)
        assert weights.sum(1).tolist() == [15] * len(ANCHORS)
        assert weights.max() == 1
        assert not weights[ANCHORS.unsqueeze(1) == LABELS].any()


def test_what_one_fill_leaves_missing_the_second_one_finds() -> None:
    negatives = SampledNegatives(LABELS, 15, seed=3)
    negatives.width = 20  # of 30 to 50 others 20 draws rarely find 15 different ones, and 40 nearly always
    negatives.thresholds.fill_(0)
    sizes = torch.stack([draw(negatives, ANCHORS, step).sum(1) for step in range(20)])
    assert (sizes == 15).float().mean() > 0.9
    assert sizes.max() == 15


@pytest.mark.parametrize(("count", "threshold"), [(2, None), (3, None), (4, None), (2, 200)])
def test_all_sets_of_k_are_equally_likely(count: int, threshold: int | None) -> None:
    # Six others, two of the own class; 16,000 draws of 64 anchors' sets at once, compared by chi-squared.
    labels = torch.tensor([0, 1, 1, 0, 2, 2, 3, 3])
    anchors = torch.zeros(64, dtype=torch.int64)
    negatives = SampledNegatives(labels, count, seed=1)
    if threshold is not None:  # so high that most first moves take too many
        negatives.width = 64
        negatives.thresholds.fill_(threshold)
    others = [1, 2, 4, 5, 6, 7]
    sets = dict.fromkeys(itertools.combinations(others, count), 0)
    for step in range(250):
        for row in draw(negatives, anchors, step):
            sets[tuple(row.nonzero().flatten().tolist())] += 1
    expected = 16_000 / len(sets)
    chi_squared = sum((seen - expected) ** 2 / expected for seen in sets.values())
    # The 99.9% point for 14 degrees of freedom is 36.1, for 19 43.8.
    assert chi_squared < {15: 36.1, 20: 43.8}[len(sets)]


def test_counts_with_replacement_are_even_over_the_other_classes() -> None:
    labels = torch.tensor([0, 1, 1, 0, 2, 2, 3, 3])
    negatives = SampledNegatives(labels, 100, seed=1)
    total = sum(draw(negatives, torch.zeros(64, dtype=torch.int64), step).sum(0) for step in range(10))
    assert isinstance(total, Tensor)
    expected = 64_000 / 6
    assert total[[0, 3]].tolist() == [0, 0]
    chi_squared = ((total[[1, 2, 4, 5, 6, 7]] - expected) ** 2 / expected).sum()
    assert chi_squared < 20.5  # 99.9% point for 5 degrees of freedom


def test_anchors_draw_independently() -> None:
    labels = torch.arange(2_000) % 10
    weights = draw(SampledNegatives(labels, 450, seed=1), torch.zeros(40, dtype=torch.int64))
    others = labels != 0
    centred = weights[:, others] - 450 / 1_800
    correlation = (centred @ centred.T) / centred.square().sum(1)
    off_diagonal = correlation[~torch.eye(40, dtype=torch.bool)]
    # 780 pairs of 1,800 samples: the standard deviation of one is 0.024.
    assert off_diagonal.abs().max() < 5 * 0.024
    assert abs(float(off_diagonal.mean())) < 0.005


def test_a_draw_is_addressed_by_seed_and_step() -> None:
    labels = torch.arange(200) % 10
    first, again = (SampledNegatives(labels, 50, seed=4) for _ in range(2))
    draw(first, labels[:8], step=0)
    torch.manual_seed(99)
    assert torch.equal(draw(first, labels[:8], step=7), draw(again, labels[:8], step=7))
    assert not torch.equal(draw(first, labels[:8], step=7), draw(first, labels[:8], step=8))
    other = SampledNegatives(labels, 50, seed=5)
    assert not torch.equal(draw(first, labels[:8], step=7), draw(other, labels[:8], step=7))


@pytest.mark.parametrize(
    ("count", "sums"), [(5, [6889, 5440]), (30, [31751, 33500]), (64, [72113, 69194])], ids=["few", "most", "repeated"]
)
def test_draws_are_those_of_all_earlier_versions(count: int, sums: list[int]) -> None:
    labels = torch.arange(60) % 7
    negatives = SampledNegatives(labels, count, seed=3)
    place = torch.arange(1, 9)[:, None] * torch.arange(1, 61)
    drawn = [draw(negatives, labels[:8], step, offset=8).long() for step in (0, 7)]
    assert [int((weights * place).sum()) for weights in drawn] == sums


def test_shards_of_a_batch_draw_independently() -> None:
    labels = torch.arange(2_000) % 10
    negatives = SampledNegatives(labels, 450, seed=1)
    anchors = torch.zeros(40, dtype=torch.int64)
    first, second = (draw(negatives, anchors, step=3, offset=offset) for offset in (0, 40))
    both = (first * second).sum(1) / 450
    # Of 1,800 others a quarter: of an anchor's 450, the other shard's anchor shares 112.5 by chance.
    assert (both - 0.25).abs().max() < 5 * 0.018
    assert torch.equal(second, draw(negatives, anchors, step=3, offset=40))


def test_pytorchs_global_stream_is_not_moved() -> None:
    before = torch.get_rng_state()
    draw(SampledNegatives(LABELS, 10, seed=3), ANCHORS)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_follows_from_the_labels_is_not_in_the_state_dict() -> None:
    assert not SampledNegatives(LABELS, 10, seed=3).state_dict()
