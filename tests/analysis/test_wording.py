"""Which of two values is the better one."""

import numpy as np
import pytest

from analysis.wording import capitalised, interval_text, larger_is_better, number_text, p_text, quantity, signed_text


@pytest.mark.parametrize(
    "metric",
    [
        *("loss", "LOSS", "val_loss", "valLoss", "testloss", "accuracy_loss", "eval/nll", "top1err", "Error@1"),
        *("perplexity", "cross-entropy", "MSE", "valMSE", "rmse", "mae", "WER", "cer", "bits_per_dim", "bpd", "FID"),
        *("latency_ms", "time_total_s", "ECE", "simple regret", "metric.loss"),
    ],
)
def test_a_name_that_speaks_of_a_loss_is_asked_about(metric: str) -> None:
    with pytest.raises(ValueError, match=r"--minimise or --maximise \(in Python: maximise=False or True\)"):
        larger_is_better(metric, None)
    assert larger_is_better(metric, maximise=True)
    assert not larger_is_better(metric, maximise=False)


@pytest.mark.parametrize("metric", ["accuracy", "acc", "top1", "F1", "mIoU", "lossless_ratio", "lifetime", "score"])
def test_of_others_larger_is_better_unless_the_contrary_is_said(metric: str) -> None:
    assert larger_is_better(metric, None)
    assert not larger_is_better(metric, maximise=False)


@pytest.mark.parametrize(
    ("p", "text"), [(1e-9, "< 0.001"), (0.0123, "0.012"), (0.5, "0.50"), (1.0, "1.00"), (np.nan, "–")]
)
def test_a_p_value_is_never_printed_as_zero(p: float, text: str) -> None:
    assert p_text(p) == text


def test_numbers_that_are_missing_are_a_dash() -> None:
    assert [number_text(value, 1) for value in (None, np.nan, -1.25)] == ["–", "–", "−1.2"]


def test_a_small_number_of_no_known_scale_is_not_printed_as_zero() -> None:
    numbers = (3.217e-6, -0.000412, 0.0, 0.12345)
    assert [number_text(number, quantity("metric.mse").decimals) for number in numbers] == [
        *("3.22e−6", "−0.000412", "0.0000", "0.1235")
    ]
    assert [signed_text(number, quantity("test_loss").decimals) for number in numbers[:2]] == ["+3.22e−6", "−0.000412"]
    assert number_text(0.0012, quantity("test_accuracy").decimals) == "0.00"
    assert signed_text(2.22e-16, quantity("metric.mse").decimals) == "+0.0000", "what rounding leaves is no effect"


def test_an_interval_of_a_mean_is_cut_where_an_accuracy_ends() -> None:
    assert interval_text(93.1, 105.9, quantity("test_accuracy")) == " [93.10, 100.00]"
    assert interval_text(-0.5, 0.2, quantity("test_loss")) == " [−0.5000, 0.2000]"
    assert interval_text(np.nan, np.nan, quantity("test_accuracy")) == ""


def test_a_name_that_begins_a_sentence_keeps_its_own_capitals() -> None:
    names = ("test_accuracy", "measure.flops", "metric.mIoU", "metric.F1 of cats")
    begun = [capitalised(quantity(name).name) for name in names]
    assert begun == ["Test accuracy", "FLOPs of an image", "mIoU", "F1 of cats"]
