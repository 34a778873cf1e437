"""Which of two values is the better one."""

import pytest

from analysis.wording import larger_is_better


@pytest.mark.parametrize(
    "metric",
    [
        *(
            "loss",
            "LOSS",
            "val_loss",
            "valLoss",
            "testloss",
            "accuracy_loss",
            "eval/nll",
            "top1err",
            "Error@1",
        ),
        *(
            "perplexity",
            "cross-entropy",
            "MSE",
            "valMSE",
            "rmse",
            "mae",
            "WER",
            "cer",
            "bits_per_dim",
            "bpd",
            "FID",
        ),
        *("latency_ms", "time_total_s", "ECE", "simple regret", "metric.loss"),
    ],
)
def test_a_name_that_speaks_of_a_loss_is_asked_about(metric: str) -> None:
    with pytest.raises(ValueError, match=r"--minimise or --maximise \(in Python: maximise=False or True\)"):
        larger_is_better(metric, None)
    assert larger_is_better(metric, maximise=True)
    assert not larger_is_better(metric, maximise=False)


@pytest.mark.parametrize(
    "metric", ["accuracy", "acc", "top1", "F1", "mIoU", "lossless_ratio", "lifetime", "score"]
)
def test_of_others_larger_is_better_unless_the_contrary_is_said(metric: str) -> None:
    assert larger_is_better(metric, None)
    assert not larger_is_better(metric, maximise=False)
