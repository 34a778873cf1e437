"""Samples to train on, with labels and without."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cktf.data import AugmentationConfig, DataConfig, Dataset, Samples, TrainLoader, load_dataset, unlabelled_samples

AS_IT_IS = AugmentationConfig(crop=0, flip=False)


def test_labels_are_in_the_order_of_the_rows(numbered: Dataset) -> None:
    samples = Samples(numbered, torch.tensor([7, 2, 4]))
    assert samples.labels.tolist() == [3, 2, 0]


@pytest.mark.parametrize("has_a_part_without_labels", [True, False])
def test_without_labels_each_image_is_a_class_of_its_own(numbered: Dataset, has_a_part_without_labels: bool) -> None:
    if has_a_part_without_labels:
        numbered = replace(numbered, unlabelled_images=255 - numbered.train_images[:50])
    samples = unlabelled_samples(numbered, validation_index=torch.tensor([0, 3, 100]))
    assert samples.labels.tolist() == list(range(len(samples.rows)))

    loader = TrainLoader(samples.dataset, samples.rows, AS_IT_IS, batch_size=16, seed=0)
    seen: dict[int, int] = {}
    for batch in loader.epoch(1):
        assert torch.equal(batch.labels, batch.index)
        values = (batch.images[:, 0, 0, 0] * 255).round().int().tolist()
        seen |= dict(zip(batch.index.tolist(), values, strict=True))
    images = samples.dataset.train_images[samples.rows]
    assert len(seen) == len(samples.rows)
    assert all(images[index, 0, 0, 0] == value for index, value in seen.items())


def test_an_unlabelled_part_is_taken_whole(generated: Path) -> None:
    dataset = load_dataset(DataConfig(name="stl10", root=str(generated), side=8, verify=False))
    samples = unlabelled_samples(dataset, validation_index=torch.arange(20))
    assert dataset.unlabelled_images is not None
    assert torch.equal(samples.dataset.train_images[samples.rows], dataset.unlabelled_images)


def test_where_there_is_none_all_but_the_validation_split_is_taken(numbered: Dataset) -> None:
    samples = unlabelled_samples(numbered, validation_index=torch.tensor([0, 3, 100]))
    assert samples.rows.tolist() == [1, 2, *range(4, 100)]
    assert torch.equal(samples.dataset.train_images, numbered.train_images)
