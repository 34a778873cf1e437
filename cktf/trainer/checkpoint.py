"""A trial's checkpoint: all that training moves, and the epochs it took, in one file that is replaced whole."""

import io
from dataclasses import asdict, dataclass
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
    """What a trial needs to go on as if nothing had happened.

    Random numbers are addressed by (seed, purpose, epoch or step) and the learning rate is a function of the epoch, so
    neither a generator's nor a schedule's state is needed.

    Attributes:
        student: State dict of the student or, in a transfer, of the probe that holds it.
        objective: State dict of the objectives: heads, memory banks, Z; empty in a phase that does not read them.
        optimizer: State dict of the optimiser.
        history: Results of all epochs so far; rows that were lost with a driver are written again from these.
    """

    student: dict[str, Any]
    objective: dict[str, Any]
    optimizer: dict[str, Any]
    history: list[EpochResult]

    def is_complete(self, total_epochs: int) -> bool:
        """Return whether the trial has ended, which has so many epochs in all phases."""
        return len(self.history) == total_epochs


def trial_storage(run: Storage, trial_id: str) -> Storage:
    """Return the folder of one trial within a run."""
    return run.child("trials", trial_id)


def save_checkpoint(place: Storage, checkpoint: Checkpoint) -> None:
    """Write the checkpoint in place of the last one; a killed writer leaves the last one whole."""
    content = {
        "student": checkpoint.student,
        "objective": checkpoint.objective,
        "optimizer": checkpoint.optimizer,
        "history": [asdict(result) for result in checkpoint.history],
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    place.write(CHECKPOINT, buffer.getvalue())


def load_checkpoint(place: Storage, device: torch.device) -> Checkpoint | None:
    """Return the trial's latest checkpoint with its tensors on ``device``, or None where there is none."""
    content = place.read(CHECKPOINT)
    if content is None:
        return None
    values = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return Checkpoint(
        student=values["student"],
        objective=values["objective"],
        optimizer=values["optimizer"],
        history=[EpochResult(**result) for result in values["history"]],
    )


def save_student(place: Storage, student: nn.Module) -> None:
    """Write the weights alone, as safetensors, for use outside this project.

    Args:
        place: The trial's folder.
        student: The network that was evaluated: the student or, in a transfer, the probe that holds it.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in student.state_dict().items()}
    place.write(STUDENT, save_safetensors(tensors))
