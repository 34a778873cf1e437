"""Measures: numbers about a trained student beside its accuracy and loss."""

from cktf.measures.measure import Measure, OfPredictions, OfStudent, Predictions

__all__ = ["Measure", "OfPredictions", "OfStudent", "Predictions"]
