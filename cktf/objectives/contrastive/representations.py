"""Representations: from two networks' activations to the inputs of a pair's heads.

A layer is ``stem``, ``stage1``, ``stage2``, ..., ``penultimate``, or one block of a stage: ``stage3.0`` is the first
block of the third stage. Stages are counted from 1, as the papers name them, and blocks from 0. Of the student a stage
alone means its last block; of the teacher, the block that the pairing chooses.

A transform is the part of a layer's activations that is compared. Most are taken from an earlier method.

    map          as published for CKTF (arXiv 2303.07599): pooled, the student's channels padded to the teacher's
    hint         the whole map, as in FitNet (Romero et al., arXiv 1412.6550)
    attention    where the map is active, as in AT (Zagoruyko and Komodakis, arXiv 1612.03928)
    factor       the whole map's direction, as FT normalises its factors (Kim et al., arXiv 1802.04977)
    similarity   how similar a sample is to each of the batch, as in SP (Tung and Mori, arXiv 1907.09682)
    relation     how far a sample is from each of the batch, as in RKD (Park et al., arXiv 1904.05068)

The last two give rows as long as the whole batch, over all workers.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal, overload

import torch
from pydantic import field_validator
from torch import Tensor
from torch.nn import functional

from cktf import seeding
from cktf.batch import Activations, Batch, NoRepresentation, Reading, Shapes
from cktf.errors import InputError, shown
from cktf.objectives.contrastive.settings import Dim, NumNegatives, Temperature
from cktf.objectives.objective import BuildContext, Factor
from cktf.objectives.parts import maps
from cktf.objectives.parts.stages import reading_of
from cktf.objectives.parts.workers import gather_with_gradient, sum_over_workers
from cktf.objectives.rkd import relative_distances
from cktf.objectives.sp import similarities
from cktf.settings import Settings

Pairing = Literal["last", "first", "random", "largest", "smallest"]

BY_SIMILARITY: tuple[Pairing, ...] = ("largest", "smallest")
"""Pairings that compare the student's map with the teacher's."""

Transform = Literal["map", "hint", "attention", "factor", "similarity", "relation"]

OF_BATCH: tuple[Transform, ...] = ("similarity", "relation")
"""Transforms whose rows depend on the batch, so that no learned head and no bank fits them."""

_LAYER = re.compile(r"stem|penultimate|stage[1-9][0-9]*(\.[0-9]+)?")


class LayerPair(Settings):
    """A layer of the student that is compared with a layer of the teacher."""

    student: str
    """Layer of the student: stem, stage1, stage1.0, ..., penultimate."""

    teacher: str
    """Layer of the teacher: stem, stage1, stage1.0, ..., penultimate."""

    weight: Factor = 1.0
    """Factor of the pair in the sum; 0 means that it is neither built nor computed."""

    dim: Dim | None = None
    """Dimensions in which this pair is contrasted; None: the method's `dim`."""

    temperature: Temperature | None = None
    """tau of this pair; None: the method's."""

    negatives: NumNegatives | None = None
    """K of this pair; None: the method's."""

    @field_validator("student", "teacher")
    @classmethod
    def _names_a_layer(cls, name: str) -> str:
        if not _LAYER.fullmatch(name):
            raise InputError(
                f"must be stem, penultimate, a stage such as stage3 or a block such as stage3.0; got {shown(name)}"
            )
        return name

    @property
    def name(self) -> str:
        """Name of the pair's term: ``stage1``, or ``stage1-stage3_0`` if the layers' names differ."""
        names = (self.student,) if self.student == self.teacher else (self.student, self.teacher)
        return "-".join(names).replace(".", "_")


def is_block(layer: str) -> bool:
    """Return whether a layer belongs to a stage."""
    return layer.startswith("stage")


@overload
def blocks_of(network: Activations, layer: str) -> tuple[Tensor, ...]: ...
@overload
def blocks_of(network: Shapes, layer: str) -> tuple[torch.Size, ...]: ...
def blocks_of(network: Activations | Shapes, layer: str) -> tuple[Tensor | torch.Size, ...]:
    """Return the maps or vectors that a layer's name stands for: all blocks if it names a stage alone, else one.

    Raises:
        ValueError: If the network has no such layer.
    """
    if layer == "stem":
        return (network.stem,)
    if layer == "penultimate":
        return (network.penultimate,)
    stage, _, block = layer.removeprefix("stage").partition(".")
    chosen = network.stages[int(stage) - 1] if int(stage) <= len(network.stages) else ()
    if block:
        chosen = chosen[int(block) : int(block) + 1]
    if not chosen:
        counts = ", ".join(str(len(blocks)) for blocks in network.stages)
        raise InputError(f"has no {layer}; its stages have {counts} blocks")
    return chosen


class Representations:
    """Chooses the blocks, L2-normalises their maps over the batch if ``normalize``, and transforms them."""

    def __init__(self, pairing: Pairing, transform: Transform, given: BuildContext, *, normalize: bool) -> None:
        self.pairing: Pairing = pairing
        self.transform: Transform = transform
        self.normalize, self.seed = normalize, given.seed
        self.teacher = given.teacher
        self.windows = maps.pooling_window(given.student), maps.pooling_window(given.teacher)

    def shapes(self, pair: LayerPair, given: BuildContext) -> tuple[torch.Size, torch.Size]:
        """Return the shapes of the inputs of a pair's heads, without the batch dimension.

        Raises:
            InputError: If a network has no such layer, or ``pairing`` cannot choose among the teacher's blocks, or
                compare its maps.
        """
        sizes = []
        for side in ("student", "teacher"):
            try:
                blocks = blocks_of(getattr(given, side), getattr(pair, side))
                sizes.append(blocks[0 if side == "teacher" and self.pairing == "first" else -1])
            except NoRepresentation:
                raise
            except InputError as reason:
                raise InputError(f"objective.cktf.pairs: the {side} {reason}") from None
        of_blocks = list(dict.fromkeys(blocks_of(given.teacher, pair.teacher)))
        if self.pairing not in ("last", "first") and len(of_blocks) > 1:
            raise InputError(
                f"objective.cktf.pairing: {self.pairing!r} chooses among blocks of one shape, but those of the "
                f"teacher's {pair.teacher} are {', '.join(str(tuple(shape)) for shape in of_blocks)}; choose last or "
                "first, or blocks of one shape under teacher.stages"
            )
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
        unused = torch.empty(2, device="meta")
        batch = Batch(unused, unused, unused, step=0)
        of_student = self._of_student(pair, of_student, of_teacher.shape[1], batch)
        return of_student.shape[1:], self._head_input(of_teacher, self.windows[1], batch).shape[1:]

    def matched(self, pair: LayerPair) -> tuple[str, str]:
        """Return the names of the two layers that are compared; the stage if its block is chosen per batch."""
        is_first = self.pairing == "first" and re.fullmatch(r"stage\d+", pair.teacher)
        return pair.student, f"{pair.teacher}.0" if is_first else pair.teacher

    def reading(self, pair: LayerPair, given: BuildContext) -> Reading | None:
        """Return the teacher's tensor that a pair reads; None if it is a whole map, or a block chosen by similarity."""
        if pair.teacher == "penultimate":
            return reading_of("penultimate", given.teacher)
        by_similarity = self.pairing in BY_SIMILARITY and len(blocks_of(given.teacher, pair.teacher)) > 1
        if self.transform != "map" or by_similarity:
            return None
        return Reading(
            self._name(pair),
            self.shapes(pair, given)[1],
            of_batch=is_block(pair.teacher) and (self.normalize or self.pairing == "random"),
            compute=lambda teacher, batch: self._of_teacher(pair, None, teacher, batch),
        )

    def draws(self, pairs: Iterable[LayerPair], batch: Batch) -> dict[Any, Tensor]:
        """Return the position, (1,), int64, of the teacher's block for each pair whose block is drawn at random."""
        if self.pairing != "random":
            return {}
        several = [pair for pair in pairs if len(blocks_of(self.teacher, pair.teacher)) > 1]
        return {(self, pair.name): self._drawn(pair, batch) for pair in several}

    def __call__(
        self, pair: LayerPair, student: Activations, teacher: Activations, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Return the representations (batch, ...) of student and teacher, float32."""
        of_student = self._normalised(blocks_of(student, pair.student)[-1], pair.student, batch)
        of_teacher = teacher.readings.get(self._name(pair))
        if of_teacher is None:
            of_teacher = self._of_teacher(pair, of_student, teacher, batch)
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

    def _of_teacher(self, pair: LayerPair, of_student: Tensor | None, teacher: Activations, batch: Batch) -> Tensor:
        """Return the teacher's representation; if the layer is a whole stage, that of the block the pairing chooses.

        A block's position that is not known before the step stays on the device, so that no step waits for it.
        """
        blocks = blocks_of(teacher, pair.teacher)
        if len(blocks) > 1 and self.pairing in BY_SIMILARITY:
            assert of_student is not None, "a pairing of BY_SIMILARITY reads the student's map"
            normalised = torch.stack([self._normalised(block, pair.teacher, batch) for block in blocks])
            chosen = normalised.index_select(0, most_similar(self.pairing, of_student, normalised, batch))[0]
            return self._head_input(chosen, self.windows[1], batch)
        if len(blocks) > 1 and self.pairing == "random":
            position = batch.drawn.get((self, pair.name))
            innermost = torch.stack([block.permute(0, 2, 3, 1) for block in blocks])  # in the order of memory
            chosen = innermost.index_select(0, self._drawn(pair, batch) if position is None else position)[0]
            chosen = chosen.permute(0, 3, 1, 2)
        else:
            chosen = blocks[-1 if self.pairing == "last" else 0]
        return self._head_input(self._normalised(chosen, pair.teacher, batch), self.windows[1], batch)

    def _drawn(self, pair: LayerPair, batch: Batch) -> Tensor:
        generator = seeding.generator(self.seed, "pairing", pair.name, batch.step)
        return drawn_block(len(blocks_of(self.teacher, pair.teacher)), generator).to(batch.labels.device)

    def _normalised(self, values: Tensor, layer: str, batch: Batch) -> Tensor:
        values = values.float()
        return maps.normalise_over_batch(values, batch) if self.normalize and is_block(layer) else values

    def _of_student(self, pair: LayerPair, of_student: Tensor, num_channels: int, batch: Batch) -> Tensor:
        """Return the student's representation; a map is padded to as many channels as the teacher's."""
        if self.transform == "map" and is_block(pair.student) and is_block(pair.teacher):
            of_student = maps.pad_channels(of_student, num_channels)
        return self._head_input(of_student, self.windows[0], batch)

    def _head_input(self, values: Tensor, window: maps.Window, batch: Batch) -> Tensor:
        """Return a head's input: a layer's values transformed or, with transform ``map``, pooled if they are a map."""
        if self.transform != "map":
            return transformed(values, self.transform, batch)
        return maps.pool(values, window) if values.dim() == 4 else values


def drawn_block(num_blocks: int, generator: torch.Generator) -> Tensor:
    """Return the position of the teacher's block that the student is matched with in a `random` pairing, (1,)."""
    return torch.randint(num_blocks, (1,), generator=generator)


def most_similar(pairing: Pairing, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
    """Return the index of the teacher's block that is most or least similar to the student's map, (1,), int64.

    The student's map is (batch, channels, height, width), the teacher's (blocks, batch, channels, height, width).
    """
    similarities = torch.stack([map_similarity(student, block, batch) for block in teacher])
    return (similarities.argmax() if pairing == "largest" else similarities.argmin()).view(1)


@torch.no_grad()
def map_similarity(student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
    """Return the cosine similarity of two maps of the batch of all workers, the narrower one padded; a scalar."""
    student, teacher = maps.pad_channels(student, teacher.shape[1]), maps.pad_channels(teacher, student.shape[1])
    products = [(student * teacher).sum(), student.square().sum(), teacher.square().sum()]
    shared, of_student, of_teacher = sum_over_workers(torch.stack(products), batch)
    similarity: Tensor = shared / (of_student * of_teacher).sqrt().clamp(min=1e-8)
    return similarity


def transformed(representation: Tensor, transform: Transform, batch: Batch) -> Tensor:
    """Return a transformed map (batch, channels, height, width) or vector (batch, features).

    The argument itself is returned for ``map``, which needs both sides (see `Representations`), for ``hint``, and for
    a vector with ``attention``.
    """
    own = slice(batch.offset, batch.offset + len(representation))
    match transform:
        case "attention" if representation.dim() == 4:
            return maps.attention(representation, power=2)
        case "factor":
            return functional.normalize(representation.flatten(1), dim=1)
        case "similarity":
            return similarities(gather_with_gradient(representation, batch))[own]
        case "relation":
            return relative_distances(gather_with_gradient(representation.flatten(1), batch))[own]
        case _:
            return representation
