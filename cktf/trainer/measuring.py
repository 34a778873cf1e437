"""The measures of one trial, and its outputs as they are stored and read again."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from cktf.data import Dataset, Split, evaluation_batches
from cktf.measures import OfPredictions, OfStudent, Predictions
from cktf.measures.registry import as_numbers, built, numbers_of
from cktf.measures.student import uncompiled
from cktf.storage import Storage
from cktf.trainer.evaluate import Evaluation, evaluate

LOGITS = "logits.safetensors"
"""File in a trial's folder: ``validation.logits`` and ``test.logits``, float32, and the labels of each."""


class Measuring:
    """Takes the measures of one trial, by name and settings.

    ``teacher`` is the frozen one; None, and measures that read it are left out, if the trial runs none or it has other
    classes. ``at_once`` are the numbers of images that the student and the teacher evaluate at once.
    """

    def __init__(
        self,
        measures: Mapping[str, Mapping[str, Any]],
        keep_logits: bool,
        teacher: nn.Module | None,
        dataset: Dataset,
        parts: Split,
        at_once: tuple[int, int],
    ) -> None:
        chosen = built(measures)
        self._of_student = {name: each for name, each in chosen.items() if isinstance(each, OfStudent)}
        self._of_outputs = {
            name: each
            for name, each in chosen.items()
            if isinstance(each, OfPredictions) and (teacher or not each.needs_teacher)
        }
        self._keep_logits, self._teacher, self.at_once = keep_logits, teacher, at_once
        self._dataset, self._validation_rows = dataset, parts.validation_index
        self._of_teacher: dict[str, Tensor | None] = {}
        self._last: dict[str, Predictions] = {}

    def evaluated(self, network: nn.Module, split: str, *, is_last: bool) -> tuple[Evaluation, dict[str, float]]:
        """Return a network's evaluation on a split, and the measures due; ``is_last``: in the last epoch.

        Measures of the network itself are due in the last epoch, together with those on the validation split.
        """
        due = {name: each for name, each in self._of_outputs.items() if is_last or each.every_epoch}
        is_stored = is_last and self._keep_logits
        found = evaluate(network, self._batches(split), with_logits=bool(due) or is_stored)
        of_network = self._of_network(network) if is_last and split == "validation" else {}
        if found.logits is None:
            return found, of_network
        predictions = Predictions(found.logits, found.labels)
        if is_stored:
            self._last[split] = predictions
        if any(each.needs_teacher for each in due.values()):
            predictions = replace(predictions, teacher=self._teacher_on(split))
        return found, numbers_of(due, split, predictions) | of_network

    @torch.no_grad()
    def _of_network(self, network: nn.Module) -> dict[str, float]:
        """Return the measures of the network itself; its mode is restored."""
        if not self._of_student:
            return {}
        was_training = network.training
        image = next(self._batches("validation"))[0][:1].contiguous(memory_format=torch.channels_last)
        found = as_numbers({name: each(network.eval(), image) for name, each in self._of_student.items()})
        network.train(was_training)
        return found

    def save_logits(self, place: Storage) -> None:
        """Write the outputs of the last epoch into the trial's folder, if they are to be stored."""
        if self._last:
            tensors = {f"{split}.logits": found.logits for split, found in self._last.items()}
            tensors |= {f"{split}.labels": found.labels for split, found in self._last.items()}
            place.write(LOGITS, save_safetensors({name: of.cpu().contiguous() for name, of in tensors.items()}))

    def _batches(self, split: str, *, of_teacher: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        rows: Tensor | Literal["test"] = "test" if split == "test" else self._validation_rows
        return evaluation_batches(self._dataset, rows, batch_size=self.at_once[of_teacher])

    def _teacher_on(self, split: str) -> Tensor | None:
        if split not in self._of_teacher and self._teacher:
            with uncompiled(self._teacher):  # or a graph that training uses might change
                batches = self._batches(split, of_teacher=True)
                self._of_teacher[split] = evaluate(self._teacher, batches, with_logits=True).logits
        return self._of_teacher[split]


def stored_predictions(place: Storage) -> dict[str, Predictions]:
    """Return the stored outputs of a trial by split; empty if its folder has none."""
    content = place.read(LOGITS)
    if content is None:
        return {}
    tensors = load_safetensors(content)
    splits = [name.removesuffix(".logits") for name in tensors if name.endswith(".logits")]
    return {split: Predictions(tensors[f"{split}.logits"], tensors[f"{split}.labels"]) for split in splits}


def packed(correct: Tensor) -> str:
    """Return booleans (samples,) encoded as in `cktf.epoch_result.EpochResult.test_correct`."""
    return base64.b64encode(np.packbits(correct.cpu().numpy()).tobytes()).decode()
