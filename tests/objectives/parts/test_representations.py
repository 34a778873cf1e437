"""From activations to what heads are given; the published representations are tested with CKTF."""

from dataclasses import replace

import torch

from cktf.batch import Activations, Batch
from cktf.objectives import Setting
from cktf.objectives.parts.layers import LayerPair
from cktf.objectives.parts.representations import Representations

STAGE = LayerPair(student="stage1", teacher="stage1")


def test_random_blocks_are_addressed_by_seed_pair_and_step(
    student: Activations, teacher: Activations, batch: Batch, setting: Setting
) -> None:
    def blocks(seed: int, pair: LayerPair) -> list[int]:
        """Return which of two blocks is chosen in each of 40 steps."""
        chosen = Representations("random", "hint", replace(setting, seed=seed), normalize=False)
        stage = int(pair.teacher[-1]) - 1
        return [
            [
                block is chosen(pair, student, teacher, replace(batch, step=step))[1]
                for block in teacher.stages[stage]
            ].index(True)
            for step in range(40)
        ]

    first = blocks(0, STAGE)
    assert 10 < sum(first) < 30
    assert first == blocks(0, STAGE)
    assert first != blocks(1, STAGE)
    assert first != blocks(0, LayerPair(student="stage1", teacher="stage2"))


def test_a_named_block_is_taken_whatever_the_pairing(
    student: Activations, teacher: Activations, batch: Batch, setting: Setting
) -> None:
    pair = LayerPair(student="stage1.0", teacher="stage2.1")
    representations = Representations("first", "hint", setting, normalize=False)
    ours, theirs = representations(pair, student, teacher, batch)
    assert ours is student.stages[0][0]
    assert theirs is teacher.stages[1][1]


def test_shapes_are_those_of_the_representations(
    student: Activations, teacher: Activations, batch: Batch, setting: Setting
) -> None:
    for transform in ("map", "hint", "attention", "factor"):
        representations = Representations("last", transform, setting, normalize=True)
        for ours in ("stem", "stage2", "penultimate"):
            pair = LayerPair(student=ours, teacher="stage3")
            values = representations(pair, student, teacher, batch)
            assert representations.shapes(pair, setting) == tuple(value.shape[1:] for value in values)
            assert all(value.dtype == torch.float32 for value in values)
