"""The data sets that a process holds."""

import torch

from cktf.data import DataConfig
from cktf.trial.held_data import held_dataset

CPU = torch.device("cpu")


def test_a_data_set_is_loaded_once_whatever_fractions_are_asked_for() -> None:
    whole = held_dataset(DataConfig(name="digits"), CPU)
    assert held_dataset(DataConfig(name="digits", train_fraction=0.1, validation_fraction=0.3), CPU) is whole
    assert held_dataset(DataConfig(name="digits", noise=0.5, tail=10, per_class=3), CPU) is whole
    assert len(whole.train_images) > 1000, "the fractions are taken by the split"


def test_another_size_of_the_images_is_another_data_set() -> None:
    assert held_dataset(DataConfig(name="digits", side=16), CPU).image_shape == (1, 16, 16)
    assert held_dataset(DataConfig(name="digits"), CPU).image_shape == (1, 8, 8)
