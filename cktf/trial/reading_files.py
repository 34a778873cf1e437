"""Files of teachers' readings and their names: float16 tables, mapped, and bounded in size together.

Files are named by a hash of everything that determines their content, so a file is either absent or valid, and deleting
one is safe. Nothing here fails a trial: if a file cannot be written, that is logged, and the caller goes on with the
values it has computed.
"""

import hashlib
import json
import logging
import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cktf.data import TrainLoader
from cktf.data.files.mapped import as_tensor
from cktf.errors import InputError, shown
from cktf.locks import exclusive
from cktf.mapped_arrays import read_array, write_array
from cktf.models import ModelConfig
from cktf.plugins import code_of
from cktf.trainer.config import TrialConfig

_SUFFIX = ".float16"

_log = logging.getLogger(__name__)


def size_limit() -> int:
    """Return the largest total size of all files in bytes: ``$CKTF_CACHE_GB`` times 10^9, by default 20 of them.

    It belongs to the machine's disk, as ``$CKTF_CACHE`` does, and not to a study.
    """
    text = os.environ.get("CKTF_CACHE_GB", "20")
    with suppress(ValueError):
        if 0 <= (gigabytes := float(text)) < float("inf"):
            return round(gigabytes * 10**9)
    raise InputError(f"$CKTF_CACHE_GB: must be a number of gigabytes, 0 or more; got {shown(text)}")


class ReadingFiles:
    """Tables below one folder, which may not exist yet; their total size is ``limit`` bytes at most."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._has_complained = False

    def read(self, name: str, rows: int, columns: int) -> Tensor | None:
        """Return a table (rows, columns), float16, CPU, mapped, read-only; None if it is not there."""
        path = self._path(name)
        with suppress(OSError):
            if (values := read_array(path, np.float16, (rows, columns))) is not None:
                with suppress(OSError):  # a file of another user, say, which then only seems older than it is
                    os.utime(path)
                return as_tensor(values)
        return None

    def write(self, name: str, table: Tensor) -> None:
        """Write a table, (rows, columns), float16, CPU, and delete the least recently used ones that it displaces."""
        if table.nbytes > self.limit:
            return
        try:
            # One process writes at a time: so the limit holds, and a half-written file is a killed writer's.
            with exclusive(self.folder / "lock"):
                self._make_room(table.nbytes)
                write_array(self._path(name), [table.numpy()])
        except (OSError, InputError) as error:  # the latter where the file system has no locks
            if not self._has_complained:
                _log.warning("what is read of the teacher is not stored in %s: %s", self.folder, error)
            self._has_complained = True

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Let one process at a time compute the table ``name``; the others find it stored when their turn comes."""
        with ExitStack() as stack:
            with suppress(OSError, InputError):  # logged later, when the file cannot be written
                stack.enter_context(exclusive(self.folder / f"{name}.lock"))
            yield

    def _path(self, name: str) -> Path:
        return self.folder / (name + _SUFFIX)

    def _make_room(self, size: int) -> None:
        tables = []
        for path in self.folder.rglob(f"*{_SUFFIX}*"):
            if path.suffix == _SUFFIX:
                status = path.stat()
                tables.append((status.st_mtime_ns, status.st_size, path))
            else:
                path.unlink(missing_ok=True)
        excess = size - self.limit + sum(table[1] for table in tables)
        for _, freed, path in sorted(tables):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= freed


def identity_of(network: nn.Module, loader: TrainLoader, config: TrialConfig) -> dict[str, Any]:
    """Return everything that determines a teacher's outputs except the batches: network, images, code and machine."""
    dataset = loader.dataset
    device = dataset.device
    return {
        "networks": [
            teacher.model_dump(mode="json", include=set(ModelConfig.model_fields))
            for teacher in config.read_teachers.values()
        ],
        "weights": _digest(network.state_dict().items()),
        "images": _images_digest(dataset.train_images),
        "side": dataset.shown_side,
        "mean": dataset.mean.tolist(),
        "std": dataset.std.tolist(),
        "precision": config.precision_on(device.type),
        "compile": config.compile,
        "code": _code_digest(),
        **code_of(config.parts),
        "torch": torch.__version__,
        # Rounding may depend on the machine and the number of threads.
        "machine": [platform.node(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def batches_of(loader: TrainLoader) -> dict[str, Any]:
    """Return everything that determines the batches of an epoch: samples, augmentation, size and order."""
    return {
        "samples": _digest([("rows", loader.rows)]),
        "augmentation": [
            asdict(replace(loader.augmentation, changes=())),
            *([type(change).__name__, change.model_dump(mode="json")] for change in loader.augmentation.changes),
        ],
        "batch_size": loader.batch_size,
        "seed": loader.seed,
        "own view": loader.has_own_view,
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
