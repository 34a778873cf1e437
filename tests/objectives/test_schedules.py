"""Numbers that change in training: schedules over the epochs, and learned ones."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext, ObjectivesConfig, WeightedSum
from cktf.objectives.kd import KD
from cktf.objectives.schedules import LearnedNumber, LearnedValue, Ramp, bounds, value_of

UP = {"from": 0, "to": 1, "over": [0.25, 0.75]}


def ramp(**values: Any) -> Ramp[float]:
    return Ramp[float].model_validate({"from": 0.0, "to": 1.0, "over": (0.0, 1.0)} | values)


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ((0.0, 1.0), [2, 1.5, 1, 0.5, 0]),
        ((0.25, 0.75), [2, 2, 1, 0, 0]),
        ((0.0, 0.5), [2, 1, 0, 0, 0]),
        ((0.6, 0.6), [2, 2, 2, 0, 0]),
        ((0.0, 0.0), [0, 0, 0, 0, 0]),
    ],
)
def test_a_ramp_is_linear_within_its_shares_and_constant_outside(
    over: tuple[float, float], expected: list[float]
) -> None:
    down = ramp(**{"from": 2, "to": 0, "over": over})
    assert [down.at(epoch, 5) for epoch in range(1, 6)] == expected


def test_a_phase_of_one_epoch_has_the_first_number() -> None:
    assert ramp().at(1, 1) == 0


def test_a_ramp_is_written_as_it_is_read() -> None:
    assert ramp(**UP).model_dump(mode="json") == UP
    assert ramp(**ramp(**UP).model_dump()) == ramp(**UP)


def test_bounds_are_those_of_training() -> None:
    learned = LearnedNumber[float](learn=True, start=2, min=1, max=4)
    assert [bounds(number) for number in (3.0, ramp(**{"from": 5}), learned)] == [(3, 3), (1, 5), (1, 4)]


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ({"from": -1, "to": 1, "over": [0, 1]}, "greater than or equal to 0"),
        ({"from": 0, "to": 1, "over": [0.5, 0.2]}, "the smaller one first"),
        ({"from": 0, "to": 1, "over": [0, 2]}, "less than or equal to 1"),
        ({"learn": True, "start": 1, "min": 1, "max": 2}, "Extra inputs"),
    ],
)
def test_wrong_schedules_are_refused(weight: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ObjectivesConfig.model_validate({"kd": {"weight": weight}})


def test_what_ends_with_its_initial_phase_has_no_schedule() -> None:
    with pytest.raises(ValidationError, match="every weight above 0 trains the same"):
        ObjectivesConfig.model_validate({"ab": {"weight": UP}})


def test_weights_and_factors_of_terms_follow_the_epoch(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    settings = {"kd": {"weight": UP}, "dkd": {"weight": 2, "alpha": UP | {"to": 3}, "temperature": 2}}
    objective = WeightedSum(ObjectivesConfig.model_validate(settings), given)
    assert not objective.state_dict()
    for epoch, share in ((1, 0.0), (3, 0.5), (5, 1.0)):
        objective.begin_epoch(epoch, 5)
        total, terms = objective(student, teacher, batch)
        expected = share * terms["kd.logits"] + 2 * (3 * share * terms["dkd.target"] + 8 * terms["dkd.others"])
        torch.testing.assert_close(total, expected)


def test_an_objective_whose_weight_is_never_above_0_is_not_built(given: BuildContext) -> None:
    settings = {"kd": {"weight": UP | {"to": 0}}, "rkd": {"angle": UP}}
    assert list(WeightedSum(ObjectivesConfig.model_validate(settings), given).objectives) == ["rkd"]


@pytest.mark.parametrize("method", ["kd", "dkd", "dist", "crd", "cktf"])
def test_a_scheduled_temperature_is_that_number_in_its_epoch(
    method: str, student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    contrast = {"estimator": "infonce", "negatives": 8, "dim": 4} if method in ("crd", "cktf") else {}
    losses = []
    for temperature in ({"from": 0.5, "to": 2, "over": [0, 1]}, 2.0):
        chosen = {method: contrast | {"temperature": temperature}}
        objective = WeightedSum(ObjectivesConfig.model_validate(chosen), given)
        objective.begin_epoch(3, 3)
        losses.append(objective(student, teacher, batch)[0])
    torch.testing.assert_close(losses[0], losses[1])


def slow_divergence(student: Tensor, teacher: Tensor, log_scale: Tensor) -> Tensor:
    """Return Hinton's loss at T = 1 / exp(log_scale), class by class, float64."""
    temperature = 1 / log_scale.exp()
    total = log_scale.new_zeros(())
    for of_student, of_teacher in zip(student, teacher, strict=True):
        q, p = (
            (logits / temperature).exp() / (logits / temperature).exp().sum() for logits in (of_student, of_teacher)
        )
        total = total + (p * (p / q).log()).sum()
    return temperature**2 * total / len(student)


def test_a_learned_temperature_has_the_gradient_of_the_formula(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    settings = {"temperature": {"learn": True, "start": 3, "min": 1, "max": 20}}
    kd = KD(KD.Config.model_validate(settings), given)
    (loss,) = kd(student, teacher, batch).values()
    log_scale = torch.tensor(-math.log(3), dtype=torch.float64, requires_grad=True)
    slow = slow_divergence(student.logits.double(), teacher.logits.double(), log_scale)
    torch.testing.assert_close(loss.double(), slow, rtol=1e-5, atol=0)
    (parameter,) = kd.parameters()
    found, expected = (
        torch.autograd.grad(value, learned, retain_graph=True)[0]
        for value, learned in ((loss, parameter), (slow, log_scale))
    )
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


def test_a_learned_number_is_moved_back_within_its_bounds_before_a_step_alone() -> None:
    value = value_of(LearnedNumber[float](learn=True, start=0.5, min=0.1, max=1))
    assert isinstance(value, LearnedValue)
    assert math.isclose(float(value().detach()), 0.5, rel_tol=1e-6)
    with torch.no_grad():
        value.log_scale.fill_(9)
        assert math.isclose(float(value()), 0.1, rel_tol=1e-6)
        assert value.log_scale.item() == 9
    tau = value()
    assert math.isclose(value.log_scale.item(), math.log(10), rel_tol=1e-6)
    tau.backward()
    assert value.log_scale.grad is not None
    assert math.isclose(float(value.log_scale.grad), -0.1, rel_tol=1e-6)


def test_learned_numbers_are_reported_and_stored(given: BuildContext) -> None:
    def learned(start: float) -> dict[str, Any]:
        return {"learn": True, "start": start, "min": 0.02, "max": 10}

    pairs = [
        {"student": "stem", "teacher": "stem"},
        {"student": "penultimate", "teacher": "penultimate", "temperature": learned(0.5)},
    ]
    contrast = {"estimator": "infonce", "negatives": 8, "dim": 4, "temperature": learned(0.2)}
    settings = {"kd": {"temperature": learned(2)}, "crd": contrast, "cktf": contrast | {"pairs": pairs}}
    objective, other = (WeightedSum(ObjectivesConfig.model_validate(settings), given) for _ in range(2))
    assert objective.learned() == pytest.approx(
        {
            "learned.kd.temperature": 2,
            "learned.crd.temperature": 0.2,
            "learned.cktf.temperature": 0.2,
            "learned.cktf.pairs.penultimate.temperature": 0.5,
        }
    )
    with torch.no_grad():
        objective.get_parameter("objectives.cktf.temperature.log_scale").fill_(0)
    other.load_state_dict(objective.state_dict())
    assert other.learned() == objective.learned()
    assert other.learned()["learned.cktf.temperature"] == 1
    assert sum(parameter.dim() == 0 for parameter in objective.main_parameters()) == 4
