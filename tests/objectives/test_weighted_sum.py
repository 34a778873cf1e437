"""The weighted sum."""

import torch

from cktf.batch import Activations, Batch
from cktf.objectives import Given, ObjectivesConfig, WeightedSum

OBJECTIVES: dict[str, object] = {
    "cross_entropy": {"weight": 0.5},
    "kd": {"weight": 2.0},
    "cktf": {"weight": 3.0, "beta": 0.7, "theta": 0.2, "negatives": 8, "dim": 4},
}


def build(values: dict[str, object], given: Given) -> WeightedSum:
    return WeightedSum(ObjectivesConfig.model_validate(values), given)


def test_total_is_the_sum_of_weighted_terms_and_terms_are_unweighted(
    student: Activations, teacher: Activations, batch: Batch, given: Given
) -> None:
    total, terms = build(OBJECTIVES, given)(student, teacher, batch)
    assert list(terms) == [
        "cross_entropy.logits",
        "kd.logits",
        "cktf.stem",
        "cktf.stage1",
        "cktf.stage2",
        "cktf.stage3",
        "cktf.penultimate",
    ]
    maps = sum(terms[f"cktf.{name}"] for name in ("stem", "stage1", "stage2", "stage3"))
    expected = (
        0.5 * terms["cross_entropy.logits"]
        + 2 * terms["kd.logits"]
        + 3 * (0.7 * terms["cktf.penultimate"] + 0.2 * maps)
    )
    torch.testing.assert_close(total, expected)
    assert total.requires_grad


def test_an_objective_without_weight_is_not_built(given: Given) -> None:
    built = build({**OBJECTIVES, "cktf": {"weight": 0}}, given)
    assert list(built.objectives) == ["cross_entropy", "kd"]
    assert not built.state_dict()


def test_adding_an_objective_does_not_shift_the_numbers_of_another(
    student: Activations, teacher: Activations, batch: Batch, given: Given
) -> None:
    _, alone = build({"cktf": OBJECTIVES["cktf"]}, given)(student, teacher, batch)
    _, together = build({**OBJECTIVES, "crd": {"negatives": 3, "dim": 4}}, given)(student, teacher, batch)
    assert all(torch.equal(value, together[name]) for name, value in alone.items())


def test_cross_entropy_alone_is_computed_without_a_teacher(
    student: Activations, batch: Batch, given: Given
) -> None:
    total, _ = build({"cross_entropy": {}}, given)(student, None, batch)
    assert total > 0
