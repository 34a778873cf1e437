"""Measures: numbers about a trained student beside its accuracy and loss."""

from cktf.measures.measure import Measure, OfPredictions, OfStudent, Predictions
from cktf.measures.registry import (
    MEASURES,
    TAKEN,
    as_numbers,
    built,
    directions,
    numbers_of,
    settings_of,
    with_settings,
)

__all__ = [
    "MEASURES",
    "TAKEN",
    "Measure",
    "OfPredictions",
    "OfStudent",
    "Predictions",
    "as_numbers",
    "built",
    "directions",
    "numbers_of",
    "settings_of",
    "with_settings",
]
