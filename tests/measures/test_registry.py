"""How measures are named, and what their numbers are called."""

import math
from typing import Any, ClassVar

import pytest
import torch

from cktf.errors import InputError
from cktf.measures import OfPredictions, Predictions
from cktf.measures.registry import MEASURES, built, directions, numbers_of, with_settings

OUTPUTS = Predictions(torch.eye(3), torch.tensor([0, 1, 0]))


class _Constant(OfPredictions):
    value: Any = 1.0

    def __call__(self, predictions: Predictions) -> Any:  # noqa: ARG002
        return self.value


class _Several(_Constant):
    is_single: ClassVar[bool] = False


def test_a_list_and_a_mapping_name_the_same() -> None:
    assert with_settings(["top5", {"ece": {"bins": 3}}]) == with_settings({"top5": None, "ece": {"bins": 3}})
    assert built(with_settings(["top5", {"ece": {"bins": 3}}]))["ece"].model_dump() == {"bins": 3}


@pytest.mark.parametrize(
    ("value", "said"), [("ece", "must be a list of measures"), ([3], "got \\[3\\]"), (["ece", "ece"], "'ece' twice")]
)
def test_what_is_no_list_of_measures_is_refused(value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        with_settings(value)


def test_numbers_that_are_judged_have_a_direction() -> None:
    assert directions(built(with_settings(["ece", "top5", "class_accuracy", "flops", "images_per_second"]))) == {
        **{"validation_ece": False, "test_ece": False, "validation_top5": True, "test_top5": True},
        **{"flops": False, "images_per_second": True},
    }


def test_numbers_are_named_by_split_measure_and_part_and_those_not_finite_are_left_out() -> None:
    several = _Several(value={"a": torch.tensor(1.0), "b": math.nan, "c": 2})
    assert numbers_of({"x": _Constant(), "y": several}, "test", OUTPUTS) == {
        "test_x": 1.0,
        "test_y.a": 1.0,
        "test_y.c": 2.0,
    }


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        (_Constant(value={"a": 1.0}), r"measure x: must return a number; got \{"),
        (_Several(value=1.0), r"measure x: must return name to number of several, for is_single is False; got 1.0"),
        (_Constant(value=torch.ones(2)), r"measure test_x: must be a number; got tensor"),
        (_Constant(value=None), r"measure test_x: must be a number; got null"),
    ],
)
def test_what_a_measure_may_return(measure: OfPredictions, said: str) -> None:
    with pytest.raises(InputError, match=said):
        numbers_of({"x": measure}, "test", OUTPUTS)


def test_every_built_in_measure_has_a_direction_and_a_name_that_tables_have_words_for() -> None:
    from analysis.wording import _MEASURES

    assert MEASURES.keys() - _MEASURES.keys() == {"class_accuracy"}  # which gets no verdict
