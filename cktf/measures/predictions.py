"""Measures of a student's outputs on one split. Shares are in per cent."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cktf.measures.measure import OfPredictions, Predictions


def agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the share of samples, per cent, for which both logits (samples, classes) choose the same class."""
    return 100 * (student.argmax(dim=1) == teacher.argmax(dim=1)).double().mean()


def calibration_error(logits: Tensor, labels: Tensor, bins: int) -> Tensor:
    """Return the expected calibration error, per cent, of logits (samples, classes) and labels (samples,), int64.

    Guo, Pleiss, Sun and Weinberger, ICML 2017, arXiv 1706.04599, equation 3: over bins of equal width of the largest
    probability, the mean distance of its mean from the accuracy, weighted by the samples in the bin. Bin i, from 0,
    holds probabilities above i / bins and up to (i + 1) / bins.
    """
    confidence, chosen = functional.softmax(logits.double(), dim=1).max(dim=1)
    gaps = (chosen == labels).double() - confidence
    index = (confidence * bins).ceil().long().clamp(1, bins) - 1
    is_in = index == torch.arange(bins, device=index.device)[:, None]  # a product is the same on any device
    return 100 * (is_in.double() @ gaps).abs().sum() / len(labels)


def class_accuracies(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the accuracy in each class, per cent (classes,); NaN for a class without samples."""
    num_classes = logits.shape[1]
    right = torch.bincount(labels[logits.argmax(dim=1) == labels], minlength=num_classes)
    return 100 * right.double() / torch.bincount(labels, minlength=num_classes)


class Top5(OfPredictions):
    """Share of samples whose label is among the five largest logits; 100 with five classes or fewer."""

    def __call__(self, predictions: Predictions) -> Tensor:
        logits, labels = predictions.logits, predictions.labels
        largest = logits.topk(min(5, logits.shape[1]), dim=1).indices
        return 100 * (largest == labels[:, None]).any(dim=1).double().mean()


class NegativeLogLikelihood(OfPredictions):
    """Mean cross-entropy in nats: the loss of the split, which every study reports, as a measure that gets verdicts."""

    maximise: ClassVar[bool] = False

    def __call__(self, predictions: Predictions) -> Tensor:
        return functional.cross_entropy(predictions.logits.double(), predictions.labels)


class CalibrationError(OfPredictions):
    """Expected calibration error, see `calibration_error`."""

    maximise: ClassVar[bool] = False

    bins: int = Field(default=15, ge=1, le=1000)
    """Bins of equal width."""

    def __call__(self, predictions: Predictions) -> Tensor:
        return calibration_error(predictions.logits, predictions.labels, self.bins)


class BalancedAccuracy(OfPredictions):
    """Mean over classes of the accuracy in each; classes without samples are left out."""

    def __call__(self, predictions: Predictions) -> Tensor:
        return class_accuracies(predictions.logits, predictions.labels).nanmean()


class ClassAccuracy(OfPredictions):
    """Accuracy in each class, by its number."""

    every_epoch: ClassVar[bool] = False
    is_single: ClassVar[bool] = False

    def __call__(self, predictions: Predictions) -> dict[str, Tensor]:
        found = class_accuracies(predictions.logits, predictions.labels)
        return {str(number): accuracy for number, accuracy in enumerate(found)}


class Agreement(OfPredictions):
    """Share of samples for which student and teacher choose the same class."""

    needs_teacher: ClassVar[bool] = True

    def __call__(self, predictions: Predictions) -> Tensor:
        assert predictions.teacher is not None
        return agreement(predictions.logits, predictions.teacher)
