"""From activations to the inputs of heads; the published representations are tested with CKTF."""

from dataclasses import replace

import pytest
import torch

from cktf.batch import Activations, Batch, Reading
from cktf.errors import InputError
from cktf.objectives import BuildContext
from cktf.objectives.contrastive.representations import LayerPair, Pairing, Representations, Transform

STAGE = LayerPair(student="stage1", teacher="stage1")


def test_random_blocks_are_addressed_by_seed_pair_and_step(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    def blocks(seed: int, pair: LayerPair) -> list[int]:
        """Return which of two blocks is chosen in each of 40 steps, whether in the step or before it."""
        chosen = Representations("random", "hint", replace(given, seed=seed), normalize=False)
        found = []
        for step in range(40):
            numbered = replace(batch, step=step)
            block = chosen(pair, student, teacher, numbered)[1]
            found.append([torch.equal(block, each) for each in teacher.stages[int(pair.teacher[-1]) - 1]].index(True))
            drawn = chosen.draws([pair], numbered)
            assert torch.equal(block, chosen(pair, student, teacher, replace(batch, step=-1, drawn=drawn))[1])
        return found

    first = blocks(0, STAGE)
    assert 10 < sum(first) < 30
    assert first == blocks(0, STAGE)
    assert first != blocks(1, STAGE)
    assert first != blocks(0, LayerPair(student="stage1", teacher="stage2"))


def test_a_named_block_is_taken_whatever_the_pairing(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    pair = LayerPair(student="stage1.0", teacher="stage2.1")
    representations = Representations("first", "hint", given, normalize=False)
    ours, theirs = representations(pair, student, teacher, batch)
    assert ours is student.stages[0][0]
    assert theirs is teacher.stages[1][1]


def test_shapes_are_those_of_the_representations(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    for transform in ("map", "hint", "attention", "factor"):
        representations = Representations("last", transform, given, normalize=True)
        for ours in ("stem", "stage2", "penultimate"):
            pair = LayerPair(student=ours, teacher="stage3")
            values = representations(pair, student, teacher, batch)
            assert representations.shapes(pair, given) == tuple(value.shape[1:] for value in values)
            assert all(value.dtype == torch.float32 for value in values)


def test_a_stage_whose_blocks_differ_in_shape_is_compared_by_its_first_or_last_one(given: BuildContext) -> None:
    (first, *others), *stages = given.teacher.stages
    halved = torch.Size([2 * first[0], first[1] // 2, first[2] // 2])
    uneven = replace(given, teacher=replace(given.teacher, stages=((first, *others, halved), *stages)))
    for pairing in ("random", "largest", "smallest"):
        with pytest.raises(
            InputError, match=rf"'{pairing}' chooses among blocks of one shape, .*stage1 are .*; choose"
        ):
            Representations(pairing, "map", uneven, normalize=True).shapes(STAGE, uneven)
    assert Representations("last", "hint", uneven, normalize=True).shapes(STAGE, uneven)[1] == halved
    assert Representations("first", "hint", uneven, normalize=True).shapes(STAGE, uneven)[1] == first
    named = LayerPair(student="stage1", teacher="stage1.0")
    assert Representations("first", "hint", uneven, normalize=True).shapes(named, uneven)[1] == first


def test_a_reading_is_what_is_compared_of_the_teacher(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    for pairing in ("last", "first", "random"):
        for normalize in (True, False):
            representations = Representations(pairing, "map", given, normalize=normalize)
            for layer in ("stem", "stage2", "stage3.0", "penultimate"):
                pair = LayerPair(student="stage3", teacher=layer)
                reading = representations.reading(pair, given)
                assert reading is not None
                values = reading.compute(teacher, batch)
                left = Activations.of_readings({reading.name: values})
                for ours, theirs in zip(
                    representations(pair, student, left, batch),
                    representations(pair, student, teacher, batch),
                    strict=True,
                ):
                    assert torch.equal(ours, theirs)
                assert values.shape[1:] == reading.shape
                # A sample alone gives the row that it gives in a batch, unless the reading depends on the batch.
                alone = replace(batch, index=batch.index[:1])
                first = reading.compute(_first_sample(teacher), alone)
                assert reading.of_batch or torch.allclose(first, values[:1])
                assert not (normalize and layer.startswith("stage") and torch.allclose(first, values[:1]))


def _first_sample(network: Activations) -> Activations:
    return replace(
        network,
        penultimate=network.penultimate[:1],
        stem=network.stem[:1],
        stages=tuple(tuple(block[:1] for block in blocks) for blocks in network.stages),
    )


def test_readings_that_differ_in_anything_have_different_names(given: BuildContext) -> None:
    def name(pairing: Pairing, seed: int, normalize: bool, pair: LayerPair) -> str:
        representations = Representations(pairing, "map", replace(given, seed=seed), normalize=normalize)
        reading = representations.reading(pair, given)
        assert reading is not None
        return reading.name

    names = [
        name("last", 0, True, STAGE),
        name("first", 0, True, STAGE),
        name("last", 0, False, STAGE),
        name("last", 0, True, LayerPair(student="stage1", teacher="stage1.0")),
        name("last", 0, True, LayerPair(student="stage1", teacher="stage2")),
        name("random", 0, True, STAGE),
        name("random", 1, True, STAGE),
        name("random", 0, True, LayerPair(student="stage2", teacher="stage1")),
    ]
    assert len(set(names)) == len(names)


def test_whole_maps_and_blocks_that_the_student_chooses_have_no_reading(given: BuildContext) -> None:
    def reading(pairing: Pairing, transform: Transform, teacher: str = "stage1") -> Reading | None:
        pair = LayerPair(student="stage1", teacher=teacher)
        return Representations(pairing, transform, given, normalize=True).reading(pair, given)

    assert reading("last", "map")
    assert all(reading("last", other) is None for other in ("hint", "attention", "factor", "similarity", "relation"))
    assert reading("largest", "map") is None
    assert reading("largest", "map", teacher="stage1.1"), "a named block is chosen already"
    whole = reading("largest", "hint", teacher="penultimate")
    assert whole is not None
    assert whole.name == "penultimate"
