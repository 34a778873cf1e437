import pytest
import torch

from cktf.trainer.distributed import Workers
from cktf.trainer.evaluate import RunningMeans


def test_a_mean_counts_samples_not_batches():
    means = RunningMeans()
    means.add({"loss": torch.tensor(1.0)}, samples=3)
    means.add({"loss": torch.tensor(5.0)}, samples=1)
    values, samples = means.result(Workers())
    assert values == {"loss": pytest.approx(2.0)}
    assert samples == 4


def test_a_mean_keeps_no_graph():
    means = RunningMeans()
    weight = torch.ones(1, requires_grad=True)
    means.add({"loss": (weight * 2).sum()}, samples=1)
    assert not means._sums["loss"].requires_grad
