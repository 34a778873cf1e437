from typing import Any

import pytest
import torch
from torch import nn

from cktf.models import ModelConfig, build_model
from cktf.trainer.average import Average


def average_of(history: list[torch.Tensor], decay: float) -> torch.Tensor:
    """Average states after each step: evenly at first, then with the decay."""
    average = torch.zeros_like(history[0], dtype=torch.float64)
    for steps, state in enumerate(history):
        kept = min(1 - 1 / (steps + 1), decay)
        average = kept * average + (1 - kept) * state.double()
    return average


def test_it_is_an_even_average_at_first_and_then_one_that_forgets() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    average = Average(network, 0.75)
    history: dict[str, list[torch.Tensor]] = {name: [] for name in network.state_dict()}
    for step in range(9):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        network(torch.randn(2, 3, 5, 5))
        average.update(step)
        for name, value in network.state_dict().items():
            history[name].append(value.clone())
    for name, value in average.network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert value == 9
        else:
            torch.testing.assert_close(value.double(), average_of(history[name], 0.75), rtol=1e-5, atol=1e-6)
            if name != "1.bias":
                even = torch.stack(history[name][:4]).double().mean(dim=0)
                torch.testing.assert_close(average_of(history[name][:4], 0.75), even)


@pytest.mark.parametrize("model", ["resnet8", "torchvision/resnet18"])
def test_it_runs_apart_from_the_network_and_leaves_it_alone(model: str) -> None:
    images: Any = torch.randn(2, 3, 32, 32)
    network = build_model(ModelConfig(model=model), 10, (3, 32, 32))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    average = Average(network, 0.9)
    with torch.no_grad():
        next(iter(network.parameters())).add_(1)
    average.network.eval()
    network.eval()
    found, other = average.network(images), network(images)
    assert not torch.equal(found.logits, other.logits)
    assert len(found.stages) == len(other.stages) > 0
    assert all(torch.equal(before[name], value) for name, value in average.network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
