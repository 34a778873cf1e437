"""The bundled digits."""

import torch
from sklearn import datasets

from cktf.data import DataConfig, load_dataset


def test_the_digits_are_divided_alike_in_every_class() -> None:
    digits = load_dataset(DataConfig(name="digits"))
    assert digits.train_images.shape == (1248, 1, 8, 8)
    assert digits.test_images.shape == (549, 1, 8, 8)
    assert digits.train_images.dtype == torch.uint8
    assert digits.train_labels.dtype == torch.int64
    share = digits.test_labels.bincount() / (digits.test_labels.bincount() + digits.train_labels.bincount())
    assert share.sub(0.3).abs().max() < 0.015


def test_every_sample_is_in_one_part_and_keeps_its_label() -> None:
    digits = load_dataset(DataConfig(name="digits"))
    bunch = datasets.load_digits()
    images = torch.cat([digits.train_images, digits.test_images]).flatten(1).double() * 16 / 255
    ours = torch.cat([images.round(), torch.cat([digits.train_labels, digits.test_labels])[:, None]], dim=1)
    theirs = torch.cat([torch.from_numpy(bunch.data), torch.from_numpy(bunch.target)[:, None]], dim=1)
    assert sorted(ours.tolist()) == sorted(theirs.tolist())


def test_mean_and_deviation_are_those_of_the_training_part() -> None:
    digits = load_dataset(DataConfig(name="digits"))
    scaled = digits.train_images.double() / 255
    assert digits.mean.tolist() == [scaled.mean().float().item()]
    assert digits.std.tolist() == [scaled.std(correction=0).float().item()]
