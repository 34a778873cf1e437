"""What Optuna is told of a search's values."""

from copy import copy
from typing import Any

import pytest
from optuna.trial import FrozenTrial

from cktf.plan.suggestions import Suggestions
from cktf.rows import Status
from cktf.study.domains import ChoiceDomain, FloatDomain
from tests.kinds import MakeSpec

CHOICES = (1, "1", True, None, 2.5, 0, False)


def test_choices_of_other_types_are_other_choices_before_and_after_a_restart(make_search: MakeSpec) -> None:
    spec = make_search(sampler="random").model_copy(update={"search": {"level": ChoiceDomain(choice=CHOICES)}})
    first = Suggestions(spec)
    levels = [first._values(first._ask(first._study, "random", number))["level"] for number in range(200)]
    assert {(type(level), level) for level in levels} == {(type(choice), choice) for choice in CHOICES}
    again = Suggestions(spec)
    for number, level in enumerate(levels):
        again.begin(str(number), {"level": level})
    domain = again._domains["level"]
    assert isinstance(domain, ChoiceDomain)
    had = [domain.labels[trial.params["level"]] for trial in again._study.trials]
    assert [(type(level), level) for level in had] == [(type(level), level) for level in levels]


def test_arms_that_have_ended_are_not_copied_for_the_next(
    make_search: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    suggestions = Suggestions(make_search(sampler="random"))
    for number in range(3):
        suggestions.begin(str(number), suggestions.propose(number, lambda _: True) or {})
        if number < 2:
            suggestions.tell(str(number), Status.COMPLETE, [0.5])
    copied: list[int] = []

    def note(trial: FrozenTrial, _: dict[int, object]) -> FrozenTrial:
        copied.append(trial.number)
        return copy(trial)

    monkeypatch.setattr(FrozenTrial, "__deepcopy__", note, raising=False)
    assert suggestions.propose(3, lambda _: True)
    assert 2 in copied
    assert not {0, 1} & {*copied}


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_step_leads_to_the_numbers_that_a_study_writes(make_search: MakeSpec, sampler: str) -> None:
    domains = {
        "width": FloatDomain(float=(0.1, 0.7), step=0.1),
        "depth": FloatDomain(float=(0, 1), when={"width": 0.3}),
    }
    spec = make_search(sampler=sampler).model_copy(update={"search": domains})
    suggestions, found = Suggestions(spec), list[Any]()
    for number in range(7):
        found.append(suggestions.propose(number, lambda values: values["width"] not in [had["width"] for had in found]))
        suggestions.begin(str(number), found[-1])
        suggestions.tell(str(number), Status.COMPLETE, [0.5])
    assert sorted(values["width"] for values in found) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert [values["width"] for values in found if "depth" in values] == [0.3]
    Suggestions(spec).begin("of an older version", {"width": 0.1 + 2 * 0.1})
