"""Arms: what each design asks for, how arms are named, and which are the same."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cktf.study.designs import arm_for, plan_arms
from cktf.study.paths import value_at
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig

Make = Callable[..., StudySpec]


def setting(config: TrialConfig, path: str) -> Any:
    return value_at(config.model_dump(), path)


def names(spec: StudySpec) -> list[str]:
    return [arm.name for arm in plan_arms(spec)]


def test_one_at_a_time_varies_one_factor_around_the_baseline(make: Make) -> None:
    spec = make(ablate={"objective.cktf.temperature": [0.05, 0.5], "objective.cktf.pairing": ["first"]})
    baseline, cold, hot, first = plan_arms(spec)
    assert [baseline.name, cold.name, hot.name] == ["baseline", "temperature=0.05", "temperature=0.5"]
    assert baseline.params == {}
    assert baseline.config == spec.baseline_config
    assert first.params == {"objective.cktf.pairing": "first"}
    assert setting(first.config, "objective.cktf.pairing") == "first"
    assert setting(first.config, "objective.cktf.temperature") == 0.1
    assert hot.arm_id == hot.config.arm_id != cold.arm_id


def test_a_name_is_lengthened_until_no_other_factor_has_it(make: Make) -> None:
    spec = make(
        ablate={
            "objective.cktf.temperature": [0.5],
            "objective.kd.temperature": [2],
            "teacher.epochs": [4],
            "epochs": [1],
        }
    )
    assert names(spec) == ["baseline", "cktf.temperature=0.5", "kd.temperature=2", "teacher.epochs=4", "epochs=1"]


@pytest.mark.parametrize(
    ("path", "level", "name"),
    [
        ("objective.cktf.theta", 0, "theta=0"),
        ("objective.cktf.theta", 1e-4, "theta=0.0001"),
        ("objective.cktf.theta", 1 / 3, "theta=0.3333333333333333"),
        ("objective.cktf.negatives", 1234567, "negatives=1234567"),
        ("student", {"model": "resnet14"}, "student={model: resnet14}"),
        ("objective.kd.weight", {"from": 0, "to": 1, "over": [0, 0.1]}, "kd.weight={from: 0, to: 1, over: [0, 0.1]}"),
        ("optimizer.nesterov", True, "nesterov=true"),
        ("optimizer.clip_norm", 1, "clip_norm=1"),
        ("optimizer.milestones", [0.5, 0.75], "milestones=[0.5, 0.75]"),
    ],
)
def test_names_show_levels_as_people_write_them(make: Make, path: str, level: Any, name: str) -> None:
    assert names(make(ablate={path: [level]})) == ["baseline", name]


def test_the_parts_of_a_schedule_are_factors(make: Make, baseline: dict[str, Any]) -> None:
    baseline["objective"]["kd"] = {"weight": {"from": 0, "to": 1, "over": [0, 0.1]}}
    spec = make(ablate={"objective.kd.weight.to": [1.0, 2], "objective.kd.weight.over": [[0, 1]]})
    assert names(spec) == ["baseline", "kd.weight.to=2", "kd.weight.over=[0.0, 1.0]"]
    assert [arm.params for arm in plan_arms(spec)][1] == {"objective.kd.weight.to": 2}


def test_a_section_that_is_taken_away_is_named_null(make: Make) -> None:
    assert names(make(ablate={"objective.cktf": [None]})) == ["baseline", "cktf=null"]


def test_an_arm_that_equals_an_earlier_one_is_left_out(make: Make) -> None:
    spec = make(ablate={"objective.cktf.theta": [0.1, 0, 0.0], "objective.cktf.beta": [0.8, 0.5]})
    assert names(spec) == ["baseline", "theta=0", "beta=0.5"]
    assert len({arm.arm_id for arm in plan_arms(spec)}) == 3


def test_teachers_from_files_are_different_arms_by_their_content(
    make: Make, baseline: dict[str, Any], tmp_path: Path
) -> None:
    for name, content in (("a", "one"), ("copy of a", "one"), ("b", "two")):
        (tmp_path / name).write_text(content)
    baseline["teacher"] = {"model": "resnet8", "checkpoint": str(tmp_path / "a")}
    spec = make(ablate={"teacher.checkpoint": [str(tmp_path / "copy of a"), str(tmp_path / "b")]})
    assert names(spec) == ["baseline", f"checkpoint={tmp_path / 'b'}"]
    digests = [setting(arm.config, "teacher.sha256") for arm in plan_arms(spec)]
    assert digests == [hashlib.sha256(content).hexdigest() for content in (b"one", b"two")]


def test_levels_have_the_type_of_their_field(make: Make) -> None:
    arm = plan_arms(make(ablate={"objective.cktf.theta": [0]}))[1]
    assert type(arm.params["objective.cktf.theta"]) is float


def test_leaving_one_out_switches_one_component_off(make: Make, baseline: dict[str, Any]) -> None:
    baseline["objective"]["kd"] = {"weight": 1.0}
    spec = make(leave_one_out={"objective.kd.weight": 0, "objective.cktf.theta": 0, "objective.cktf": None})
    assert names(spec) == ["baseline", "kd.weight=0", "theta=0", "cktf=null"]
    without_kd = plan_arms(spec)[1].config
    assert setting(without_kd, "objective.kd.weight") == 0
    assert setting(without_kd, "objective.cktf.theta") == 0.1


def test_a_grid_has_every_combination_once(make: Make) -> None:
    spec = make(grid={"objective.cktf.theta": [0.1, 0.0], "objective.cktf.pairing": ["last", "first"]})
    assert names(spec) == [
        "baseline", "theta=0.1, pairing=first", "theta=0, pairing=last", "theta=0, pairing=first",
    ]  # fmt: skip


FRACTION: dict[str, list[Any]] = {
    "objective.cktf.theta": [0.1, 0.0],
    "objective.cktf.temperature": [0.1, 0.5],
    "epochs": [2, 1],
}


def test_the_baseline_is_a_run_of_a_fraction_whose_first_levels_are_its_own(make: Make) -> None:
    spec = make(fractional=FRACTION, resolution=3)
    assert names(spec) == [
        "baseline",
        "theta=0.1, temperature=0.5, epochs=1",
        "theta=0, temperature=0.1, epochs=1",
        "theta=0, temperature=0.5, epochs=2",
    ]
    arm = plan_arms(spec)[2]
    assert arm.params == {
        "objective.cktf.theta": 0.0, "objective.cktf.temperature": 0.1, "epochs": 1,
    }  # fmt: skip
    assert setting(arm.config, "objective.cktf.theta") == 0.0
    assert arm.config.epochs == 1


def test_a_baseline_of_other_levels_stands_beside_the_fraction(make: Make) -> None:
    spec = make(fractional=FRACTION | {"epochs": [3, 1]}, resolution=3)
    assert len(plan_arms(spec)) == 5
    assert names(spec)[1] == "theta=0.1, temperature=0.1, epochs=3"


def test_named_arms_are_partial_configurations_over_the_baseline(make: Make) -> None:
    spec = make(
        compare={
            "student alone": {"objective": {"cktf": None}},
            "cktf+kd": {"objective": {"kd": {"weight": 1.0}}, "epochs": 3},
        }
    )
    _, alone, both = plan_arms(spec)
    assert alone.name == "student alone"
    assert setting(alone.config, "objective.cktf") is None
    assert alone.params == {"objective.cktf": None}
    assert setting(both.config, "objective.cktf") == setting(spec.baseline_config, "objective.cktf")
    assert both.params == {"objective.kd.weight": 1.0, "epochs": 3}
    assert spec.factors == ("objective.cktf", "objective.kd.weight", "epochs")


def test_a_search_fixes_the_baseline_alone(make: Make) -> None:
    spec = make(search={"objective.cktf.theta": {"float": [0, 1]}})
    assert names(spec) == ["baseline"]


def test_an_arm_of_a_search_is_made_of_its_values(make: Make) -> None:
    spec = make(
        search={
            "objective.cktf.temperature": {"float": [0.02, 1], "log": True},
            "objective.cktf.negatives": {"int": [1, 10**6]},
        }
    )
    arm = arm_for(spec, {"objective.cktf.temperature": 0.123456789, "objective.cktf.negatives": 123456})
    assert arm.name == "temperature=0.1235, negatives=123456"
    assert arm.params["objective.cktf.temperature"] == 0.123456789
    assert setting(arm.config, "objective.cktf.temperature") == 0.123456789
    assert arm_for(spec, {"objective.cktf.temperature": 0.1}).name == "baseline"


def test_values_of_a_search_that_do_not_go_together_are_refused(make: Make, baseline: dict[str, Any]) -> None:
    baseline["objective"]["cross_entropy"]["weight"] = 1.0
    spec = make(
        search={"objective.cktf.weight": {"choice": [0, 1]}, "objective.cross_entropy.weight": {"choice": [0, 1]}}
    )
    with pytest.raises(ValidationError, match="at least one objective"):
        arm_for(spec, {"objective.cktf.weight": 0, "objective.cross_entropy.weight": 0})


CONTEXTS: dict[str, Any] = {
    "small": {"student": {"model": "resnet8"}, "objective": {"cktf": {"theta": 0.3, "beta": 0.4}}},
    "large": {"student": {"model": "resnet14"}},
}


@pytest.mark.parametrize(
    ("design", "arms"),
    [
        ({"ablate": {"objective.cktf.theta": [0.0], "epochs": [3]}}, ["theta=0", "epochs=3"]),
        ({"leave_one_out": {"objective.cktf.theta": 0}}, ["theta=0"]),
        ({"compare": {"alone": {"objective": {"cktf": {"theta": 0.0}}}}}, ["alone"]),
        ({"grid": {"objective.cktf.theta": [0.0], "epochs": [2, 3]}}, ["theta=0, epochs=2", "theta=0, epochs=3"]),
        (
            {
                "fractional": {"objective.cktf.beta": [0.8, 0.2], "batch_size": [64, 32], "epochs": [3, 4]},
                "resolution": 3,
            },
            [
                "beta=0.8, batch_size=64, epochs=3",
                "beta=0.8, batch_size=32, epochs=4",
                "beta=0.2, batch_size=64, epochs=4",
                "beta=0.2, batch_size=32, epochs=3",
            ],
        ),
    ],
)
def test_every_arm_runs_in_every_context_after_its_baseline(make: Make, design: Any, arms: list[str]) -> None:
    planned = plan_arms(make(contexts=CONTEXTS, **design))
    assert [(arm.context, arm.name) for arm in planned] == [
        (context, arm) for context in ("small", "large") for arm in ("baseline", *arms)
    ]
    assert len({arm.arm_id for arm in planned}) == len(planned)
    assert planned[1].label == f"small: {arms[0]}"
    assert [arm.params for arm in planned[: len(arms) + 1]] == [arm.params for arm in planned[len(arms) + 1 :]]


def test_an_arm_lies_over_its_context_and_that_over_the_baseline(make: Make) -> None:
    spec = make(contexts=CONTEXTS, ablate={"objective.cktf.theta": [0.0]})
    small, without, large, _ = plan_arms(spec)
    assert setting(small.config, "student.model") == setting(without.config, "student.model") == "resnet8"
    assert setting(large.config, "student.model") == "resnet14"
    theta = "objective.cktf.theta"
    assert [setting(arm.config, theta) for arm in (small, without, large)] == [0.3, 0.0, 0.1]
    beta = "objective.cktf.beta"
    assert [setting(arm.config, beta) for arm in (small, without, large)] == [0.4, 0.4, 0.8]
    assert spec.factors == (theta,)


def test_a_level_that_a_context_has_already_is_left_out_there_alone(make: Make) -> None:
    arms = plan_arms(make(contexts=CONTEXTS, ablate={"objective.cktf.theta": [0.3, 0.0]}))
    assert [arm.label for arm in arms] == [
        "small: baseline", "small: theta=0", "large: baseline", "large: theta=0.3", "large: theta=0",
    ]  # fmt: skip


def test_a_skipped_arm_runs_in_the_other_contexts(make: Make) -> None:
    compare = {"longer": {"epochs": 3}, "shorter": {"epochs": 1}}
    arms = plan_arms(make(contexts=CONTEXTS, compare=compare, skip={"small": ["longer"]}))
    assert [arm.label for arm in arms] == [
        "small: baseline", "small: shorter", "large: baseline", "large: longer", "large: shorter",
    ]  # fmt: skip


def test_levels_that_are_equal_numbers_are_one(make: Make, baseline: dict[str, Any]) -> None:
    baseline["objective"]["kd"] = {"weight": 1.0}
    spec = make(ablate={"objective.kd.weight": [0.0, -0.0, 0], "objective.kd.temperature": [2, 2.0, 4, 4.0]})
    assert names(spec) == ["baseline", "kd.weight=0", "temperature=2"]
    grid = make(grid={"objective.kd.weight": [-0.0, 1], "objective.kd.temperature": [2.0, 2]})
    assert names(grid) == ["baseline", "kd.weight=0, temperature=2", "kd.weight=1, temperature=2"]
