"""Activation boundaries."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import nn

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.ab import AB, BoundaryPhase, boundary_loss
from tests.objectives.drawn import drawn


def initial_phase(config: AB.Config, given: BuildContext) -> BoundaryPhase:
    initial = AB(config, given).initial
    assert isinstance(initial, BoundaryPhase)
    return initial


@pytest.mark.parametrize("margin", [0.3, 1.0])
def test_the_loss_equals_a_plain_loop(margin: float) -> None:
    student, teacher = drawn(0, 2, 3, 2, 4), drawn(1, 2, 3, 2, 4)
    total = 0.0
    for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True):
        if t > 0 and s < margin:
            total += (margin - s) ** 2
        if t <= 0 and s > -margin:
            total += (margin + s) ** 2
    assert float(boundary_loss(student, teacher, margin)) == pytest.approx(total / 2)


def test_the_loss_by_hand() -> None:
    # Active teacher: -1 costs 4, 0.5 costs 1/4, 2 nothing. Inactive one, 0 included: 1 costs 4, -3 nothing.
    student = torch.tensor([-1.0, 0.5, 2.0, 1.0, -3.0]).view(1, 5, 1, 1)
    teacher = torch.tensor([0.1, 7.0, 1.0, 0.0, -1.0]).view(1, 5, 1, 1)
    assert float(boundary_loss(student, teacher, 1.0)) == 8.25


def test_gradient() -> None:
    student = drawn(0, 2, 3, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: boundary_loss(value, drawn(1, 2, 3, 2, 2), 1.0), student)


def test_only_the_sign_of_the_teachers_preactivations_matters() -> None:
    student, teacher = drawn(0, 2, 3, 2, 2), drawn(1, 2, 3, 2, 2)
    assert torch.equal(boundary_loss(student, teacher.sign(), 1.0), boundary_loss(student, teacher, 1.0))
    assert boundary_loss(teacher.sign(), teacher, 1.0) == 0


def test_the_initial_phase_compares_preactivations_and_later_stages_count_more(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    initial = initial_phase(AB.Config(margin=0.5), given)
    terms = initial(student, teacher, batch)
    assert initial.term_weights == pytest.approx({"stage1": 0.00075, "stage2": 0.0015, "stage3": 0.003})
    for (name, value), ours, theirs in zip(terms.items(), student.preactivations, teacher.preactivations, strict=True):
        assert torch.equal(value, boundary_loss(initial.connectors[name](ours), theirs, 0.5))
    sum(terms.values()).backward()
    assert all(maps.grad is not None and maps.grad.abs().sum() > 0 for maps in student.preactivations)
    assert all(parameter.grad is not None for parameter in initial.parameters())


def test_maps_of_equal_shape_need_no_connector(given: BuildContext) -> None:
    initial = initial_phase(AB.Config(), replace(given, student=given.teacher))
    assert all(isinstance(connector, nn.Identity) for connector in initial.connectors.values())


def test_maps_behind_the_relu_are_compared_where_the_study_says_so(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    without = replace(given, student=replace(given.student, preactivations=()))
    initial = initial_phase(AB.Config(maps="activation"), without)
    assert not initial.reads_preactivations
    terms = initial(student, teacher, batch)
    for (name, value), ours, theirs in zip(terms.items(), student.stages, teacher.stages, strict=True):
        assert torch.equal(value, boundary_loss(initial.connectors[name](ours[-1]), theirs[-1], 1.0))


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_a_network_without_preactivations_is_refused(role: Literal["student", "teacher"], given: BuildContext) -> None:
    without = replace(getattr(given, role), preactivations=())
    with pytest.raises(ValueError, match=rf"objective\.ab: .*{role}\.model"):
        AB(AB.Config(), replace(given, **{role: without}))


def test_the_students_own_training_has_no_term(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    ab = AB(AB.Config(initial_epochs=3, initial_learning_rate=0.2), given)
    assert ab(student, teacher, batch) == ab.term_weights == {}
    assert ab.initial is not None
    assert (ab.initial.epochs, ab.initial.learning_rate, ab.initial.trains_student) == (3, 0.2, True)
