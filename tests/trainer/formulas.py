"""What a case of `trajectories.json` begins with, by formulas: weights, statistics, images, samples, negatives."""

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

PRIME = 1000003


FOLDER = Path(os.environ.get("CKTF_GOLDEN") or Path(__file__).parents[1] / "golden")


FILE = FOLDER / "trajectories.json"


TOLD: dict[str, Any] = json.loads(FILE.read_text()) if FILE.is_file() else {"common": {}, "cases": {}}


COMMON: dict[str, Any] = TOLD["common"]


SALTS: dict[str, int] = COMMON.get("salts", {})


def wave(elements: Tensor, tensor: int, salt: int) -> Tensor:
    """Return w(i, k, s), float64, of elements (int64)."""
    m = (elements + 7919 * tensor + 104729 * salt) % PRIME
    r = (309017 * m * m + 271829 * m) % PRIME
    return torch.cos(2 * math.pi * r.double() / PRIME)


def wave_like(values: Tensor, tensor: int, salt: int) -> Tensor:
    return wave(torch.arange(values.numel()), tensor, salt).view(values.shape)


@torch.no_grad()
def fill(named: Iterable[tuple[Tensor, bool]], salt: int, gain: float) -> None:
    """Set parameters in their order, each with whether it is a batch-norm's weight."""
    for number, (parameter, is_norm_weight) in enumerate(named):
        w = wave_like(parameter, number, salt)
        if is_norm_weight:
            parameter.copy_(1 + 0.1 * w)
        elif parameter.dim() == 1:
            parameter.copy_(0.1 * w)
        else:
            parameter.copy_(gain * w / (parameter.numel() / parameter.shape[0]) ** 0.5)


def with_kind(module: nn.Module, chosen: Iterable[Tensor] | None = None) -> list[tuple[Tensor, bool]]:
    """Return parameters of a module, in its order, each with whether it is a batch-norm's weight."""
    norms = (part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm))
    weights = {id(norm.weight) for norm in norms}
    return [(parameter, id(parameter) in weights) for parameter in chosen or module.parameters()]


@torch.no_grad()
def fill_network(network: nn.Module, role: str, gain: float) -> None:
    fill(with_kind(network), SALTS[role], gain)
    for number, statistic in enumerate(statistics_of(network)):
        w = wave_like(statistic, number, SALTS[f"{role}_statistics"])
        statistic.copy_(0.1 * w if number % 2 == 0 else 1 + 0.5 * w.square())


def statistics_of(network: nn.Module) -> list[Tensor]:
    """Return means and variances of the batch-norms, in the order of the network's buffers."""
    named = network.named_buffers()
    return [buffer for name, buffer in named if name.endswith(("running_mean", "running_var"))]


def images_of(samples: Tensor, side: int, salt: int) -> Tensor:
    """Return the images (batch, 3, side, side) of samples (batch,)."""
    n, c = samples.view(-1, 1, 1, 1), torch.arange(3).view(-1, 1, 1)
    y, x = torch.arange(side).view(-1, 1), torch.arange(side)
    cycles = ((1 + n % 5) * x + (3 * n % 7) * y).double() / side
    stripes = torch.cos(2 * math.pi * cycles + 0.9 * c + 0.37 * n + salt)
    return (stripes + wave(((n * 3 + c) * side + y) * side + x, 0, salt)).float()


def samples_of_step(step: int) -> Tensor:
    is_last = step == COMMON["steps"] - 1
    r = torch.arange(COMMON["last_batch"] if is_last else COMMON["batch"])
    a, b, c = COMMON["index"]
    samples: Tensor = (a * (b * step + r) + c) % COMMON["N"]
    return samples


def negatives_of(anchor: int, step: int) -> list[int]:
    d, e = COMMON["negatives"]
    candidates = ((anchor + 1 + d * m + e * step) % COMMON["N"] for m in range(COMMON["N"]))
    classes = COMMON["classes"]
    return [n for n in candidates if n % classes != anchor % classes][: COMMON["K"]]
