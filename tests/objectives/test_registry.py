"""The registry of objectives and the settings made of it."""

import pytest
from pydantic import ValidationError

from cktf.objectives import OBJECTIVES, ObjectivesConfig, active_objectives, needs_teacher


def test_settings_have_one_optional_field_for_every_objective() -> None:
    assert list(ObjectivesConfig.model_fields) == list(OBJECTIVES)
    assert active_objectives(ObjectivesConfig()) == {}


def test_settings_are_read_under_the_objectives_name_and_errors_say_where() -> None:
    config = ObjectivesConfig.model_validate({"kd": {"temperature": 2}, "cktf": None})
    assert list(active_objectives(config)) == ["kd"]
    with pytest.raises(ValidationError) as caught:
        ObjectivesConfig.model_validate({"cktf": {"temperature": -1}})
    assert caught.value.errors()[0]["loc"][:2] == ("cktf", "temperature")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValidationError,
        match="unknown objective 'ckft'; known: cross_entropy, kd, fitnet, at, sp, cc, vid, rkd, pkt, ab,",
    ):
        ObjectivesConfig.model_validate({"ckft": {}})


def test_an_objective_without_weight_has_no_part() -> None:
    values = {"kd": {"weight": 0}, "crd": {"weight": 0}, "cktf": {"beta": 0, "theta": 0}, "cross_entropy": {}}
    assert list(active_objectives(ObjectivesConfig.model_validate(values))) == ["cross_entropy"]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_settings_say_how_many_epochs_the_methods_own_phase_has(name: str) -> None:
    has_own = name in {"ab", "ft", "fsp"}
    config = OBJECTIVES[name].Config.model_validate({"initial_epochs": 7} if has_own else {})
    assert config.phase_epochs == (7 if has_own else 0)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if OBJECTIVES[name].ends_with_initial])
def test_a_weight_that_could_not_act_is_refused(name: str) -> None:
    method = OBJECTIVES[name]
    assert not method.Config(weight=0).active
    assert method.Config(weight=method.Config().weight).active
    with pytest.raises(ValidationError, match=r"weight: .* every weight above 0 trains the same; .*got 0\.5"):
        method.Config(weight=0.5)


def test_settings_can_be_hashed() -> None:
    first, second = (ObjectivesConfig.model_validate({"cktf": {"theta": 0.2}}) for _ in range(2))
    assert hash(first) == hash(second)


@pytest.mark.parametrize(
    ("values", "needed"),
    [
        ({"cross_entropy": {}}, False),
        ({"cross_entropy": {}, "kd": {"weight": 0}}, False),
        ({"cross_entropy": {}, "kd": {}}, True),
    ],
)
def test_a_teacher_is_needed_by_every_active_objective_but_cross_entropy(
    values: dict[str, object], needed: bool
) -> None:
    assert needs_teacher(ObjectivesConfig.model_validate(values)) == needed
