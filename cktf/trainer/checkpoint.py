"""A trial's checkpoint: the state of its training and the results so far, in one file that is replaced atomically."""

import hashlib
import io
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from cktf.epoch_result import EpochResult
from cktf.errors import InputError
from cktf.storage import TRIALS, Storage
from cktf.trainer.distributed import Workers

ONE_WORKER, CPU = Workers(), torch.device("cpu")

CHECKPOINT = "checkpoint.pt"
STUDENT = "student.safetensors"

VERSION = b"cktf checkpoint 2 "
"""Beginning of a checkpoint's first line, which ends with the SHA-256 of all that follows it."""


@dataclass(frozen=True)
class Checkpoint:
    """State from which a trial is resumed as if it had never been interrupted.

    It holds the state dicts of the student (in a transfer of the probe around it), the objectives and the optimizer;
    that of the objectives is empty in a phase that does not use them, and that of the student's average if there is
    none. Rows that were lost with a driver are written again from ``history``.
    """

    student: dict[str, Any]
    objective: dict[str, Any]
    optimizer: dict[str, Any]
    history: list[EpochResult]
    average: dict[str, Any] = field(default_factory=dict)

    def is_complete(self, total_epochs: int) -> bool:
        """Return whether all epochs of all phases are done."""
        return len(self.history) == total_epochs


def trial_storage(run: Storage, trial_id: str) -> Storage:
    """Return the folder of one trial within a run."""
    return run.child(TRIALS, trial_id)


class CheckpointWriter:
    """Writes a trial's checkpoints into its folder while training goes on, one at a time; none without a folder.

    ``seconds`` is the least time between two within a phase; the end of a phase always has one.
    """

    def __init__(self, place: Storage | None, seconds: float) -> None:
        self._place, self._seconds = place, seconds
        self._began = time.monotonic()
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def is_due(self, *, is_end: bool) -> bool:
        """Return whether an epoch's state is to be written; ``is_end``: it is the last one of a phase."""
        return self._place is not None and (is_end or time.monotonic() - self._began >= self._seconds)

    def write(self, checkpoint: Checkpoint) -> None:
        """Copy the state and begin to write it, once the checkpoint before is written (see `wait`)."""
        self.wait()
        assert self._place is not None
        self._began = time.monotonic()
        self._writing = self._thread.submit(_write, self._place, _as_file(checkpoint))

    def wait(self) -> None:
        """Wait until nothing is being written; raise a StorageTrouble if the last checkpoint could not be written."""
        if self._writing:
            self._writing.result()

    @contextmanager
    def ends_with_training(self) -> Iterator[None]:
        """Wait for the checkpoint being written if training is abandoned in this context: no file appears later."""
        try:
            yield
        except GeneratorExit:
            self._thread.shutdown()
            raise


def _as_file(checkpoint: Checkpoint) -> memoryview:
    """Return a checkpoint as the bytes of its file, in which the hash is still zeros."""
    buffer = io.BytesIO()
    buffer.write(VERSION + b"0" * 64 + b"\n")
    torch.save({**vars(checkpoint), "history": [asdict(result) for result in checkpoint.history]}, buffer)
    return buffer.getbuffer()


def _write(place: Storage, file: memoryview) -> None:
    begin, end = len(VERSION), len(VERSION) + 64
    file[begin:end] = _sha256(file[end + 1 :])
    place.write(CHECKPOINT, file)


def load_checkpoint(place: Storage, workers: Workers = ONE_WORKER, device: torch.device = CPU) -> Checkpoint | None:
    """Return the trial's latest checkpoint with its tensors on the CPU, None if there is none.

    A file that is damaged or of another version is set aside: the trial is then trained from its beginning. All
    ``workers`` get the bytes that the first one reads, exchanged through the ``device`` that trains.
    """
    content = workers.read_by_first(partial(_sound_content, place), device)
    if content is None:
        return None
    try:
        values = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return Checkpoint(**{**values, "history": [EpochResult(**result) for result in values["history"]]})
    except (TypeError, KeyError) as error:
        place.set_aside(CHECKPOINT, f"of another version: {error}")
        return None


def _sound_content(place: Storage) -> bytes | None:
    """Return a checkpoint's bytes behind its first line; None if there is no file, or a damaged one was set aside."""
    stored = place.read(CHECKPOINT)
    if stored is None:
        return None
    head, _, content = stored.partition(b"\n")
    if head == VERSION + _sha256(content):
        return content
    why = "its checksum does not fit" if head.startswith(VERSION) else "it does not begin as one of this version does"
    place.set_aside(CHECKPOINT, why)
    return None


def save_student(place: Storage, student: nn.Module, about: Mapping[str, str] | None = None) -> None:
    """Write the weights of a student, its average or the probe around it, as safetensors into the trial's folder.

    ``about`` is written into the file's metadata (see `cktf.trainer.stored_student.AboutStudent`).
    """
    # Copied, because safetensors takes no layers that share their weights.
    dense = torch.contiguous_format
    tensors = {name: of.detach().cpu().clone(memory_format=dense) for name, of in student.state_dict().items()}
    place.write(STUDENT, save_safetensors(tensors, {**(about or {}), "sha256": _checksum(tensors)}))


def metadata_of(content: bytes) -> dict[str, str]:
    """Return the metadata in the bytes of a safetensors file; raise an InputError if they are none.

    Files of other programs may have no metadata.
    """
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        found: dict[str, str] = header.get("__metadata__", {})
    except (ValueError, AttributeError) as error:
        raise InputError(f"it is no whole file of weights: {error}") from error
    return found


def load_weights(content: bytes) -> dict[str, Tensor]:
    """Return the weights in the bytes of a safetensors file; raise an InputError if they are damaged."""
    try:
        tensors = load_safetensors(content)
        checksum = metadata_of(content).get("sha256")
    except Exception as error:  # a class of safetensors' own
        raise InputError(f"it is no whole file of weights: {error}") from error
    if checksum not in (None, _checksum(tensors)):
        raise InputError("its checksum does not fit")
    return tensors


def stored_weights(place: Storage, name: str) -> bytes | None:
    """Return the bytes of a safetensors file, None if there is none or it is damaged, and therefore set aside."""
    content = place.read(name)
    if content is None:
        return None
    try:
        load_weights(content)
    except InputError as error:
        place.set_aside(name, str(error))
        return None
    return content


def _sha256(content: bytes | memoryview) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
