import math

import pytest
import torch
from pydantic import ValidationError

from cktf.trainer.optimizer import OptimizerConfig, build_optimizer, learning_rate


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


def test_warm_up_rises_linearly_and_then_the_schedule_takes_over() -> None:
    config = OptimizerConfig(learning_rate=0.3, schedule="constant", warmup_epochs=2)
    assert [learning_rate(config, epoch, 5) for epoch in range(1, 6)] == pytest.approx([0.1, 0.2, 0.3, 0.3, 0.3])


def test_one_step_of_the_optimiser_is_the_momentum_rule_with_weight_decay() -> None:
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = build_optimizer(OptimizerConfig(learning_rate=0.1, momentum=0.9, weight_decay=0.5), [weight])
    velocity, expected = 0.0, 2.0
    for gradient in (3.0, -1.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        velocity = 0.9 * velocity + gradient + 0.5 * expected
        expected -= 0.1 * velocity
    assert weight.item() == pytest.approx(expected)


@pytest.mark.parametrize(("key", "value"), [("learning_rate", 0), ("momentum", 1), ("schedule", "linear"), ("lr", 0.1)])
def test_settings_out_of_range_or_unknown_are_refused(key: str, value: str | float) -> None:
    with pytest.raises(ValidationError, match=key):
        OptimizerConfig.model_validate({key: value})


def test_milestones_written_as_epochs_are_refused_with_the_fraction_to_write() -> None:
    with pytest.raises(ValidationError, match=r"fractions of all epochs.*150 of 240 epochs is 0\.625"):
        OptimizerConfig(milestones=(150, 180, 210))


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValidationError, match="momentum, which is 0"):
        OptimizerConfig(nesterov=True, momentum=0)
