"""Names of the files of a teacher's stored outputs: hashes of everything that determines the values."""

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cktf.data import TrainLoader
from cktf.models import ModelConfig
from cktf.trainer.config import TrialConfig


def identity_of(network: nn.Module, loader: TrainLoader, config: TrialConfig) -> dict[str, Any]:
    """Return everything that determines a teacher's outputs except the batches: network, images, code and machine."""
    assert config.teacher is not None
    dataset = loader.dataset
    device = dataset.device
    return {
        "network": config.teacher.model_dump(mode="json", include=set(ModelConfig.model_fields)),
        "weights": _digest(network.state_dict().items()),
        "images": _images_digest(dataset.train_images),
        "side": dataset.shown_side,
        "mean": dataset.mean.tolist(),
        "std": dataset.std.tolist(),
        "precision": config.precision_on(device.type),
        "compile": config.compile,
        "code": _code_digest(),
        "torch": torch.__version__,
        # Rounding may depend on the machine and the number of threads.
        "machine": [platform.node(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def batches_of(loader: TrainLoader) -> dict[str, Any]:
    """Return everything that determines the batches of an epoch: samples, augmentation, size and order."""
    return {
        "samples": _digest([("rows", loader.rows)]),
        "augmentation": asdict(loader.augmentation),
        "batch_size": loader.batch_size,
        "seed": loader.seed,
    }


def digest_of(value: Any) -> str:
    """Return a hash of a JSON value: 128 bits, hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def _digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        for part in torch.split(tensor.reshape(-1), 2**26):  # a mapped data set may be larger than memory
            digest.update(part.cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


@lru_cache(maxsize=2)
def _images_digest(images: Tensor) -> str:
    return _digest([("images", images)])


@cache
def _code_digest() -> str:
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
