"""How the training part is divided."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from cktf.data import DataConfig, split

FRACTIONS = (0.05, 0.1, 0.3, 0.31, 0.7, 1.0)


@pytest.fixture
def labels() -> Tensor:
    """Return labels of four classes of very different size, mixed."""
    sizes = torch.tensor([400, 100, 30, 2])
    labels = torch.repeat_interleave(torch.arange(4), sizes)
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]


def config(train_fraction: float = 1.0, validation_fraction: float = 0.1) -> DataConfig:
    return DataConfig(name="digits", train_fraction=train_fraction, validation_fraction=validation_fraction)


def test_the_splits_are_disjoint_and_together_all_there_is(labels: Tensor) -> None:
    parts = split(labels, config(), seed=0)
    together = torch.cat([parts.train_index, parts.validation_index])
    assert torch.equal(together.sort().values, torch.arange(len(labels)))


def test_every_class_is_divided_in_the_same_proportion(labels: Tensor) -> None:
    parts = split(labels, config(train_fraction=0.5, validation_fraction=0.2), seed=0)
    assert labels[parts.validation_index].bincount().tolist() == [80, 20, 6, 1]
    assert labels[parts.train_index].bincount().tolist() == [160, 40, 12, 1]


def test_a_class_of_two_is_learnt_from_and_validated_on_at_any_fraction(labels: Tensor) -> None:
    for fraction in (0.01, 0.99):
        parts = split(labels, config(train_fraction=0.01, validation_fraction=fraction), seed=0)
        assert 3 in labels[parts.train_index]
        assert 3 in labels[parts.validation_index]


def test_validation_does_not_depend_on_the_fraction_that_is_learnt_from(labels: Tensor) -> None:
    splits = [split(labels, config(train_fraction=fraction), seed=4) for fraction in FRACTIONS]
    assert all(torch.equal(parts.validation_index, splits[0].validation_index) for parts in splits)


def test_what_a_smaller_fraction_learns_from_is_part_of_a_larger_one(labels: Tensor) -> None:
    chosen = [set(split(labels, config(train_fraction=f), seed=4).train_index.tolist()) for f in FRACTIONS]
    assert all(smaller < larger for smaller, larger in pairwise(chosen))


def test_a_seed_is_a_split_of_its_own_and_always_the_same(labels: Tensor) -> None:
    first, again, other = (split(labels, config(), seed) for seed in (0, 0, 1))
    assert torch.equal(first.validation_index, again.validation_index)
    assert not torch.equal(first.validation_index, other.validation_index)


def test_rows_ascend(labels: Tensor) -> None:
    parts = split(labels, config(train_fraction=0.3), seed=2)
    for rows in (parts.train_index, parts.validation_index):
        assert (rows.diff() > 0).all()


def test_the_global_random_stream_is_left_alone(labels: Tensor) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    split(labels, config(), seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_without_two_images_of_any_class_there_is_nothing_to_validate_on() -> None:
    with pytest.raises(ValueError, match="the validation split is empty, for no class has two images"):
        split(torch.arange(4), config(), seed=0)
