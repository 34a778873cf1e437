"""The weighted sum."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.errors import InputError
from cktf.objectives import OBJECTIVES, BuildContext, Objective, ObjectivesConfig, ObjectiveSettings, WeightedSum
from cktf.objectives.kd import KD

SETTINGS: dict[str, object] = {
    "cross_entropy": {"weight": 0.5},
    "kd": {"weight": 2.0},
    "cktf": {"weight": 3.0, "beta": 0.7, "theta": 0.2, "negatives": 8, "dim": 4},
}


def build(values: dict[str, object], given: BuildContext) -> WeightedSum:
    return WeightedSum(ObjectivesConfig.model_validate(values), given)


def test_total_is_the_sum_of_weighted_terms_and_terms_are_unweighted(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    total, terms = build(SETTINGS, given)(student, teacher, batch)
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


def test_an_objective_without_weight_is_not_built(given: BuildContext) -> None:
    built = build({**SETTINGS, "cktf": {"weight": 0}}, given)
    assert list(built.objectives) == ["cross_entropy", "kd"]
    assert not built.state_dict()


def test_adding_an_objective_does_not_shift_the_numbers_of_another(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    _, alone = build({"cktf": SETTINGS["cktf"]}, given)(student, teacher, batch)
    _, together = build({**SETTINGS, "crd": {"negatives": 3, "dim": 4}}, given)(student, teacher, batch)
    assert all(torch.equal(value, together[name]) for name, value in alone.items())


def test_parts_of_any_method_are_initialised_by_the_seed_alone(
    given: BuildContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unseeded(KD):
        def __init__(self, config: KD.Config, context: BuildContext) -> None:
            super().__init__(config, context)
            self.head = torch.nn.Linear(3, 3)

    monkeypatch.setitem(OBJECTIVES, "unseeded", Unseeded)

    def head(context: BuildContext, **others: object) -> Tensor:
        torch.rand(1)  # the global stream is somewhere else each time
        settings = ObjectivesConfig()
        vars(settings).update(others, unseeded=KD.Config())
        before = torch.get_rng_state()
        method = WeightedSum(settings, context).objectives["unseeded"]
        assert torch.equal(torch.get_rng_state(), before)
        assert isinstance(method, Unseeded)
        return method.head.weight

    assert torch.equal(head(given), head(given))
    assert torch.equal(head(given), head(given, kd=KD.Config()))
    assert not torch.equal(head(given), head(replace(given, seed=given.seed + 1)))


def test_cross_entropy_alone_is_computed_without_a_teacher(
    student: Activations, batch: Batch, given: BuildContext
) -> None:
    total, _ = build({"cross_entropy": {}}, given)(student, None, batch)
    assert total > 0


def test_a_method_that_denies_its_teacher_and_reads_it_fails_where_it_reads(
    student: Activations, batch: Batch, given: BuildContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KD, "needs_teacher", False)
    with pytest.raises(AttributeError, match="logits"):
        build({"kd": {}}, given)(student, None, batch)


class MeanLogit(Objective):
    """A method with as few definitions as possible."""

    Config = ObjectiveSettings
    needs_teacher = False
    term_weights = {"mean": 1.0}  # noqa: RUF012  # ClassVar would not be what `Objective` says

    def forward(self, student: Activations, teacher: Activations, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002
        return {"mean": student.logits.mean()}


def test_four_members_make_an_objective(
    student: Activations, batch: Batch, given: BuildContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OBJECTIVES, "cross_entropy", MeanLogit)
    built = build({"cross_entropy": {"weight": 2.0}}, given)
    total, terms = built(student, None, batch)
    assert torch.equal(total, 2 * student.logits.mean())
    assert list(terms) == ["cross_entropy.mean"]
    assert (built.readings, built.matched, built.initial_phases) == (None, (), {})
    assert built.health(student, None, batch) == {}


@pytest.mark.parametrize("terms", [{"mean": torch.ones(6)}, {"means": torch.ones(())}, {"mean": 1.0}])
def test_a_term_that_is_no_scalar_or_has_no_factor_is_told(
    terms: dict[str, Tensor],
    student: Activations,
    batch: Batch,
    given: BuildContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OBJECTIVES, "cross_entropy", MeanLogit)
    monkeypatch.setattr(MeanLogit, "forward", lambda *_: terms)
    with pytest.raises(
        InputError, match=r'objective\.cross_entropy: .* term_weights, \["mean"\]; got means?: (tensor|1\.0)'
    ):
        build({"cross_entropy": {}}, given)(student, None, batch)


def test_a_method_without_factors_is_told_of_its_terms(
    student: Activations, batch: Batch, given: BuildContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OBJECTIVES, "cross_entropy", MeanLogit)
    monkeypatch.delattr(MeanLogit, "term_weights")
    with pytest.raises(InputError, match=r"term_weights, \[\]; got mean: tensor"):
        build({"cross_entropy": {}}, given)(student, None, batch)
