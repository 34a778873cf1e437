"""Domains of a search: the values of a factor, and the conditions under which it is drawn."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from cktf.errors import InputError, shown
from cktf.rows import Scalar
from cktf.settings import Settings
from cktf.study.paths import overlay, value_at
from cktf.study.yaml_text import in_one_line, parse

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
ORDERINGS = (">=", "<=", ">", "<")
"""Operators that compare only numbers."""

_COMPARISON = re.compile(r"\s*(>=|<=|==|!=|>|<|)\s*([^\s<>=!].*?)\s*")


@dataclass(frozen=True)
class Condition:
    """One comparison of a path's value with a literal."""

    path: str
    symbol: str
    literal: Scalar

    def holds(self, configuration: Mapping[str, Any]) -> bool:
        """Return whether the condition holds; a value that is no number is neither above nor below any."""
        value = value_at(configuration, self.path)
        if self.symbol in ORDERINGS and not isinstance(value, int | float):
            return False
        return _OPERATORS[self.symbol](value, self.literal)


def parse_condition(path: str, text: Scalar) -> Condition:
    """Return the condition of one entry of ``when``: ``"> 0"``, ``"!= last"``, or a value, which means equality.

    Raises:
        InputError: If a text is no comparison, or an ordering compares with something that is no number.
    """
    if not isinstance(text, str):
        return Condition(path, "==", text)
    if not (comparison := _COMPARISON.fullmatch(text)):
        known = ", ".join(_OPERATORS)
        raise InputError(f"when.{path}: must be a value, or one of {known} before a value; got {shown(text)}")
    symbol, literal = comparison[1] or "==", comparison[2]
    with suppress(InputError):
        value = parse(literal).value
        literal = value if isinstance(value, Scalar) else literal
    if symbol in ORDERINGS and (isinstance(literal, bool) or not isinstance(literal, int | float)):
        raise InputError(f"when.{path}: {symbol!r} compares numbers, such as '{symbol} 0'; got {shown(text)}")
    return Condition(path, symbol, literal)


class _Domain(Settings):
    when: dict[str, Scalar] = Field(default={})
    """Conditions, path to comparison, that must all hold; otherwise the factor has the baseline's value."""

    @field_validator("when")
    @classmethod
    def _readable(cls, when: dict[str, Scalar]) -> dict[str, Scalar]:
        for path, text in when.items():
            parse_condition(path, text)
        return when

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The parsed entries of `when`."""
        return tuple(parse_condition(path, text) for path, text in self.when.items())


class _Range(_Domain):
    bounds: tuple[float, float]

    log: bool = False
    """Whether values are drawn uniformly on a logarithmic scale."""

    step: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high = self.bounds
        if not low < high or (self.log and low <= 0):
            said = "the first bound must be below the second, and with 'log: true' greater than 0"
            raise InputError(f"{type(self).model_fields['bounds'].alias}: {said}; got [{low}, {high}]")
        if self.step is not None and (self.log or self.num_values == 1):
            said = f"must be {high - low} or less, the distance of the bounds, and cannot go with 'log: true'"
            raise InputError(f"step: {said}; got {self.step}")
        return self

    @property
    def num_values(self) -> int | None:
        """Number of values; None: infinitely many."""
        low, high = self.bounds
        step = self.step or (1 if isinstance(low, int) else None)
        return None if step is None else math.floor((high - low) / step + 1e-9) + 1

    @property
    def edges(self) -> tuple[Scalar, ...]:
        """The lowest and highest value, which are checked for the whole domain."""
        low, high = self.bounds
        if self.step is not None and self.num_values is not None:
            high = min(high, low + (self.num_values - 1) * self.step)
        return low, high

    def contains(self, other: _Domain) -> bool:
        """Return whether it has all values of another range, under the same conditions and on the same scale."""
        if not isinstance(other, _Range) or type(other) is not type(self):
            return False
        if (other.when, other.log) != (self.when, self.log) or any(map(self.problem, other.edges)):
            return False
        if not self.step:
            return True
        old_step = other.step or (1 if isinstance(other, IntDomain) else 0)  # 0: every number between
        return old_step > 0 and abs(old_step / self.step - max(1, round(old_step / self.step))) < 1e-9

    def problem(self, value: Scalar) -> str | None:
        """Return what a value must be to lie in the domain; None if it does."""
        low, high = self.bounds
        is_whole = isinstance(low, int)
        if (
            isinstance(value, bool)
            or not isinstance(value, int if is_whole else int | float)
            or not low <= value <= high
        ):
            return f"must be {'a whole number' if is_whole else 'a number'} from {low} to {high}; got {shown(value)}"
        steps = (value - low) / self.step if self.step else 0
        return f"must be {low} plus steps of {self.step}; got {value}" if abs(steps - round(steps)) > 1e-9 else None


class FloatDomain(_Range):
    """A real number between two bounds, both included: ``{float: [0.02, 1.0], log: true}``."""

    bounds: tuple[float, float] = Field(alias="float")
    """Lowest and highest value."""

    step: float | None = Field(default=None, gt=0)
    """Distance between values; None: any value."""

    def as_written(self, value: float) -> float:
        """Return a value as a study writes it: with steps 0.3, and not 0.1 + 2 * 0.1, which would be another arm."""
        if self.step is None:
            return value
        low, step = Decimal(repr(self.bounds[0])), Decimal(repr(self.step))
        return float(low + round((Decimal(value) - low) / step) * step)


class IntDomain(_Range):
    """A whole number between two bounds, both included: ``{int: [64, 1024], log: true}``."""

    bounds: tuple[int, int] = Field(alias="int")
    """Lowest and highest value."""

    step: int | None = Field(default=None, gt=0)
    """Distance between values; None: 1."""


def choice_label(choice: Scalar) -> str:
    """Return a choice as written in a study: 1 and 1.0 are one label, but 1, '1' and true are three."""
    return in_one_line(int(choice) if isinstance(choice, float) and choice.is_integer() else choice)


class ChoiceDomain(_Domain):
    """One of several values without order: ``{choice: [last, first]}``."""

    choices: tuple[Scalar, ...] = Field(alias="choice", min_length=2)
    """The values."""

    @field_validator("choices")
    @classmethod
    def _different(cls, choices: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        if len({choice_label(choice) for choice in choices}) < len(choices):
            raise InputError(f"the values must differ from each other; got {shown(list(choices))}")
        return choices

    @cached_property
    def labels(self) -> dict[str, Scalar]:
        """Label to choice."""
        return {choice_label(choice): choice for choice in self.choices}

    def problem(self, value: Scalar) -> str | None:
        """Return what a value must be to lie in the domain; None if it does."""
        if choice_label(value) in self.labels:
            return None
        return f"must be one of {', '.join(self.labels)}; got {shown(value)}"

    def contains(self, other: _Domain) -> bool:
        """Return whether it has all choices of another domain of choices, under the same conditions."""
        return isinstance(other, ChoiceDomain) and other.when == self.when and self.labels.keys() >= other.labels.keys()

    @property
    def edges(self) -> tuple[Scalar, ...]:
        """The values with which a trial is checked before the launch: every choice."""
        return self.choices

    @property
    def num_values(self) -> int:
        """Number of values."""
        return len(self.choices)


def _tag(value: Any) -> str | None:
    """Return the tag of a domain, or of a mapping with the key of exactly one kind of domain; None otherwise."""
    types = {"float": FloatDomain, "int": IntDomain, "choice": ChoiceDomain}
    found = [key for key in types if (key in value if isinstance(value, Mapping) else isinstance(value, types[key]))]
    return f"{found[0]} domain" if len(found) == 1 else None


Domain = Annotated[
    Annotated[FloatDomain, Tag("float domain")]
    | Annotated[IntDomain, Tag("int domain")]
    | Annotated[ChoiceDomain, Tag("choice domain")],
    Discriminator(
        _tag,
        custom_error_type="domain",
        custom_error_message="must have float: [low, high], int: [low, high] or choice: [one, other]",
    ),
]
"""Domain of one searched factor."""


def drawing_order(domains: Mapping[str, Domain]) -> tuple[str, ...]:
    """Return the factors, each after those that its conditions read; raise an InputError if these go in a circle."""
    # A condition may also read a section that holds a factor, or a field of a section that is a factor.
    asked = {
        path: [
            other
            for other in domains
            if any(f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.") for key in domain.when)
        ]
        for path, domain in domains.items()
    }
    try:
        return tuple(TopologicalSorter(asked).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise InputError(f"the conditions under 'when' go in a circle: {circle}") from None


def draw(
    domains: Mapping[str, Domain], baseline: Mapping[str, Any], choose: Callable[[str, Domain], Scalar]
) -> dict[str, Scalar]:
    """Return chosen values by factor path, for the factors whose conditions hold.

    Where no value was chosen, conditions read ``baseline``: the full configuration, defaults included.
    """
    values: dict[str, Scalar] = {}
    for path in drawing_order(domains):
        configuration = overlay(baseline, values)
        if all(condition.holds(configuration) for condition in domains[path].conditions):
            values[path] = choose(path, domains[path])
    return values
