"""Search domains: reading, conditions, and the order of drawing."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from cktf.study.domains import ChoiceDomain, Domain, FloatDomain, IntDomain, draw, drawing_order, parse_condition
from cktf.study.spec import StudySpec

ADAPTER: TypeAdapter[Any] = TypeAdapter(Domain)


def domains(**written: dict[str, Any]) -> dict[str, Any]:
    return {path.replace("__", "."): ADAPTER.validate_python(value) for path, value in written.items()}


def first(_: str, domain: Any) -> Any:
    return domain.edges[0]


def test_the_key_says_which_domain_it_is() -> None:
    assert isinstance(ADAPTER.validate_python({"float": [0, 1]}), FloatDomain)
    assert isinstance(ADAPTER.validate_python({"int": [1, 8], "log": True}), IntDomain)
    assert isinstance(ADAPTER.validate_python({"choice": ["last", None]}), ChoiceDomain)


def test_choices_keep_their_types() -> None:
    domain = ADAPTER.validate_python({"choice": [True, 2, 0.5, "last", None]})
    assert [type(value) for value in domain.choices] == [bool, int, float, str, type(None)]


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("> 0", 0.5, True),
        ("> 0", 0, False),
        (">= 0", 0, True),
        ("< 1e-3", 1e-4, True),
        ("<=4", 5, False),
        ("== last", "last", True),
        ("!= last", "first", True),
        ("!= null", None, False),
        ("== true", True, True),
        ("== True", True, True),
        ("> .05", 0.1, True),
        ("== 'last'", "last", True),
        ("last", "last", True),
        ("0.5", 0.5, True),
        ("null", None, True),
        (" true ", True, True),
        (3, 3, True),
        (None, None, True),
        (False, True, False),
    ],
)
def test_a_condition_compares_with_its_literal(text: Any, value: Any, holds: bool) -> None:
    condition = parse_condition("objective.kd.weight", text)
    assert condition.holds({"objective": {"kd": {"weight": value}}}) is holds


def test_nothing_is_above_or_below_a_value_that_is_not_there() -> None:
    assert not parse_condition("objective.kd.weight", "> -1").holds({"objective": {"kd": None}})
    assert not parse_condition("objective.kd.weight", "< 1").holds({})
    assert parse_condition("objective.kd.weight", "!= 1").holds({})


def test_a_step_may_be_all_of_a_range_whose_bounds_are_rounded() -> None:
    domain = ADAPTER.validate_python({"float": [0.2, 0.3], "step": 0.1})  # 0.3 - 0.2 is less than 0.1
    assert (domain.num_values, domain.edges) == (2, (0.2, 0.3))


@pytest.mark.parametrize("text", ["=> 0", "=< 0", "= 0", "=== 0", ">> 0", "!0", "! last", "<> 0", ">", "", " "])
def test_what_begins_like_a_comparison_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"one of >=, <=, ==, !=, >, < before a value; got '{text}'"):
        parse_condition("objective.kd.weight", text)


def test_only_numbers_are_ordered() -> None:
    with pytest.raises(ValueError, match="'>' compares numbers, such as '> 0'; got '> last'"):
        parse_condition("pairing", "> last")


def test_a_factor_is_drawn_after_those_that_its_condition_asks_about() -> None:
    space = domains(
        a={"float": [0, 1], "when": {"b": "> 0"}}, b={"float": [0, 1], "when": {"c": "> 0"}}, c={"float": [0, 1]}
    )
    assert drawing_order(space) == ("c", "b", "a")


def test_conditions_in_a_circle_are_refused() -> None:
    space = domains(a={"float": [0, 1], "when": {"b": 1}}, b={"float": [0, 1], "when": {"a": 1}})
    with pytest.raises(ValueError, match=r"in a circle: (a -> b -> a|b -> a -> b)"):
        drawing_order(space)
    with pytest.raises(ValueError, match="in a circle: a -> a"):
        drawing_order(domains(a={"float": [0, 1], "when": {"a": 1}}))


@pytest.mark.parametrize(("weight", "drawn"), [(0, False), (0.5, True)])
def test_a_condition_sees_the_values_drawn_before_it(weight: float, drawn: bool) -> None:
    space = domains(kd__temperature={"float": [1, 8], "when": {"kd.weight": "> 0"}}, kd__weight={"float": [0, 1]})
    choose: Callable[[str, Any], Any] = lambda path, _: weight if path == "kd.weight" else 4.0  # noqa: E731
    values = draw(space, {"kd": {"weight": 1.0}}, choose)
    assert values == {"kd.weight": weight} | ({"kd.temperature": 4.0} if drawn else {})


def test_a_condition_sees_the_baseline_where_nothing_is_drawn() -> None:
    space = domains(temperature={"float": [1, 8], "when": {"kd.weight": "> 0", "mode": "soft"}})
    assert draw(space, {"kd": {"weight": 1}, "mode": "soft"}, first) == {"temperature": 1.0}
    assert draw(space, {"kd": {"weight": 1}, "mode": "hard"}, first) == {}
    assert draw(space, {"kd": {"weight": 0}, "mode": "soft"}, first) == {}


def test_a_factor_that_does_not_apply_counts_with_its_baseline_value() -> None:
    space = domains(
        a={"choice": [0, 1]}, b={"choice": [5, 6], "when": {"a": 1}}, c={"choice": [7, 8], "when": {"b": 9}}
    )
    assert draw(space, {"b": 9}, first) == {"a": 0, "c": 7}


def test_finite_domains_are_told_from_infinite_ones() -> None:
    finite = domains(a={"int": [1, 9]}, b={"choice": [1, 2]}, c={"float": [0, 1], "step": 0.5})
    assert all(domain.num_values is not None for domain in finite.values())
    assert ADAPTER.validate_python({"float": [0, 1]}).num_values is None


def test_choices_that_are_equal_numbers_are_one_and_others_are_told_apart() -> None:
    for choices in ([1, 1.0], [0.0, -0.0], ["a", "a"], [True, True], [None, None]):
        with pytest.raises(ValidationError, match="the values must differ from each other"):
            ADAPTER.validate_python({"choice": choices})
    domain = ADAPTER.validate_python({"choice": [1, "1", True, None, "true", 0.5, "null"]})
    assert isinstance(domain, ChoiceDomain)
    assert list(domain.labels) == ["1", "'1'", "true", "null", "'true'", "0.5", "'null'"]
    assert [type(choice) for choice in domain.labels.values()] == [int, str, bool, type(None), str, float, str]


SEARCHED: dict[str, object] = {
    "search": {
        "optimizer.learning_rate": {"float": [0.01, 0.1], "step": 0.03},
        "batch_size": {"int": [16, 64], "log": True},
        "objective.cktf.pairing": {"choice": ["last", "first"]},
    },
    "trials": 2,
}


@pytest.mark.parametrize(
    ("enqueue", "message"),
    [
        ([{"batch_size": 128}], r"enqueue[0].batch_size: must be a whole number from 16 to 64; got 128"),
        ([{}, {"batch_size": 32.0}], r"enqueue[1].batch_size: must be a whole number from 16 to 64; got 32.0"),
        (
            [{"optimizer.learning_rate": 0.05}],
            "enqueue[0].optimizer.learning_rate: must be 0.01 plus steps of 0.03; got",
        ),
        ([{"optimizer.learning_rate": True}], "optimizer.learning_rate: must be a number from 0.01 to 0.1; got true"),
        ([{"objective.cktf.pairing": "all"}], "objective.cktf.pairing: must be one of last, first; got 'all'"),
        ([{"batch": 32}], "enqueue[0]: no such factor. Did you mean 'batch_size'?"),
        ([{}, {}, {}], "enqueue: must be 2 or fewer, the study's trials; got 3"),
        ([3], "enqueue[0]: must be a mapping of keys to values; got 3"),
    ],
)
def test_a_setting_to_try_first_outside_of_its_domain_is_refused(
    refused: Callable[..., str], enqueue: list[object], message: str
) -> None:
    assert message in refused(**SEARCHED, enqueue=enqueue)


def test_a_whole_setting_to_try_first_makes_a_valid_trial(
    make: Callable[..., StudySpec], refused: Callable[..., str]
) -> None:
    domains = {"epochs": {"int": [1, 4]}, "stop_after": {"int": [1, 2]}}
    wrong = [{"epochs": 1, "stop_after": 1}, {"epochs": 1, "stop_after": 2}]
    assert "enqueue[1]: stop_after: must be 1 or less" in refused(search=domains, enqueue=wrong)
    assert make(search=domains, enqueue=[{"stop_after": 2}]), "the sampler chooses the epochs"
    said = refused(search={"epochs": {"int": [1, 4]}}, enqueue=[{"epochs": -1}])
    assert said.count("enqueue[0]") == 1, "a value outside of its domain is told once, also where no trial takes it"


def test_settings_to_try_first_are_of_searches(refused: Callable[..., str], make: Callable[..., StudySpec]) -> None:
    said = refused(ablate={"batch_size": [16]}, enqueue=[{"batch_size": 32}])
    assert "enqueue: only a study with 'search:' has this key" in said
    known = [{"optimizer.learning_rate": 0.04, "batch_size": 32}]
    assert make(**SEARCHED, enqueue=known).enqueue == tuple(known)
