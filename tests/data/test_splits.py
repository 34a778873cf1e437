"""How the training part is divided."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from cktf.data import DataConfig, load_dataset, split, with_noise

FRACTIONS = (0.05, 0.1, 0.3, 0.31, 0.7, 1.0)


@pytest.fixture
def labels() -> Tensor:
    """Return labels of four classes of very different size, mixed."""
    sizes = torch.tensor([400, 100, 30, 2])
    labels = torch.repeat_interleave(torch.arange(4), sizes)
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]


def config(train_fraction: float = 1.0, validation_fraction: float = 0.1, **more: Any) -> DataConfig:
    return DataConfig(name="digits", train_fraction=train_fraction, validation_fraction=validation_fraction, **more)


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


def profile(sizes: list[int], tail: float) -> list[int]:
    """Return the sizes of a long-tailed data set by the loop of Cao et al.'s published code, class by class."""
    return [max(1, int(size * (1 / tail) ** (number / (len(sizes) - 1)))) for number, size in enumerate(sizes)]


@pytest.mark.parametrize("tail", [1.0, 3.0, 10.0, 128.0])
def test_a_tail_takes_the_published_number_of_each_class_and_leaves_validation(labels: Tensor, tail: float) -> None:
    whole, parts = split(labels, config(), seed=1), split(labels, config(tail=tail), seed=1)
    assert torch.equal(parts.validation_index, whole.validation_index)
    assert set(parts.train_index.tolist()) <= set(whole.train_index.tolist())
    sizes = labels[whole.train_index].bincount().tolist()
    assert labels[parts.train_index].bincount().tolist() == profile(sizes, tail)


def test_the_tail_of_cifar_100_is_the_published_one() -> None:
    # 500 images of each class but for one of validation; Cao et al.'s CIFAR-100-LT has 500 to 5, 10,847 in all.
    labels = torch.arange(100).repeat(501)
    sizes = labels[split(labels, config(validation_fraction=0.001, tail=100), seed=0).train_index].bincount()
    assert [*sizes[[0, 1, 50, 99]].tolist(), int(sizes.sum())] == [500, 477, 48, 5, 10_847]


def test_a_tail_prefers_the_same_images_at_every_seed(labels: Tensor) -> None:
    first, second = (split(labels, config(tail=20), seed) for seed in (0, 1))
    chosen = [set(parts.train_index[labels[parts.train_index] == 1].tolist()) for parts in (first, second)]
    of_class = len(chosen[0])
    assert len(chosen[0] & chosen[1]) >= of_class - 10, "only those that the other seed validates on are replaced"
    longer = set(split(labels, config(tail=40), seed=0).train_index.tolist())
    assert longer < set(first.train_index.tolist())


def test_at_most_so_many_of_a_class_are_trained_on(labels: Tensor) -> None:
    whole, parts = split(labels, config(), seed=3), split(labels, config(per_class=25), seed=3)
    assert labels[parts.train_index].bincount().tolist() == [25, 25, 25, 1]
    assert torch.equal(parts.validation_index, whole.validation_index)
    fewer = split(labels, config(per_class=5, tail=2), seed=3)
    tailed = split(labels, config(tail=2), seed=3)
    assert labels[fewer.train_index].bincount().tolist() == [5, 5, 5, 1]
    assert set(fewer.train_index.tolist()) < set(tailed.train_index.tolist())
    assert set(split(labels, config(per_class=5), seed=3).train_index.tolist()) < set(parts.train_index.tolist())


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.5, 0.99])
def test_noise_gives_a_share_of_the_training_split_another_class(noise: float) -> None:
    dataset = load_dataset(config())
    parts = split(dataset.train_labels, config(), seed=5)
    noisy = with_noise(dataset, parts.train_index, noise, seed=5)
    changed = [
        row for row, pair in enumerate(zip(noisy.train_labels, dataset.train_labels, strict=True)) if pair[0] != pair[1]
    ]
    assert len(changed) == round(noise * len(parts.train_index))
    assert set(changed) <= set(parts.train_index.tolist())
    assert torch.equal(noisy.test_labels, dataset.test_labels)
    assert set(noisy.train_labels.tolist()) <= set(range(10))


def test_noise_is_drawn_by_the_seed_and_grows_with_its_share() -> None:
    dataset = load_dataset(config())
    parts = split(dataset.train_labels, config(), seed=0)
    some, more, again, other = (
        with_noise(dataset, parts.train_index, noise, seed).train_labels
        for noise, seed in ((0.2, 0), (0.6, 0), (0.2, 0), (0.2, 1))
    )
    is_wrong = some != dataset.train_labels
    assert torch.equal(some, again)
    assert not torch.equal(some, other)
    assert torch.equal(more[is_wrong], some[is_wrong])
    # Each of the nine other classes is as likely: 45 of 405 wrong labels each, with a deviation of 6.3.
    steps = ((more - dataset.train_labels) % 10)[more != dataset.train_labels].bincount(minlength=10)
    assert steps[0] == 0
    assert (steps[1:] - steps.sum() / 9).abs().max() < 5 * (steps.sum() / 9) ** 0.5


@pytest.mark.parametrize(
    "setting", [{"noise": 1}, {"noise": -0.1}, {"tail": 0.5}, {"tail": float("inf")}, {"per_class": 0}]
)
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(setting))):
        config(**setting)
