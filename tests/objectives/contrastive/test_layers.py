"""Layers by name."""

import pytest

from cktf.batch import Activations, Batch
from cktf.objectives.contrastive.representations import LayerPair, blocks_of


def test_stages_are_counted_from_one_and_blocks_from_zero(teacher: Activations) -> None:
    assert blocks_of(teacher, "stem")[0] is teacher.stem
    assert blocks_of(teacher, "penultimate")[0] is teacher.penultimate
    assert blocks_of(teacher, "stage3") is teacher.stages[2]
    assert blocks_of(teacher, "stage3.0")[0] is teacher.stages[2][0]
    assert blocks_of(teacher, "stage1.1")[0] is teacher.stages[0][1]


def test_shapes_have_the_layers_that_activations_have(teacher: Activations, batch: Batch) -> None:
    shapes = teacher.shapes(batch.images)
    for layer in ("stem", "penultimate", "stage2", "stage2.1"):
        assert [value.shape[1:] for value in blocks_of(teacher, layer)] == list(blocks_of(shapes, layer))


@pytest.mark.parametrize("layer", ["stage4", "stage3.2"])
def test_a_layer_that_is_not_there_is_told_with_those_that_are(layer: str, teacher: Activations) -> None:
    with pytest.raises(ValueError, match=rf"has no {layer}; its stages have 2, 2, 2 blocks"):
        blocks_of(teacher, layer)


@pytest.mark.parametrize("name", ["stage0", "stage", "stage1.", "stage1.a", "stage1.0.0", "logits", "Stem", ""])
def test_a_name_that_is_no_layer_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be stem, penultimate, a stage such as stage3"):
        LayerPair(student=name, teacher="stem")


def test_a_pair_of_one_name_is_called_so_and_every_name_may_be_a_modules() -> None:
    assert LayerPair(student="stage1", teacher="stage1").name == "stage1"
    assert LayerPair(student="stage1", teacher="stage3.0").name == "stage1-stage3_0"
