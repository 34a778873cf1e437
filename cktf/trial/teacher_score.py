"""The accuracy of a teacher on a validation split, and whether it is better than chance."""

import json
import math
import time
from dataclasses import asdict, dataclass
from typing import Self

import torch
from torch import Tensor, nn

from cktf.data import evaluation_batches, split
from cktf.errors import InputError
from cktf.rows import STANDARD_ERRORS, TRAINED_HERE, TeacherRow
from cktf.storage import Storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.evaluate import evaluate
from cktf.trial.held_data import held_dataset


@dataclass(frozen=True)
class ValidationPart:
    """Size and chance level of a validation split.

    Attributes:
        validation_images: Number of images.
        num_classes: Classes of the data set.
        chance: Per cent of images in the largest class: the accuracy of always predicting it, which a teacher has to
            exceed. It may be larger than 100 / classes.
    """

    validation_images: int
    num_classes: int
    chance: float

    @classmethod
    def of(cls, labels: Tensor, num_classes: int) -> Self:
        """Return the part whose images have these labels, (samples,), int64."""
        largest = int(torch.bincount(labels).max())
        return cls(len(labels), num_classes, 100 * largest / len(labels))


def score_file(config: TrialConfig, identity: str, network: nn.Module, device: torch.device) -> TeacherRow:
    """Return the accuracy of a trial's teacher, read from a file, on the trial's validation split.

    In a transfer that is a split of ``source``.

    Args:
        config: The trial; its teacher has a checkpoint.
        identity: The teacher's identity.
        network: The teacher, on ``device``.
        device: Device on which it is evaluated, in float32.

    Raises:
        InputError: If it does no better than chance or its outputs are not finite, and ``teacher.accept_any`` is not
            set.
    """
    teacher, data = config.teacher, config.teacher_data
    assert teacher is not None
    assert teacher.checkpoint is not None
    dataset = held_dataset(data, device)
    labels = dataset.train_labels.cpu()
    rows = split(labels, data, config.seed).validation_index
    found = evaluate(network, evaluation_batches(dataset, rows))
    row = TeacherRow(
        teacher_id=identity,
        model=teacher.model,
        data=data.name,
        origin=teacher.checkpoint,
        sha256=teacher.sha256 or "",
        validation_accuracy=found.accuracy,
        validation_loss=found.loss if math.isfinite(found.loss) else None,
        **asdict(ValidationPart.of(labels[rows], dataset.num_classes)),
        seed=config.seed,
        time=time.time(),
    )
    wrong = ""
    if row.validation_loss is None:
        wrong = "its outputs are not finite"
    elif row.is_near_chance:
        wrong = f"which is within {STANDARD_ERRORS} standard errors of chance, or below it"
    if wrong and not teacher.accept_any:
        raise InputError(
            f"teacher.checkpoint: {teacher.checkpoint} has an accuracy of {row.validation_accuracy:.2f} % on the "
            f"n = {row.validation_images} validation images of {data.name}, where chance is {row.chance:.2f} %: "
            f"{wrong}. Its classes may be in another order, or its images scaled otherwise; name another file, or set "
            "teacher.accept_any: true to learn from it all the same"
        )
    return row


def trained_row(run: Storage, identity: str) -> TeacherRow | None:
    """Return the scores of a teacher at the end of its training from the run directory.

    None if there is no record, or it cannot be read now.
    """
    try:
        record = json.loads(run.child("teachers").read(f"{identity}.json") or b"{}")
    except OSError:
        return None
    if not record:
        return None
    result, config = record["result"], record["config"]
    return TeacherRow(
        teacher_id=identity,
        model=config["student"]["model"],
        data=config["data"]["name"],
        origin=TRAINED_HERE,
        validation_accuracy=result["validation_accuracy"],
        validation_loss=result["validation_loss"],
        **record.get("validation", {}),
        test_accuracy=result["test_accuracy"],
        test_loss=result["test_loss"],
        time=time.time(),
    )
