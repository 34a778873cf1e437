"""Measures of the network itself, against counts by hand."""

import time

import pytest
import torch
from torch import Tensor, nn

from cktf.measures.student import WARM_UP, Bytes, Flops, ImagesPerSecond, Latency, Parameters

IMAGE = torch.zeros(1, 3, 8, 8)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(5)
        self.classifier = nn.Linear(5, 4)
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        out: Tensor = self.classifier(self.norm(self.convolution(images)).mean(dim=(2, 3)))
        return out


def test_size_and_operations_are_those_counted_by_hand() -> None:
    network = _Net().eval()
    assert Parameters()(network, IMAGE) == 5 * 3 * 9 + 2 * 5 + 5 * 4 + 4
    # Beside the parameters two running statistics of 5 floats, and a counter of 8 bytes.
    assert Bytes()(network, IMAGE) == 4 * (5 * 3 * 9 + 2 * 5 + 5 * 4 + 4 + 2 * 5) + 8
    with torch.no_grad():
        assert Flops()(network, IMAGE) == 2 * (5 * 3 * 9 * 4 * 4 + 5 * 4)


def test_a_compiled_network_is_counted_like_one_that_is_not() -> None:
    network = _Net().eval()
    network.compile(backend="eager")
    with torch.no_grad():
        assert Flops()(network, IMAGE) == 2 * (5 * 3 * 9 * 4 * 4 + 5 * 4)


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, num_heads=2, batch_first=True)

    def forward(self, images: Tensor) -> Tensor:
        tokens = images[..., 0, :4]  # (1, 3, 4)
        out: Tensor = self.attention(tokens, tokens, tokens)[0]
        return out


def test_attention_is_counted_with_all_of_its_products() -> None:
    three_inputs_and_output, pairs_of_tokens = 3 * (4 * 12 + 4 * 4), 2 * 3 * 3 * 4
    with torch.no_grad():
        assert Flops()(_Attention().eval(), IMAGE) == 2 * (three_inputs_and_output + pairs_of_tokens)
    assert torch.backends.mha.get_fastpath_enabled()


def test_times_are_medians_of_runs_of_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each pair of readings is a run: warm-up first, then 10, 90 and 20 ms.
    readings = [at for _ in range(WARM_UP) for at in (0.0, 500.0)] + [1.0, 1.01, 2.0, 2.09, 3.0, 3.02]
    for measure, expected, size in ((Latency(runs=3), 20, 1), (ImagesPerSecond(runs=3), 64 / 0.02, 64)):
        network, clock = _Net().eval(), iter(readings)
        with monkeypatch.context() as patch:
            patch.setattr(time, "perf_counter", lambda clock=clock: next(clock))
            assert measure(network, IMAGE) == pytest.approx(expected)
        assert network.sizes == [size] * (WARM_UP + 3)
