"""Settings of the data, and the registry they name."""

import pytest
from pydantic import ValidationError

from cktf.data import DATASETS, DataConfig, load_dataset


def test_every_registered_data_set_can_be_named() -> None:
    assert [DataConfig(name=name).name for name in DATASETS] == list(DATASETS)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"unknown data set 'cifar1000'; known: digits, .*cifar100"):
        DataConfig(name="cifar1000")


@pytest.mark.parametrize(
    ("key", "value"),
    [("train_fraction", 0), ("train_fraction", 1.1), ("validation_fraction", 0), ("validation_fraction", 1)],
)
def test_a_fraction_out_of_range_is_refused(key: str, value: float) -> None:
    with pytest.raises(ValidationError, match=key):
        DataConfig.model_validate({"name": "digits", key: value})


@pytest.mark.parametrize("side", [7, 1025])
def test_a_side_out_of_range_is_refused(side: int) -> None:
    with pytest.raises(ValidationError, match="side"):
        DataConfig(name="digits", side=side)


def test_a_side_scales_any_data_set() -> None:
    assert load_dataset(DataConfig(name="digits", side=16)).image_shape == (1, 16, 16)
