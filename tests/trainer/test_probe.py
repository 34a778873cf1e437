import math
from typing import Any

import pytest
import torch
from torch import nn

from cktf.batch import Batch
from cktf.models import build_model
from cktf.seeding import initialisation
from cktf.trainer.probe import Probe, ProbeConfig, classification_loss

IMAGES = torch.linspace(-1, 1, 4 * 8 * 8).view(4, 1, 8, 8)


def probe(mode: str = "linear", seed: int = 0) -> Probe:
    with initialisation(0, "student"):
        student = build_model("resnet8", 7, (1, 8, 8))
    return Probe(ProbeConfig(mode=mode), student, num_features=64, num_classes=3, seed=seed)


def test_the_probe_learns_mixed_images_from_both_labels() -> None:
    network = probe("full").eval()
    labels, others = torch.tensor([0, 1, 2, 0]), torch.tensor([2, 1, 0, 1])

    def loss(
        own: torch.Tensor, other_labels: torch.Tensor | None = None, own_share: torch.Tensor | None = None
    ) -> float:
        batch = Batch(IMAGES, own, torch.arange(4), step=0, other_labels=other_labels, own_share=own_share)
        return classification_loss(network(IMAGES), None, batch)[0].item()

    mixed = loss(labels, other_labels=others, own_share=torch.full((4,), 0.3))
    assert mixed == pytest.approx(0.3 * loss(labels) + 0.7 * loss(others))


def loss_of(network: nn.Module) -> Any:
    batch = Batch(IMAGES, torch.tensor([0, 1, 2, 0]), torch.arange(4), step=0)
    return classification_loss(network(IMAGES), None, batch)[0]


def test_the_logits_are_those_of_the_new_layer_and_all_else_is_the_student_s() -> None:
    network = probe().eval()
    own = network.student(IMAGES)
    activations = network(IMAGES)
    expected = own.penultimate @ network.classifier.weight.T + network.classifier.bias
    torch.testing.assert_close(activations.logits, expected)
    assert activations.logits.shape == (4, 3)
    assert torch.equal(activations.penultimate, own.penultimate)
    assert all(torch.equal(a[-1], b[-1]) for a, b in zip(activations.stages, own.stages, strict=True))


def test_a_linear_probe_leaves_the_student_and_its_running_statistics_as_they_are() -> None:
    network = probe("linear").train()
    before = {name: value.clone() for name, value in network.student.state_dict().items()}
    loss_of(network).backward()
    assert network.training
    assert not any(module.training for module in network.student.modules())
    assert all(parameter.grad is None for parameter in network.student.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.student.state_dict().items())
    assert [id(p) for p in network.trained.parameters()] == [id(p) for p in network.classifier.parameters()]


def test_the_gradient_of_a_linear_probe_is_that_of_logistic_regression() -> None:
    network = probe("linear").train()
    loss_of(network).backward()
    features = network.student(IMAGES).penultimate.detach()
    probabilities = (features @ network.classifier.weight.T + network.classifier.bias).softmax(1)
    error = probabilities - nn.functional.one_hot(torch.tensor([0, 1, 2, 0]), 3)
    torch.testing.assert_close(network.classifier.weight.grad, error.T @ features / 4)
    torch.testing.assert_close(network.classifier.bias.grad, error.mean(0))


def test_a_full_probe_trains_the_student_too_but_for_its_own_classifier() -> None:
    network = probe("full").train()
    loss_of(network).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    of_classifier = {id(p) for p in list(network.student.modules())[-1].parameters()}
    assert {id(p) for name, p in network.named_parameters() if name in without} == of_classifier
    assert set(map(id, network.trained.parameters())) == set(map(id, network.parameters()))
    assert all(module.training for module in network.modules())


def test_a_layer_of_zeros_has_the_loss_of_a_guess() -> None:
    network = probe()
    nn.init.zeros_(network.classifier.weight)
    nn.init.zeros_(network.classifier.bias)
    assert loss_of(network).item() == pytest.approx(math.log(3))


def test_the_new_layer_depends_on_the_seed_alone() -> None:
    one, same, other = probe(seed=1), probe(mode="full", seed=1), probe(seed=2)
    assert torch.equal(one.classifier.weight, same.classifier.weight)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)


def test_a_warm_up_longer_than_the_probe_is_refused() -> None:
    with pytest.raises(ValueError, match="warmup_epochs is 5; must be less than epochs, 5"):
        ProbeConfig(epochs=5, optimizer={"warmup_epochs": 5})
