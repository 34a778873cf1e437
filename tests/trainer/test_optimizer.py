import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from cktf.trainer.optimizer import OptimizerConfig, accumulated, build_optimizer, learning_rate


def test_the_paper_s_step_schedule_falls_after_epochs_150_180_and_210() -> None:
    config = OptimizerConfig(learning_rate=0.05)
    rates = [learning_rate(config, epoch, 240) for epoch in range(1, 241)]
    assert rates[:150] == [0.05] * 150
    assert rates[150:180] == pytest.approx([0.005] * 30)
    assert rates[180:210] == pytest.approx([0.0005] * 30)
    assert rates[210:] == pytest.approx([0.00005] * 30)


def test_cosine_begins_at_the_full_rate_and_falls_as_half_a_cosine() -> None:
    config = OptimizerConfig(learning_rate=0.4, schedule="cosine")
    rates = [learning_rate(config, epoch, 4) for epoch in range(1, 5)]
    assert rates == pytest.approx([0.4 * (1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)])


def test_linear_falls_on_a_line_to_nothing_after_the_last_epoch_and_after_the_warm_up() -> None:
    config = OptimizerConfig(learning_rate=0.4, schedule="linear")
    assert [learning_rate(config, epoch, 4) for epoch in range(1, 5)] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    warm = OptimizerConfig(learning_rate=0.4, schedule="linear", warmup_epochs=1)
    assert [learning_rate(warm, epoch, 5) for epoch in range(1, 6)] == pytest.approx([0.2, 0.4, 0.3, 0.2, 0.1])


def test_warm_up_rises_linearly_and_then_the_schedule_takes_over() -> None:
    config = OptimizerConfig(learning_rate=0.3, schedule="constant", warmup_epochs=2)
    assert [learning_rate(config, epoch, 5) for epoch in range(1, 6)] == pytest.approx([0.1, 0.2, 0.3, 0.3, 0.3])


@pytest.mark.parametrize("nesterov", [False, True])
def test_steps_are_the_momentum_rule_with_weight_decay_and_nesterov_looks_ahead_along_it(nesterov: bool) -> None:
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    config = OptimizerConfig(learning_rate=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.5)
    optimizer = build_optimizer(config, [weight])
    velocity, expected = 0.0, 2.0
    for gradient in (3.0, -1.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        penalised = gradient + 0.5 * expected
        velocity = 0.9 * velocity + penalised
        expected -= 0.1 * (penalised + 0.9 * velocity if nesterov else velocity)
    assert weight.item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("key", "value"), [("learning_rate", 0), ("momentum", 1), ("schedule", "polynomial"), ("lr", 0.1)]
)
def test_settings_out_of_range_or_unknown_are_refused(key: str, value: str | float) -> None:
    with pytest.raises(ValidationError, match=key):
        OptimizerConfig.model_validate({key: value})


def test_milestones_written_as_epochs_are_refused_with_the_fraction_to_write() -> None:
    with pytest.raises(ValidationError, match=r"fractions of all epochs.*150 of 240 epochs is 0\.625"):
        OptimizerConfig(milestones=(150, 180, 210))


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValidationError, match="momentum, which is 0"):
        OptimizerConfig(nesterov=True, momentum=0)


def test_adamw_is_adam_with_a_decay_that_no_gradient_sees() -> None:
    weight = torch.nn.Parameter(torch.tensor([[2.0]]))
    config = OptimizerConfig(name="adamw", learning_rate=0.1, betas=(0.8, 0.9), weight_decay=0.5)
    optimizer = build_optimizer(config, [weight])
    mean = square = 0.0
    expected = 2.0
    for step, gradient in enumerate((3.0, -1.0, 0.5), start=1):
        weight.grad = torch.tensor([[gradient]])
        optimizer.step()
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.9 * square + 0.1 * gradient**2
        expected -= 0.1 * 0.5 * expected
        expected -= 0.1 * (mean / (1 - 0.8**step)) / (math.sqrt(square / (1 - 0.9**step)) + 1e-8)
    assert weight.item() == pytest.approx(expected)


def test_norms_and_biases_do_not_decay_and_heads_have_a_rate_of_their_own_where_it_is_asked_for() -> None:
    student = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Linear(2, 2))
    head = torch.nn.Linear(2, 3)
    every = [*student.parameters(), *head.parameters()]
    config = OptimizerConfig(learning_rate=0.1, weight_decay=0.5, bias_decay=False, head_learning_rate=0.02)
    groups = build_optimizer(config, every, head.parameters()).param_groups
    found = {id(p): (g["weight_decay"], g.get("factor", 1.0)) for g in groups for p in g["params"]}
    for number, module in enumerate([*student, head]):
        factor = pytest.approx(0.2) if number == 3 else 1.0
        assert found[id(module.bias)] == (0.0, factor)
        assert found[id(module.weight)] == (0.0 if number == 1 else 0.5, factor)
    (group,) = build_optimizer(OptimizerConfig(), every, head.parameters()).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in every]


@pytest.mark.parametrize("accumulate", [1, 2, 3, 10])
def test_accumulated_gradients_are_those_of_one_large_batch(accumulate: int) -> None:
    inputs, targets = torch.randn(44, 3), torch.randn(44)
    weight = torch.nn.Parameter(torch.randn(3))
    found = []
    for number, rows in enumerate(torch.split(torch.arange(44), 10)):
        share, is_step = accumulated(number, 44, 10, accumulate)
        if number % accumulate == 0:
            weight.grad = None
        loss = (inputs[rows] @ weight - targets[rows]).square().mean()
        torch.autograd.backward(loss * share)
        if is_step:
            assert weight.grad is not None
            found.append(weight.grad.clone())
    expected = []
    for rows in torch.split(torch.arange(44), 10 * accumulate):
        (gradient,) = torch.autograd.grad((inputs[rows] @ weight - targets[rows]).square().mean(), weight)
        expected.append(gradient)
    torch.testing.assert_close(torch.stack(found), torch.stack(expected))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "adamw", "momentum": 0.5}, "momentum: only sgd has it; got 0.5 for adamw"),
        ({"name": "adamw", "nesterov": True}, "nesterov: only sgd has it"),
        ({"betas": (0.8, 0.9)}, "betas: only adamw has it"),
        ({"name": "adamw", "betas": (0.9, 1.0)}, "less than 1"),
        ({"accumulate": 0}, "accumulate"),
    ],
)
def test_settings_that_the_optimizer_does_not_have_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OptimizerConfig.model_validate(settings)
