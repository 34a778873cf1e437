"""A trial's checkpoint: the state of its training and the results so far, in one file that is replaced atomically."""

import io
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from safetensors.torch import save as save_safetensors
from torch import nn

from cktf.rows import EpochResult
from cktf.storage import Storage

CHECKPOINT = "checkpoint.pt"
STUDENT = "student.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """State from which a trial is resumed as if it had never been interrupted.

    Random numbers are addressed by (seed, purpose, epoch or step) and the learning rate is a function of the epoch, so
    no state of a generator or schedule is needed.

    Attributes:
        student: State dict of the student or, in a transfer, of the probe around it.
        objective: State dict of the objectives: heads, memory banks, Z; empty in a phase that does not use them.
        optimizer: State dict of the optimizer.
        history: Results of all epochs so far; rows that were lost with a driver are written again from them.
        average: State dict of the student's average; empty if there is none.
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
    return run.child("trials", trial_id)


def save_checkpoint(place: Storage, checkpoint: Checkpoint) -> None:
    """Replace the last checkpoint; it stays valid if the writer is killed."""
    buffer = io.BytesIO()
    torch.save({**vars(checkpoint), "history": [asdict(result) for result in checkpoint.history]}, buffer)
    place.write(CHECKPOINT, buffer.getvalue())


def load_checkpoint(place: Storage, device: torch.device) -> Checkpoint | None:
    """Return the trial's latest checkpoint with its tensors on ``device``, None if there is none."""
    content = place.read(CHECKPOINT)
    if content is None:
        return None
    values = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return Checkpoint(**{**values, "history": [EpochResult(**result) for result in values["history"]]})


def save_student(place: Storage, student: nn.Module) -> None:
    """Write the weights of a student, its average or the probe around it, as safetensors into the trial's folder."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in student.state_dict().items()}
    place.write(STUDENT, save_safetensors(tensors))
