"""Relational knowledge distillation."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext, ObjectivesConfig, active_objectives
from cktf.objectives.rkd import RKD, angle_loss, angles, distance_loss, relative_distances
from tests.objectives.drawn import drawn


def huber(gap: float) -> float:
    return gap**2 / 2 if abs(gap) < 1 else abs(gap) - 0.5


def slow_relative_distances(samples: list[list[float]]) -> list[float]:
    distances = [math.dist(one, other) for one in samples for other in samples]
    positive = [distance for distance in distances if distance > 0]
    return [distance * len(positive) / sum(positive) for distance in distances]


def slow_angles(samples: list[list[float]]) -> list[float]:
    found = []
    for vertex in samples:
        for one in samples:
            for other in samples:
                lengths = math.dist(vertex, one) * math.dist(vertex, other)
                product = sum((a - v) * (b - v) for a, b, v in zip(one, other, vertex, strict=True))
                found.append(product / lengths if lengths else 0.0)
    return found


def test_both_losses_equal_plain_loops() -> None:
    student, teacher = 5 * drawn(0, 5, 3), drawn(1, 5, 4)
    for loss, relation in ((distance_loss, slow_relative_distances), (angle_loss, slow_angles)):
        ours, theirs = relation(student.tolist()), relation(teacher.tolist())
        terms = [huber(a - b) for a, b in zip(ours, theirs, strict=True)]
        assert float(loss(student, teacher)) == pytest.approx(sum(terms) / len(terms))


def test_relations_of_a_right_triangle_by_hand() -> None:
    # Sides 3, 4, 5, on average 4; at the first sample a right angle, at the second one of cosine 3/5.
    triangle = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    expected = torch.tensor([[0, 0.75, 1], [0.75, 0, 1.25], [1, 1.25, 0]])
    torch.testing.assert_close(relative_distances(triangle), expected)
    cosines = angles(triangle)
    assert cosines[0, 1, 2] == 0
    assert float(cosines[1, 0, 2]) == pytest.approx(0.6)
    assert float(cosines[2, 0, 1]) == pytest.approx(0.8)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    student = drawn(0, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: loss(value, drawn(1, 4, 2)), student)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_rotation_shift_and_scale_of_the_embeddings_do_not_matter(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    student, teacher = drawn(0, 5, 3), drawn(1, 5, 4)
    rotation, _ = torch.linalg.qr(drawn(2, 3, 3))
    moved = 3 * student @ rotation + drawn(3, 3)
    torch.testing.assert_close(loss(moved, teacher), loss(student, teacher))
    assert float(loss(moved, student)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_equal_samples_have_a_finite_gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    twins = drawn(0, 4, 3).float()
    twins[1] = twins[0]
    for student in (twins, torch.ones(4, 3)):
        student.requires_grad_()
        (gradient,) = torch.autograd.grad(loss(student, drawn(1, 4, 2).float()), student)
        assert gradient.abs().max() < 10


def test_distances_of_near_vectors_far_from_zero_are_exact() -> None:
    offsets = torch.tensor([[0.0], [1.0], [2.0]])
    torch.testing.assert_close(relative_distances(4096 + offsets), relative_distances(offsets))


def test_terms_and_their_factors(student: Activations, teacher: Activations, batch: Batch, given: BuildContext) -> None:
    rkd = RKD(RKD.Config(), given)
    assert rkd.term_weights == {"distance": 25.0, "angle": 50.0}
    terms = rkd(student, teacher, batch)
    ours, theirs = student.penultimate, teacher.penultimate
    assert torch.equal(terms["distance"], distance_loss(ours, theirs))
    assert torch.equal(terms["angle"], angle_loss(ours, theirs))


def test_a_relation_without_factor_is_not_computed(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    assert RKD(RKD.Config(angle=0), given)(student, teacher, batch).keys() == {"distance"}
    neither = ObjectivesConfig.model_validate({"rkd": {"distance": 0, "angle": 0}})
    assert active_objectives(neither) == {}
