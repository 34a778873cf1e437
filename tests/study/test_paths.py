"""Dotted paths into settings models and mappings."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from cktf.study.paths import (
    exists,
    known_paths,
    lay_over,
    leaves,
    overlay,
    section_at,
    spelled,
    stands_in,
    suggestion,
    value_at,
)


class Cat(BaseModel):
    """One member of a union."""

    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    """The other member."""

    kind: Literal["dog"] = "dog"
    tail: float | None = None


class Home(BaseModel):
    """A model with a union, a list, a free mapping and a number."""

    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    rooms: tuple[Cat, ...] = ()
    extras: dict[str, Any] = {}
    number: int = 1


def test_every_section_and_field_has_a_path() -> None:
    assert known_paths(Home) == {
        "pet", "pet.kind", "pet.lives", "pet.tail", "rooms", "extras", "number",
    }  # fmt: skip


def test_a_path_exists_in_any_member_of_a_union_and_below_a_free_mapping() -> None:
    assert exists("pet.tail", Home)
    assert exists("extras.anything.below", Home)
    assert not exists("pet.wings", Home)
    assert not exists("number.digit", Home)


def test_a_section_names_its_fields_once() -> None:
    assert section_at(("pet",), Home) == ["kind", "lives", "tail"]
    assert section_at(("rooms", 0), Home) == ["kind", "lives"]
    assert section_at(("number",), Home) == []


def test_the_closest_path_is_suggested_and_so_are_those_with_the_same_ending() -> None:
    known = ["objective.kd.temperature", "objective.cktf.temperature", "epochs"]
    assert suggestion("epohs", known) == ". Did you mean 'epochs'?"
    assert suggestion("temperature", known) == (
        ". Did you mean 'objective.kd.temperature' or 'objective.cktf.temperature'?"
    )
    assert suggestion("zzz", known) == ""
    assert suggestion("objective.epochs", known).startswith(". Did you mean 'epochs' or ")
    assert suggestion("x" * 20_000, ["x" * 20_001]) == ""


def test_a_location_is_spelled_so_that_its_keys_can_be_seen() -> None:
    assert spelled(("ablate", "objective.cktf.theta", 0)) == "ablate.objective.cktf.theta[0]"
    assert spelled(("a", "", "\u200bb", "x" * 100)) == rf"a.''.'\u200bb'.'{'x' * 59}..."


def test_laying_values_over_makes_missing_sections_and_changes_no_argument() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": None}
    assert overlay(base, {"a.b": 5, "d.e.f": 6}) == {"a": {"b": 5, "c": 2}, "d": {"e": {"f": 6}}}
    assert base == {"a": {"b": 1, "c": 2}, "d": None}


def test_laying_a_partial_configuration_over_keeps_what_it_does_not_name() -> None:
    base = {"a": {"b": 1, "c": {"x": 1}}, "d": [1]}
    assert lay_over(base, {"a": {"c": None, "e": 3}, "d": [2, 3]}) == {"a": {"b": 1, "c": None, "e": 3}, "d": [2, 3]}
    assert base == {"a": {"b": 1, "c": {"x": 1}}, "d": [1]}


def test_values_are_read_by_path() -> None:
    assert value_at({"a": {"b": 0}}, "a.b") == 0
    assert value_at({"a": None}, "a.b") is None
    assert leaves({"a": {"b": 1, "c": {}}, "d": None}) == {"a.b": 1, "a.c": {}, "d": None}


@pytest.mark.parametrize(
    ("location", "stands"),
    [
        ((), False),
        (("a",), True),
        (("a", "b"), True),
        (("a", "c"), False),
        (("a", "b", "c"), False),
        (("l", 0, "x"), True),
        (("l", "x"), False),
    ],
)
def test_what_stands_in_a_configuration_is_found_by_its_keys(location: tuple[Any, ...], stands: bool) -> None:
    assert stands_in(location, {"a": {"b": None}, "l": [{"x": 1}]}) is stands
