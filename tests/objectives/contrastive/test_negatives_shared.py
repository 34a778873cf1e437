"""One draw of samples a batch, shared by its anchors."""

import torch

from cktf.batch import Batch
from cktf.objectives.contrastive.negatives import SharedNegatives

LABELS = torch.arange(40) % 4
INDEX = torch.tensor([0, 1, 2, 5])


def batch(step: int = 0, offset: int = 0) -> Batch:
    return Batch(torch.empty(0), LABELS[INDEX], INDEX, step, offset=offset)


def test_an_anchor_has_all_drawn_samples_but_those_of_its_class() -> None:
    negatives = SharedNegatives(LABELS, 12, seed=0)(batch())
    assert negatives.rows is not None
    assert negatives.mean_count is not None
    rows = negatives.rows.tolist()
    assert len(set(rows)) == 12 == negatives.count
    expected = [[float(LABELS[row] != LABELS[anchor]) for row in rows] for anchor in INDEX]
    assert negatives.weights.tolist() == expected
    assert float(negatives.mean_count) == sum(map(sum, expected)) / 4


def test_more_than_all_samples_are_drawn_with_replacement() -> None:
    negatives = SharedNegatives(LABELS, 100, seed=0)(batch())
    assert negatives.rows is not None
    assert len(negatives.rows) == 100 == negatives.weights.shape[1]
    assert set(negatives.rows.tolist()) <= set(range(40))


def test_every_sample_is_drawn_equally_often() -> None:
    source = SharedNegatives(LABELS, 10, seed=3)
    counts = torch.zeros(40)
    for step in range(800):
        rows = source(batch(step)).rows
        assert rows is not None
        counts[rows] += 1
    chi_squared = ((counts - 200) ** 2 / 200).sum()
    assert chi_squared < 72.1  # 99.9% point for 39 degrees of freedom


def test_a_draw_is_addressed_by_seed_and_step_and_the_same_for_all_workers() -> None:
    first = SharedNegatives(LABELS, 12, seed=0)(batch(step=5)).rows
    torch.manual_seed(7)
    before = torch.get_rng_state()
    again = SharedNegatives(LABELS, 12, seed=0)(batch(step=5, offset=3)).rows
    assert first is not None
    assert again is not None
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)
    for seed, step in ((1, 5), (0, 6)):
        other = SharedNegatives(LABELS, 12, seed=seed)(batch(step)).rows
        assert other is not None
        assert not torch.equal(first, other)
