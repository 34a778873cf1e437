"""The measures by name, and the numbers that they give."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cktf.errors import InputError, shown
from cktf.measures.measure import Measure, OfPredictions, Predictions
from cktf.measures.predictions import (
    Agreement,
    BalancedAccuracy,
    CalibrationError,
    ClassAccuracy,
    NegativeLogLikelihood,
    Top5,
)
from cktf.measures.student import Bytes, Flops, ImagesPerSecond, Latency, Parameters

MEASURES: dict[str, type[Measure]] = {
    "top5": Top5,
    "nll": NegativeLogLikelihood,
    "ece": CalibrationError,
    "balanced_accuracy": BalancedAccuracy,
    "class_accuracy": ClassAccuracy,
    "agreement": Agreement,
    "parameters": Parameters,
    "flops": Flops,
    "bytes": Bytes,
    "latency": Latency,
    "images_per_second": ImagesPerSecond,
}

TAKEN = ("accuracy", "loss", "images")
"""Names that no measure may have, because every epoch has numbers of a split under them."""


def with_settings(value: Any) -> Any:
    """Return measure name to settings, from a list such as ``[top5, {ece: {bins: 10}}]``, or from a mapping."""
    value = [value] if isinstance(value, Mapping) else value
    if not isinstance(value, list | tuple) or not all(isinstance(each, str | Mapping) for each in value):
        raise InputError(f"must be a list of measures, such as [top5, {{ece: {{bins: 10}}}}]; got {shown(value)}")
    pairs = [pair for each in value for pair in ([(each, None)] if isinstance(each, str) else each.items())]
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"names {shown(twice[0])} twice")
    return {name: {} if settings is None else settings for name, settings in pairs}


def built(measures: Mapping[str, Mapping[str, Any]]) -> dict[str, Measure]:
    """Return measures by name, built from their settings, which must have been validated."""
    return {name: MEASURES[name].model_validate(settings) for name, settings in measures.items()}


def directions(measures: Mapping[str, Measure]) -> dict[str, bool]:
    """Return whether larger is better, by the name of each number that can be judged: ``test_ece``, ``flops``."""
    found = {}
    for name, measure in measures.items():
        if not isinstance(measure, OfPredictions):
            found[name] = measure.maximise
        elif measure.is_single:
            found |= {f"{split}_{name}": measure.maximise for split in ("validation", "test")}
    return found


def settings_of(measures: Mapping[str, Measure]) -> dict[str, str]:
    """Return the settings of measures as JSON, by name, as a `cktf.rows.StudyRow` has them."""
    return {name: measure.model_dump_json() for name, measure in measures.items()}


def numbers_of(measures: Mapping[str, OfPredictions], split: str, predictions: Predictions) -> dict[str, float]:
    """Return the numbers of the measures for outputs on a split, by name: ``test_ece``, ``test_class_accuracy.3``."""
    found: dict[str, Any] = {}
    for name, measure in measures.items():
        value = measure(predictions)
        several = value if isinstance(value, Mapping) else None
        if measure.is_single != (several is None):
            allowed = "a number" if measure.is_single else "name to number of several, for is_single is False"
            raise InputError(f"measure {name}: must return {allowed}; got {shown(value)}")
        for part, number in ({"": value} if several is None else several).items():
            found[f"{split}_{name}{'.' * bool(part)}{part}"] = number
    return as_numbers(found)


def as_numbers(values: Mapping[str, Tensor | float]) -> dict[str, float]:
    """Return scalars as numbers, without those that are not finite; raise an InputError if one is no number."""
    for name, value in values.items():
        if not (isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1)):
            raise InputError(f"measure {name}: must be a number; got {shown(value)}")
    return {name: number for name, value in values.items() if math.isfinite(number := float(value))}
