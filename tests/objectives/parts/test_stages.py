"""The maps that are compared stage by stage."""

from dataclasses import replace

import pytest

from cktf.batch import Activations
from cktf.objectives import BuildContext
from cktf.objectives.parts.stages import last_maps, paired_maps, paired_stages


def test_a_stages_map_is_its_last_blocks(teacher: Activations) -> None:
    maps = last_maps(teacher)
    assert list(maps) == ["stem", "stage1", "stage2", "stage3"]
    assert maps["stem"] is teacher.stem
    assert all(maps[f"stage{k + 1}"] is teacher.stages[k][1] for k in range(3))


def test_shapes_are_paired_by_name(student: Activations, teacher: Activations, given: BuildContext) -> None:
    pairs = paired_maps(given, "objective.at.weight")
    ours, theirs = last_maps(student), last_maps(teacher)
    assert pairs == {name: (ours[name].shape[1:], theirs[name].shape[1:]) for name in ours}
    assert list(paired_stages(given, "objective.at.weight")) == ["stage1", "stage2", "stage3"]


def test_unequal_numbers_of_stages_are_refused(given: BuildContext) -> None:
    shorter = replace(given, teacher=replace(given.teacher, stages=given.teacher.stages[1:]))
    counts = "student has 3 and the teacher 2; choose networks with equally many"
    with pytest.raises(ValueError, match=rf"^objective\.at\.weight: .*{counts}, or weight: 0$"):
        paired_maps(shorter, "objective.at.weight")
    with pytest.raises(ValueError, match=rf"^objective\.cktf\.theta: .*{counts}, or theta: 0$"):
        paired_maps(shorter, "objective.cktf.theta", "theta: 0")
