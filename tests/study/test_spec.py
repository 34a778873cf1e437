"""What a study may ask for, and the message for each thing that it may not."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from pydantic import ValidationError

from cktf.epoch_result import EpochResult
from cktf.study.keys import METRICS
from cktf.study.sections import Reference
from cktf.study.spec import StudySpec

Make = Callable[..., StudySpec]
Refused = Callable[..., str]

ABLATE = {"objective.cktf.theta": [0.0]}
SEARCH = {"objective.cktf.theta": {"float": [0, 1]}}
FRACTION: dict[str, list[Any]] = {
    "objective.cktf.theta": [0.1, 0.0],
    "objective.cktf.temperature": [0.1, 0.5],
    "objective.cktf.pairing": ["last", "first"],
    "epochs": [2, 1],
}


def test_seeds_are_a_number_or_a_list(make: Make) -> None:
    assert make(ablate=ABLATE, seeds=3).seeds == (0, 1, 2)
    assert make(ablate=ABLATE, seeds=[7, 3]).seeds == (7, 3)


def test_a_design_has_five_seeds_and_a_search_one_unless_it_says_so(make: Make) -> None:
    assert make(ablate=ABLATE).seeds == (0, 1, 2, 3, 4)
    assert make(search=SEARCH).seeds == (0,)
    assert make(search=SEARCH, seeds=2).seeds == (0, 1)


def test_confirmation_takes_fresh_seeds(make: Make) -> None:
    spec = make(search=SEARCH, seeds=[0, 4], confirm={"top": 2, "seeds": 3})
    assert spec.confirm_seeds == (5, 6, 7)
    assert make(search=SEARCH).confirm_seeds == ()


def test_the_design_is_named_and_its_factors_listed(make: Make) -> None:
    spec = make(ablate=ABLATE)
    assert (spec.design, spec.factors, spec.log_factors) == ("one_at_a_time", ("objective.cktf.theta",), ())
    search = {
        "objective.kd.temperature": {"float": [1, 8], "when": {"objective.kd.weight": "> 0"}},
        "objective.kd.weight": {"float": [0, 1]},
        "objective.cktf.negatives": {"int": [1, 64], "log": True},
    }
    spec = make(search=search)
    assert spec.design == "search"
    assert spec.factors.index("objective.kd.weight") < spec.factors.index("objective.kd.temperature")
    assert spec.log_factors == ("objective.cktf.negatives",)


def test_a_fraction_has_resolution_four_unless_it_says_so(make: Make) -> None:
    spec = make(fractional=FRACTION)
    assert (spec.design, spec.resolution, spec.factors) == ("fractional", 4, tuple(FRACTION))
    assert spec.fraction is not None
    assert (spec.fraction.num_runs, spec.fraction.resolution) == (8, 4)
    assert make(ablate=ABLATE).fraction is None


def test_the_metric_has_a_direction_and_a_test_column(make: Make) -> None:
    spec = make(ablate=ABLATE)
    assert (spec.metric, spec.maximise, spec.report_metric) == ("validation_accuracy", True, "test_accuracy")
    spec = make(ablate=ABLATE, metric="validation_loss")
    assert (spec.maximise, spec.report_metric) == (False, "test_loss")


def test_metrics_are_the_validation_columns_of_an_epoch() -> None:
    columns = {field.name for field in fields(EpochResult)}
    assert set(METRICS) == {name for name in columns if name.startswith("validation_")}


def test_a_test_column_never_decides(refused: Refused) -> None:
    said = refused(ablate=ABLATE, metric="test_accuracy")
    assert "metric: must be one of validation_accuracy, validation_loss; got 'test_accuracy'. " in said
    assert said.endswith("the test split never chooses")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "a study has exactly one of ablate, compare, leave_one_out, grid, fractional, search; got none of them"),
        ({"race": {}}, "fractional, search; got none of them"),
        ({"ablate": ABLATE, "search": SEARCH}, "grid, fractional, search; got ablate and search"),
        ({"ablate": {}}, "ablate: must have 1 or more entries; got {}"),
        ({"ablate": {"epochs": []}}, "ablate.epochs: must have 1 or more entries; got []"),
        ({"ablate": {"epochs": 3}}, "ablate.epochs: must be a list; got 3"),
        ({"ablate": {"epochs": [0]}}, "ablate.epochs[0]: must be 1 or more; got 0"),
        ({"ablate": {"epochs": [1, "x"]}}, "ablate.epochs[1]: must be a whole number; got 'x'"),
        ({"ablate": {"epohs": [1]}}, "ablate.epohs: no such path. Did you mean 'epochs'?"),
        ({"ablate": {"temprature": [1]}}, "ablate.temprature: no such path"),
        ({"ablate": {"seed": [1]}}, "ablate.seed: the seed cannot be a factor; all arms share the study's 'seeds:'"),
        ({"ablate": {"objective.cktf.theta": [0.1]}}, "ablate: every arm equals the baseline"),
        ({"ablate": {"objective.cktf.pairing": ["lost"]}}, "ablate.objective.cktf.pairing[0]: must be one of "),
        ({"ablate": {"objective.cktf.pairing": ["lost"]}}, "got 'lost'. Did you mean 'last'?"),
        ({"ablate": {"teacher": [None]}}, "ablate.teacher[0]: makes an invalid trial: objective.cktf needs a teacher"),
        ({"ablate": {"student.model": ["resnet9"]}}, "ablate.student.model[0]: unknown model 'resnet9'"),
        ({"leave_one_out": {"epochs": 0}}, "leave_one_out.epochs: must be 1 or more; got 0"),
        ({"grid": {"epochs": [0, 1], "batch_size": [8, 16]}}, "grid.epochs: must be 1 or more; got 0"),
        (
            {"grid": {"objective.cktf": [None], "objective.cktf.theta": [0]}},
            "lies within another factor, 'objective.cktf'",
        ),
        ({"compare": {"a": {"epohs": 1}}}, "compare.a.epohs: no such path. Did you mean 'epochs'?"),
        ({"compare": {"a": {"epochs": 0}}}, "compare.a.epochs: must be 1 or more; got 0"),
        ({"compare": {"a": 3}}, "compare.a: must be a mapping of keys to values; got 3"),
        ({"compare": {"baseline": {"epochs": 1}}}, "compare.baseline: this name is taken by the study's baseline"),
        ({"compare": {"a": {"seed": 1}}}, "compare.a.seed: the seed cannot be a factor"),
        ({"compare": {"a": {"epochs": 1}, "b": {"epochs": 1}}}, "compare.b: equals arm 'a'"),
        ({"compare": {"a": {"epochs": 1}, "b": {"epochs": 2}}}, "compare.b: equals arm 'baseline'"),
        ({"compare": {"": {"epochs": 1}}}, "compare: an arm's name must be one line of text"),
        (
            {"compare": {"a\nb": {"epochs": 1}}},
            "an arm's name must be one line of text without spaces around it; got 'a\\nb'",
        ),
        (
            {"ablate": ABLATE, "sampler": "gp"},
            "sampler: only a study with 'search:' has this key; this one has 'ablate:'",
        ),
        (
            {"ablate": ABLATE, "resolution": 3},
            "resolution: only a study with 'fractional:' has this key; this one has 'ablate:'",
        ),
        ({"fractional": dict([*FRACTION.items()][:2])}, "fractional: must have 3 to 11 factors; got 2"),
        (
            {"fractional": FRACTION, "resolution": 5},
            "no fraction of 4 factors has resolution 5; 'grid:' has all 16 combinations, or ask for a lower",
        ),
        ({"fractional": FRACTION, "resolution": 2}, "resolution: must be 3 or more; got 2"),
        ({"fractional": FRACTION | {"epochs": [2]}}, "fractional.epochs: must have 2 or more entries; got [2]"),
        ({"fractional": FRACTION | {"epochs": [1, 2, 3]}}, "fractional.epochs: must have 2 or fewer entries"),
        ({"fractional": FRACTION | {"epochs": [2, 0]}}, "fractional.epochs: must be 1 or more; got 0"),
        (
            {"fractional": FRACTION | {"objective.cktf.theta": [0, 0.0]}},
            "fractional.objective.cktf.theta: must be two levels that differ; got [0, 0.0]",
        ),
        ({"fractional": FRACTION | {"epohs": [1, 2]}}, "fractional.epohs: no such path"),
        (
            {"fractional": FRACTION | {"objective.cktf": [None, {}]}},
            "fractional.objective.cktf.theta: lies within another factor, 'objective.cktf'",
        ),
        ({"ablate": ABLATE, "confirm": {"top": 1}}, "confirm: only a study with 'search:' has this key"),
        (
            {"search": SEARCH, "sampler": "tpee"},
            "must be one of tpe, gp, nsgaii, cmaes, qmc, random, bruteforce; got 'tpee'. Did you mean 'tpe'?",
        ),
        (
            {"search": SEARCH, "prune": "wilcoxon"},
            "prune: must be one of none, median, percentile, hyperband, successive_halving",
        ),
        ({"search": SEARCH, "sampler": "bruteforce"}, "search.objective.cktf.theta: needs a 'step' here"),
        ({"search": SEARCH, "trials": 0}, "trials: must be 1 or more; got 0"),
        (
            {"search": SEARCH, "trials": 2, "confirm": {"top": 3}},
            "confirm.top: must be 2 or less, the study's trials; got 3",
        ),
        ({"search": SEARCH, "confirm": {"best": 3}}, "confirm.best: unknown key. Known here: top, seeds"),
        (
            {"search": {"epochs": 3}},
            "search.epochs: must have float: [low, high], int: [low, high] or choice: [one, other]; got 3",
        ),
        ({"search": {"epochs": {"int": [1, 2], "float": [1, 2]}}}, "search.epochs: must have float: [low, high]"),
        (
            {"search": {"epochs": {"int": [5, 2]}}},
            "search.epochs: int: the first bound must be below the second, and with 'log: true' greater",
        ),
        ({"search": {"epochs": {"int": [5]}}}, "search.epochs.int"),
        ({"search": {"epochs": {"int": [0, 4]}}}, "search.epochs: must be 1 or more; got 0"),
        ({"search": {"epochs": {"int": [0, 4], "log": True}}}, "with 'log: true' greater than 0; got [0, 4]"),
        ({"search": {"epochs": {"int": [1, 4], "log": True, "step": 2}}}, "cannot go with 'log: true'; got 2"),
        (
            {"search": {"epochs": {"int": [1, 4], "step": 9}}},
            "step: must be 3 or less, the distance of the bounds, and cannot go with 'log: true'; got 9",
        ),
        (
            {"search": {"epochs": {"int": [1, 4], "lg": True}}},
            "search.epochs.lg: unknown key. Did you mean 'log'? Known here: when, ",
        ),
        (
            {"search": {"epochs": {"choice": [1, 1]}}},
            "search.epochs.choice: the values must differ from each other; got [1, 1]",
        ),
        ({"search": {"epochs": {"choice": [1, 0]}}}, "search.epochs: must be 1 or more; got 0"),
        ({"search": {"epochs": {"choice": [1]}}}, "search.epochs.choice: must have 2 or more entries; got [1]"),
        ({"search": {"epochs": {"int": [1, 4], "when": {"epoch": 1}}}}, "search.epochs.when.epoch: no such path"),
        (
            {"search": {"epochs": {"int": [1, 4], "when": {"batch_size": "> x"}}}},
            "'>' compares numbers, such as '> 0'; got '> x'",
        ),
        (
            {"search": {"epochs": {"int": [1, 4], "when": {"objective.kd.weight": "=> 0"}}}},
            "when.objective.kd.weight: must be a value, or one of >=, <=, ==, !=, >, < before a value; got '=> 0'",
        ),
        (
            {"search": {"epochs": {"int": [1, 4], "when": {"objective.cktf.pairing": "lsat"}}}},
            "search.epochs.when.objective.cktf.pairing: must be one of last, ",
        ),
        (
            {"search": {"epochs": {"int": [1, 4], "when": {"objective.cktf.pairing": "!= lsat"}}}},
            "got 'lsat'. Did you mean 'last'?",
        ),
        (
            {"search": {"epochs": {"int": [1, 4], "when": {"batch_size": 2.5}}}},
            "search.epochs.when.batch_size: must be a whole number; got 2.5",
        ),
        (
            {"search": {"epochs": {"int": [1, 4], "when": {"epochs": 1}}}},
            "search: the conditions under 'when' go in a circle: epochs -> epochs",
        ),
        ({"ablate": ABLATE, "seeds": 0}, "seeds: must be between 1 and 1000, or a list of seeds; got 0"),
        ({"ablate": ABLATE, "seeds": "x"}, "seeds: must be a whole number of seeds, or a list of them; got 'x'"),
        ({"ablate": ABLATE, "seeds": []}, "seeds: must have 1 or more entries; got []"),
        ({"ablate": ABLATE, "seeds": [0, -1]}, "seeds[1]: must be 0 or more; got -1"),
        ({"ablate": ABLATE, "seeds": [2**31]}, "seeds[0]: must be less than 2147483648; got 2147483648"),
        ({"ablate": ABLATE, "seeds": [2, 2]}, "seeds: the seeds must differ from each other; got [2, 2]"),
        ({"ablate": ABLATE, "metric": "validation_acc"}, "got 'validation_acc'. Did you mean 'validation_accuracy'?"),
        ({"ablate": ABLATE, "resources": {"gpu": 1}}, "resources.gpu: unknown key. Did you mean 'gpus'?"),
        (
            {"ablate": ABLATE, "resources": {"gpus": 1.5}},
            "resources.gpus: must be 0, or 1, one for each of 'workers:', or for one worker a fraction below 1",
        ),
        (
            {"ablate": ABLATE, "resources": {"gpus": 2, "workers": 1}},
            "resources.gpus: must be 0, or 1, one for each of 'workers:', or for one worker a fraction below 1",
        ),
        (
            {"ablate": ABLATE, "resources": {"gpus": 3, "workers": 2}},
            "resources.gpus: must be 0, or 2, one for each of 'workers:', or for one worker a fraction below 1; got 3",
        ),
        ({"ablate": ABLATE, "resources": {"gpus": 0.5, "workers": 2}}, "must be 0, or 2, one for each"),
        ({"ablate": ABLATE, "resources": {"gpus": 4, "workers": 2}}, "must be 0, or 2, one for each"),
        ({"ablate": ABLATE, "resources": {"cpus": 0}}, "resources.cpus: must be greater than 0; got 0"),
        ({"ablate": ABLATE, "resources": 3}, "resources: must be a mapping of keys to values; got 3"),
        ({"ablate": ABLATE, "keep": "bst"}, "keep: must be one of best, all, none; got 'bst'. Did you mean 'best'?"),
        ({"ablate": ABLATE, "delta": 0}, "delta: must be greater than 0; got 0"),
        ({"ablate": ABLATE, "delta": 101}, "delta: must be 100 or less; got 101"),
        ({"ablate": ABLATE, "delta": "half"}, "delta: must be a finite number; got 'half'"),
        ({"ablate": ABLATE, "max_failures": -1}, "max_failures: must be 0 or more; got -1"),
        ({"ablate": ABLATE, "name": "a/b"}, "name: "),
        ({"ablte": ABLATE}, "ablte: unknown key. Did you mean 'ablate'?"),
        (
            {"compare": {"a": {"objective.fitnet.weight": 100}}},
            "compare.a.objective.fitnet.weight: unknown key. Known here: task",
        ),
    ],
)
def test_what_is_wrong_is_named_with_key_value_and_what_is_allowed(
    refused: Refused, keys: dict[str, Any], message: str
) -> None:
    assert message in refused(**keys)


def test_a_seed_has_no_place_in_the_baseline(refused: Refused, baseline: dict[str, Any]) -> None:
    baseline["seed"] = 3
    assert "baseline.seed: cannot be set here; the study's 'seeds:' name the replicates" in refused(ablate=ABLATE)


def test_what_is_wrong_with_the_baseline_stands_at_its_key(refused: Refused, baseline: dict[str, Any]) -> None:
    baseline["objective"]["cktf"]["temprature"] = baseline["objective"]["cktf"].pop("temperature")
    baseline["epochs"] = "many"
    del baseline["student"]
    first, second, third = sorted(refused(ablate=ABLATE).splitlines(), key=lambda line: line.split(": ")[1])
    assert "baseline.epochs: must be a whole number; got 'many'" in first
    assert "baseline.objective.cktf.temprature: unknown key. Did you mean 'temperature'? Known here: " in second
    assert "baseline.student: is required, and missing" in third


def test_a_conditioned_factor_need_not_go_with_the_baseline(
    make: Make, refused: Refused, baseline: dict[str, Any]
) -> None:
    del baseline["teacher"], baseline["objective"]["cktf"]
    weight = {"float": [0.1, 1]}
    search = {"teacher.model": {"choice": ["resnet14", "resnet20"]}, "objective.kd.weight": weight}
    assert "makes an invalid trial: objective.kd needs a teacher" in refused(search=search)
    search["objective.kd.weight"] = weight | {"when": {"teacher.model": "!= null"}}
    assert make(search=search).factors == ("teacher.model", "objective.kd.weight")
    search["objective.kd.weight"] = {"float": [-1, 1], "when": {"teacher.model": "!= null"}}
    assert "search.objective.kd.weight: must be 0 or more; got -1" in refused(search=search)


@pytest.mark.parametrize(("gpus", "workers"), [(None, 3), (0, 1), (0.25, 1), (1, 1), (0, 2), (2, 2)])
def test_a_worker_has_a_gpu_or_shares_one_or_has_none(make: Make, gpus: float | None, workers: int) -> None:
    assert make(ablate=ABLATE, resources={"gpus": gpus, "workers": workers}).resources.gpus == gpus


def test_a_condition_may_ask_for_what_the_baseline_does_not_have(make: Make, baseline: dict[str, Any]) -> None:
    # No trial may have no objective at all, yet the condition is right where another one is drawn.
    del baseline["objective"]["cktf"]
    when = {"objective.cross_entropy.weight": 0, "objective.kd": "!= null", "student.model": "resnet8"}
    assert make(search={"epochs": {"int": [1, 4], "when": when}})


def test_a_conditioned_choice_may_be_asked_for_its_baseline_value(make: Make) -> None:
    pairing = {"choice": ["first", "smallest"], "when": {"objective.cktf.theta": "> 0"}}
    epochs = {"int": [1, 4], "when": {"objective.cktf.pairing": "last"}}
    assert make(search={"objective.cktf.pairing": pairing, "epochs": epochs})


def test_a_copy_derives_everything_anew(make: Make) -> None:
    spec = make(ablate=ABLATE)
    assert (spec.baseline_config.epochs, spec.factors) == (2, tuple(ABLATE))
    copied = spec.model_copy(update={"baseline": {**spec.baseline, "epochs": 99}, "ablate": {"epochs": [3]}})
    assert (copied.baseline_config.epochs, copied.factors) == (99, ("epochs",))
    assert (spec.baseline_config.epochs, spec.factors) == (2, tuple(ABLATE)), "the first is as it was"
    config = spec.baseline_config
    assert config.arm_id != config.model_copy(update={"epochs": 99}).arm_id
    assert config.arm_id == config.with_seed(5).arm_id


def test_values_are_told_by_context_and_arm() -> None:
    values = {"a": {"baseline": 70, "kd": 71.5}, "b": {"kd": 61.0}}
    reference = Reference.model_validate({"source": "Some 2023", "values": values, "teacher": {"a": 75.5}})
    assert reference.by_context() == values
    assert reference.teachers() == {"a": 75.5}
    assert reference.metric == "test_accuracy"


def test_without_contexts_they_are_those_of_the_unnamed_one() -> None:
    spread = {"value": 71.5, "sd": 0.5, "n": 5}
    for nested in ({"kd": spread}, {"a": {"kd": spread, "baseline": 70}}):
        found = Reference.model_validate({"source": "Some 2023", "values": nested}).by_context()
        assert found.get("", found.get("a"))["kd"].sd == 0.5  # type: ignore[index, union-attr]
    reference = Reference.model_validate({"source": "Some 2023", "values": {"kd": 71.5}, "teacher": 75.5})
    assert reference.by_context() == {"": {"kd": 71.5}}
    assert reference.teachers() == {"": 75.5}
    assert Reference.model_validate({"source": "Some 2023", "values": {"kd": 71.5}}).teachers() == {}


def test_a_value_is_a_finite_number() -> None:
    with pytest.raises(ValidationError, match="finite"):
        Reference.model_validate({"source": "Some 2023", "values": {"kd": float("nan")}})
