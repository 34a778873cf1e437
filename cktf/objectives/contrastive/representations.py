"""Representations: from two networks' activations to the inputs of a pair's heads."""

import re

import torch
from torch import Tensor

from cktf import seeding
from cktf.batch import Activations, Batch, Reading
from cktf.errors import InputError
from cktf.objectives.contrastive.layers import LayerPair, blocks_of, is_block
from cktf.objectives.contrastive.pairing import BY_SIMILARITY, Pairing, choose_block
from cktf.objectives.contrastive.transforms import OF_BATCH, Transform, transformed
from cktf.objectives.objective import BuildContext
from cktf.objectives.parts import maps
from cktf.objectives.parts.readings import penultimate_of


class Representations:
    """Chooses the blocks, normalises them over the batch, and transforms them.

    Args:
        pairing: The block that represents a teacher's stage, if a pair does not name one.
        normalize: Whether block maps are L2-normalised over the batch.
        transform: The part of a layer that is compared.
        given: Networks and seed that it is built for.
    """

    def __init__(self, pairing: Pairing, transform: Transform, given: BuildContext, *, normalize: bool) -> None:
        self.pairing: Pairing = pairing
        self.transform: Transform = transform
        self.normalize = normalize
        self.seed = given.seed
        self.windows = maps.pooling_window(given.student), maps.pooling_window(given.teacher)

    def shapes(self, pair: LayerPair, given: BuildContext) -> tuple[torch.Size, torch.Size]:
        """Return the shapes of the inputs of a pair's heads, without the batch dimension.

        Raises:
            ValueError: If a network has no such layer, or ``pairing`` cannot compare its maps.
        """
        sizes = []
        for layer, side, network in (
            (pair.student, "student", given.student),
            (pair.teacher, "teacher", given.teacher),
        ):
            try:
                sizes.append(blocks_of(network, layer)[-1])
            except ValueError as reason:
                raise InputError(f"objective.cktf.pairs: the {side} {reason}") from None
        if self.pairing in BY_SIMILARITY and is_block(pair.teacher) and sizes[0][1:] != sizes[1][1:]:
            raise InputError(
                f"objective.cktf.pairing: {self.pairing!r} compares maps of equal size, but those of "
                f"{pair.name} are {tuple(sizes[0][1:])} and {tuple(sizes[1][1:])}; choose last, first or random"
            )
        if self.transform in OF_BATCH:
            row = torch.Size([1])  # as long as the batch; any number will do, since no head reads it
            return row, row
        # Measured on tensors without data.
        of_student, of_teacher = (torch.empty(2, *size, device="meta") for size in sizes)
        nobody = torch.empty(2, device="meta")
        batch = Batch(nobody, nobody, nobody, step=0)
        of_student = self._of_student(pair, of_student, of_teacher.shape[1], batch)
        return of_student.shape[1:], self._of_teacher(of_teacher, batch).shape[1:]

    def matched(self, pair: LayerPair) -> tuple[str, str]:
        """Return the names of the two layers that are compared; the stage if its block is chosen per batch."""
        is_first = self.pairing == "first" and re.fullmatch(r"stage\d+", pair.teacher)
        return pair.student, f"{pair.teacher}.0" if is_first else pair.teacher

    def reading(self, pair: LayerPair, given: BuildContext) -> Reading | None:
        """Return the teacher's tensor that a pair reads; None if it is a whole map, or a block chosen by similarity."""
        if pair.teacher == "penultimate":
            return penultimate_of(given.teacher)
        is_open = self.pairing in BY_SIMILARITY and len(blocks_of(given.teacher, pair.teacher)) > 1
        if self.transform != "map" or is_open:
            return None

        def pooled(teacher: Activations, batch: Batch) -> Tensor:
            return self._of_teacher(self._chosen(pair, None, teacher, batch), batch)

        return Reading(
            self._name(pair),
            self.shapes(pair, given)[1],
            of_batch=is_block(pair.teacher) and (self.normalize or self.pairing == "random"),
            compute=pooled,
        )

    def __call__(
        self, pair: LayerPair, student: Activations, teacher: Activations, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Return the representations (batch, ...) of student and teacher, float32."""
        of_student = self._normalised(blocks_of(student, pair.student)[-1], pair.student, batch)
        of_teacher = teacher.readings.get(self._name(pair))
        if of_teacher is None:
            of_teacher = self._of_teacher(self._chosen(pair, of_student, teacher, batch), batch)
        return self._of_student(pair, of_student, of_teacher.shape[1], batch), of_teacher

    def _name(self, pair: LayerPair) -> str:
        """Return the name of the pair's reading if it is a pooled map."""
        window = "whole map" if self.windows[1] is None else f"windows of {self.windows[1]}"
        words = [pair.teacher, f"mean over {window}"]
        if is_block(pair.teacher):
            words += [f"normalised over the batch: {self.normalize}", f"block: {self.pairing}"]
            if self.pairing == "random":
                words += [pair.name, f"seed {self.seed}"]
        return ", ".join(words)

    def _chosen(self, pair: LayerPair, of_student: Tensor | None, teacher: Activations, batch: Batch) -> Tensor:
        """Return the teacher's layer, normalised; if a pair names a stage alone, its block is chosen first."""
        blocks = blocks_of(teacher, pair.teacher)
        chosen = 0
        if len(blocks) > 1:
            generator = seeding.generator(self.seed, "pairing", pair.name, batch.step)
            chosen = choose_block(
                self.pairing,
                of_student,
                blocks,
                lambda block: self._normalised(block, pair.teacher, batch),
                generator,
                batch,
            )
        return self._normalised(blocks[chosen], pair.teacher, batch)

    def _normalised(self, values: Tensor, layer: str, batch: Batch) -> Tensor:
        values = values.float()
        return maps.normalise_over_batch(values, batch) if self.normalize and is_block(layer) else values

    def _of_student(self, pair: LayerPair, of_student: Tensor, num_channels: int, batch: Batch) -> Tensor:
        """Return the student's representation; a map is padded to as many channels as the teacher's."""
        if self.transform != "map":
            return transformed(of_student, self.transform, batch)
        if is_block(pair.student) and is_block(pair.teacher):
            of_student = maps.pad_channels(of_student, num_channels)
        return _pooled(of_student, self.windows[0])

    def _of_teacher(self, of_teacher: Tensor, batch: Batch) -> Tensor:
        """Return the teacher's layer, transformed or pooled; a vector stays as it is."""
        if self.transform != "map":
            return transformed(of_teacher, self.transform, batch)
        return _pooled(of_teacher, self.windows[1])


def _pooled(values: Tensor, window: maps.Window) -> Tensor:
    return maps.pool(values, window) if values.dim() == 4 else values
