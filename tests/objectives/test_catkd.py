"""Class attention transfer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Layers
from cktf.objectives import BuildContext
from cktf.objectives.catkd import CATKD, attention_loss, class_activation_maps
from tests.objectives.drawn import drawn
from tests.objectives.golden import Case
from tests.objectives.modern import MODERN, assert_as_published, filled, maps_of


def slow_maps(features: Tensor, weight: Tensor, resolution: int) -> Tensor:
    """Return the maps class by class and position by position, and only then averaged."""
    batch, channels, side, _ = features.shape
    window = side // resolution
    found = torch.zeros(batch, len(weight), resolution, resolution, dtype=torch.float64)
    for sample in range(batch):
        for number, of_class in enumerate(weight):
            for row in range(side):
                for column in range(side):
                    value = sum(float(of_class[c] * features[sample, c, row, column]) for c in range(channels))
                    found[sample, number, row // window, column // window] += value / window**2
    return found


def slow_loss(student: Tensor, teacher: Tensor, *, normalize: bool) -> float:
    total = 0.0
    for ours, theirs in zip(student.flatten(0, 1), teacher.flatten(0, 1), strict=True):
        scales = [float(value.square().sum()) ** 0.5 if normalize else 1.0 for value in (ours, theirs)]
        for s, t in zip(ours.flatten().tolist(), theirs.flatten().tolist(), strict=True):
            total += (s / scales[0] - t / scales[1]) ** 2
    return total / student.numel()


@pytest.mark.parametrize("resolution", [1, 2, 4])
def test_maps_equal_a_plain_loop(resolution: int) -> None:
    features, weight = drawn(0, 2, 3, 4, 4), drawn(1, 5, 3)
    found = class_activation_maps(features, weight, resolution)
    torch.testing.assert_close(found, slow_maps(features, weight, resolution))


def test_their_mean_is_the_logit_without_bias() -> None:
    features, weight = drawn(0, 2, 3, 4, 4), drawn(1, 5, 3)
    logits = features.mean((2, 3)) @ weight.T
    torch.testing.assert_close(class_activation_maps(features, weight, 2).mean((2, 3)), logits)


@pytest.mark.parametrize("normalize", [False, True])
def test_the_loss_equals_a_plain_loop_and_has_its_gradient(normalize: bool) -> None:
    student, teacher = drawn(0, 2, 5, 2, 2), drawn(1, 2, 5, 2, 2)
    expected = slow_loss(student, teacher, normalize=normalize)
    assert float(attention_loss(student, teacher, normalize=normalize)) == pytest.approx(expected)
    assert torch.autograd.gradcheck(
        lambda value: attention_loss(value, teacher, normalize=normalize), student.requires_grad_()
    )


def test_the_loss_by_hand_and_that_of_normalised_maps_ignores_their_size() -> None:
    student, teacher = torch.tensor([[[[3.0, 4.0]]]]), torch.tensor([[[[0.0, 2.0]]]])
    assert float(attention_loss(student, teacher, normalize=False)) == (9 + 4) / 2
    assert float(attention_loss(student, teacher, normalize=True)) == pytest.approx((0.6**2 + 0.2**2) / 2)
    assert float(attention_loss(7 * student, teacher, normalize=True)) == pytest.approx(0.2)


def test_the_students_classifier_learns_and_is_no_part_of_the_objective(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    classifier = nn.Linear(8, 5)
    catkd = CATKD(CATKD.Config(), replace(given, student_layers=Layers(classifier)))
    catkd(student, teacher, batch)["maps"].backward()
    assert classifier.weight.grad is not None
    assert student.preactivations[-1].grad is not None
    assert [*catkd.parameters()] == [*catkd.state_dict()] == []


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_what_is_not_known_of_a_network_is_told(role: str, given: BuildContext) -> None:
    layers: dict[str, Any] = {f"{role}_layers": Layers()}
    with pytest.raises(ValueError, match=rf"objective\.catkd: the classifier's .*{role}\.model"):
        CATKD(CATKD.Config(), replace(given, **layers))
    shapes = {role: replace(getattr(given, role), preactivations=())}
    with pytest.raises(ValueError, match=rf"objective\.catkd: the map .*{role}\.model"):
        CATKD(CATKD.Config(), replace(given, **shapes))


@pytest.mark.parametrize("path", MODERN.get("catkd", []), ids=lambda path: path.stem)
def test_the_published_code_gives_the_same(path: Path, batch: Batch) -> None:
    case = Case(path)
    (ours,), (theirs,) = maps_of(case)
    sides, layers = [], []
    for role, features in (("student", ours), ("teacher", theirs)):
        weight = filled(case.meta["parameters"][f"{role}.conv_test.weight"]).flatten(1)
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            layer.weight.copy_(weight)
        vector = features.mean((2, 3))
        sides.append(Activations(layer(vector), vector, features, ((features,),), (), pooled=features))
        layers.append(Layers(layer))
        found = class_activation_maps(features, layer.weight, features.shape[2])
        assert_as_published(found, case[f"cam_{role[0]}"])
    of_student, of_teacher = (side.shapes(batch.images) for side in sides)
    catkd = CATKD(
        CATKD.Config(resolution=case.meta["resolution"], normalize=case.meta["normalize"]),
        BuildContext(of_student, of_teacher, torch.arange(2), 0, *layers),
    )
    loss = catkd(*sides, batch)["maps"]
    classifier = layers[0].classifier
    assert classifier is not None
    gradients = torch.autograd.grad(loss, [ours, classifier.weight])
    expected = case["loss"], case["grad_s0"], case["grad_student.conv_test.weight"]
    for found, wanted in zip((loss, *gradients), expected, strict=True):
        assert_as_published(found, wanted)
