"""The maps that are compared stage by stage."""

from dataclasses import replace

import pytest
import torch

from cktf.batch import Activations
from cktf.objectives import BuildContext
from cktf.objectives.parts.stages import last_maps, matched_stages, paired_maps, paired_stages, partners


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


def test_a_student_with_fewer_stages_is_paired_from_the_end(
    student: Activations, teacher: Activations, given: BuildContext
) -> None:
    shorter = replace(given, student=replace(given.student, stages=given.student.stages[1:]))
    pairs = paired_stages(shorter, "objective.at.weight")
    assert pairs == {f"stage{k}": (given.student.stages[k][-1], given.teacher.stages[k][-1]) for k in (1, 2)}
    assert partners(shorter.student, given.teacher, "") == {"stage1": "stage2", "stage2": "stage3"}
    matched = dict(matched_stages(replace(student, stages=student.stages[1:]), teacher))
    assert all(torch.equal(matched[f"stage{k}"][1], teacher.stages[k][-1]) for k in (1, 2))
    with pytest.raises(ValueError, match="student has 2 and the teacher 3; choose networks with equally many"):
        paired_stages(shorter, "objective.ofd.weight", equal=True)


def test_more_stages_than_the_teachers_are_refused(given: BuildContext) -> None:
    shorter = replace(given, teacher=replace(given.teacher, stages=given.teacher.stages[1:]))
    counts = "student has 3 and the teacher 2; choose networks with equally many"
    with pytest.raises(ValueError, match=rf"^objective\.at\.weight: .*{counts}, or weight: 0$"):
        paired_maps(shorter, "objective.at.weight")
    with pytest.raises(ValueError, match=rf"^objective\.cktf\.theta: .*{counts}, or theta: 0$"):
        partners(shorter.student, shorter.teacher, "objective.cktf.theta", "theta: 0")
