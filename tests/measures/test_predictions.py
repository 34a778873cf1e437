"""Measures of outputs, each against a slow reference of its own."""

import math

import pytest
import torch

from cktf.measures.measure import Predictions
from cktf.measures.predictions import (
    Agreement,
    BalancedAccuracy,
    CalibrationError,
    ClassAccuracy,
    NegativeLogLikelihood,
    Top5,
    agreement,
    calibration_error,
)


def outputs(samples: int = 60, classes: int = 7, *, scale: float = 2.0) -> Predictions:
    generator = torch.Generator().manual_seed(samples + classes)
    logits, teacher = (scale * torch.randn(samples, classes, generator=generator) for _ in range(2))
    return Predictions(logits, torch.randint(classes, (samples,), generator=generator), teacher)


def probabilities(row: list[float]) -> list[float]:
    powers = [math.exp(logit) for logit in row]
    return [power / sum(powers) for power in powers]


def test_the_calibration_error_is_that_of_bins_one_by_one() -> None:
    given = outputs()
    for bins in (1, 4, 15):
        expected = 0.0
        for number in range(bins):
            members = []
            for row, label in zip(given.logits.double().tolist(), given.labels.tolist(), strict=True):
                shares = probabilities(row)
                if number / bins < max(shares) <= (number + 1) / bins:
                    members.append((max(shares), shares.index(max(shares)) == label))
            if members:
                confidence = sum(share for share, _ in members) / len(members)
                accuracy = sum(right for _, right in members) / len(members)
                expected += len(members) / 60 * abs(accuracy - confidence)
        assert CalibrationError(bins=bins)(given).item() == pytest.approx(100 * expected)


def test_the_calibration_error_by_hand() -> None:
    # Two samples at 0.75, one of them right; one at 1.0, right: two thirds of |0.5 - 0.75|, and nothing.
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(3.0)], [200.0, 0.0]])
    assert calibration_error(logits, torch.tensor([0, 0, 0]), 2).item() == pytest.approx(100 * (2 * 0.75 - 1 + 0) / 3)
    assert calibration_error(logits, torch.tensor([0, 0, 0]), 15).item() == pytest.approx(100 * 0.25 * 2 / 3)
    assert CalibrationError().bins == 15


def test_top5_counts_labels_among_the_five_largest() -> None:
    given = outputs()
    right = [
        label in sorted(range(7), key=row.__getitem__)[-5:]
        for row, label in zip(given.logits.tolist(), given.labels.tolist(), strict=True)
    ]
    assert Top5()(given).item() == pytest.approx(100 * sum(right) / 60)
    assert 0 < sum(right) < 60
    assert Top5()(outputs(classes=3)).item() == 100


def test_the_negative_log_likelihood_is_the_mean_over_samples() -> None:
    given = outputs()
    slow = [
        -math.log(probabilities(row)[label])
        for row, label in zip(given.logits.double().tolist(), given.labels.tolist(), strict=True)
    ]
    assert NegativeLogLikelihood()(given).item() == pytest.approx(sum(slow) / 60)


def test_accuracies_of_classes_and_their_mean_leave_absent_classes_out() -> None:
    given = outputs()
    given = Predictions(given.logits, given.labels % 5)  # no label is 5 or 6
    chosen = [row.index(max(row)) for row in given.logits.tolist()]
    expected = {}
    for number in range(5):
        own = [choice == number for choice, label in zip(chosen, given.labels.tolist(), strict=True) if label == number]
        expected[str(number)] = 100 * sum(own) / len(own)
    found = {name: value.item() for name, value in ClassAccuracy()(given).items()}
    assert {name: value for name, value in found.items() if not math.isnan(value)} == pytest.approx(expected)
    assert {"5", "6"} <= found.keys()
    assert BalancedAccuracy()(given).item() == pytest.approx(sum(expected.values()) / 5)
    accuracy = 100 * sum(c == label for c, label in zip(chosen, given.labels.tolist(), strict=True)) / 60
    assert abs(accuracy - BalancedAccuracy()(given).item()) > 0.01


def test_agreement_is_of_first_choices() -> None:
    student = torch.tensor([[2.0, 1.0], [0.0, 5.0], [1.0, 0.0], [3.0, 4.0]])
    teacher = torch.tensor([[9.0, 1.0], [4.0, 0.0], [1.0, 0.5], [0.0, 0.1]])
    assert agreement(student, teacher).item() == 75
    assert Agreement()(Predictions(student, torch.zeros(4, dtype=torch.int64), teacher)).item() == 75
