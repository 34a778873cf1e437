"""Published values, by context, however the file writes them."""

import pytest
from pydantic import ValidationError

from cktf.study.spec import Reference


def test_values_are_told_by_context_and_arm() -> None:
    values = {"a": {"baseline": 70, "kd": 71.5}, "b": {"kd": 61.0}}
    reference = Reference.model_validate({"source": "Some 2023", "values": values, "teacher": {"a": 75.5}})
    assert reference.by_context() == values
    assert reference.teachers() == {"a": 75.5}
    assert reference.metric == "test_accuracy"


def test_without_contexts_they_are_those_of_the_unnamed_one() -> None:
    reference = Reference.model_validate({"source": "Some 2023", "values": {"kd": 71.5}, "teacher": 75.5})
    assert reference.by_context() == {"": {"kd": 71.5}}
    assert reference.teachers() == {"": 75.5}
    assert Reference.model_validate({"source": "Some 2023", "values": {"kd": 71.5}}).teachers() == {}


def test_a_value_is_a_finite_number() -> None:
    with pytest.raises(ValidationError, match="finite"):
        Reference.model_validate({"source": "Some 2023", "values": {"kd": float("nan")}})
