"""The networks against the golden cases of the published code: keys, shapes, order and outputs."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cktf.batch import Activations
from cktf.models import MODELS, build_model

NUM_CLASSES = 10
RELATIVE_TOLERANCE = 1e-4


def fill(network: nn.Module, salt: float, variance: float, batch_norm_around_one: bool) -> nn.Module:
    """Give every parameter the golden cases' deterministic values, and return the network in eval mode."""
    with torch.no_grad():
        for number, (name, parameter) in enumerate(network.named_parameters()):
            elements = torch.arange(parameter.numel(), dtype=torch.float64)
            wave = torch.cos(0.37 * elements + 0.11 * number + salt)
            fan_in = parameter.numel() if parameter.ndim == 1 else parameter[0].numel()
            if batch_norm_around_one and parameter.ndim == 1 and name.endswith("weight"):
                values = 1 + 0.1 * wave
            else:
                values = wave * math.sqrt(variance / fan_in)
            parameter.copy_(values.view_as(parameter))
    return network.eval()


def assert_close(ours: Tensor, golden: np.ndarray) -> None:
    """Compare relative to the golden tensor's largest magnitude."""
    assert tuple(ours.shape) == golden.shape
    assert np.abs(ours.numpy() - golden).max() <= RELATIVE_TOLERANCE * np.abs(golden).max()


def features_of(activations: Activations) -> list[Tensor]:
    """Return the representations in the golden cases' order: stem, each stage's last block, penultimate."""
    last_blocks = [blocks[-1] for blocks in activations.stages]
    return [activations.stem, *last_blocks, activations.penultimate]


@pytest.mark.parametrize("name", MODELS)
def test_a_network_equals_the_published_one(name: str, golden_directory: Path) -> None:
    files = [path for path in sorted(golden_directory.glob("models*.json")) if name in json.loads(path.read_text())]
    if not files:
        pytest.skip(f"no golden case of {name} in {golden_directory}")
    for path in files:
        golden = json.loads(path.read_text())[name]
        arrays = np.load(path.with_suffix(".npz"))
        network = build_model(name, NUM_CLASSES, (3, 32, 32))

        assert sum(parameter.numel() for parameter in network.parameters()) == golden["parameters"]
        keys_and_shapes = [[key, list(value.shape)] for key, value in network.state_dict().items()]
        assert keys_and_shapes == golden["state_dict"]  # a list, so the order counts too

        fill(network, salt=0.5, variance=0.5, batch_norm_around_one=True)
        sides = [side for side in (32, 64) if f"{name}.logits{side}" in arrays]
        assert sides
        for side in sides:
            with torch.no_grad():
                activations: Activations = network(torch.from_numpy(arrays[f"x{side}"]))
            assert_close(activations.logits, arrays[f"{name}.logits{side}"])
            features = features_of(activations)
            assert [list(feature.shape) for feature in features] == golden[f"features{side}"]
            if f"blocks{side}" in golden:
                shapes = [[list(block.shape) for block in blocks] for blocks in activations.stages]
                assert shapes == golden[f"blocks{side}"]
            for feature, mean in zip(features, arrays[f"{name}.feature_means{side}"], strict=True):
                # Values of both signs cancel in a mean, so it is compared at the scale of the values.
                scale = feature.double().square().mean().sqrt().item()
                assert feature.double().mean().item() == pytest.approx(mean, rel=0, abs=RELATIVE_TOLERANCE * scale)


def test_the_representations_are_those_that_the_published_method_reads(golden_directory: Path) -> None:
    # The cases hold both networks' representations, maps pooled and flattened.
    compared = 0
    for path in sorted(golden_directory.glob("cktf_*.npz")):
        arrays = np.load(path)
        meta = json.loads(str(arrays["meta"]))
        for role, side, salt in (("student", "s", 9), ("teacher", "t", 10)):
            if meta[role] not in MODELS or "step0_x" not in arrays:
                continue
            images = torch.from_numpy(arrays["step0_x"])
            network = build_model(meta[role], meta["num_classes"], images.shape[1:])
            fill(network, salt=salt, variance=1.0, batch_norm_around_one=False)
            with torch.no_grad():
                activations: Activations = network(images)
            assert_close(activations.logits, arrays[f"step0_logits_{side}"])
            is_cifar_resnet = meta[role].startswith(("resnet", "wrn"))
            pool = nn.AvgPool2d(8) if is_cifar_resnet else nn.AdaptiveAvgPool2d(1)
            for number, feature in enumerate(features_of(activations)):
                vector = pool(feature).flatten(1) if feature.ndim == 4 else feature
                assert_close(vector, arrays[f"step0_feat_{side}{number}"])
            compared += 1
    if not compared:
        pytest.skip(f"no golden case of a whole transfer in {golden_directory}")
