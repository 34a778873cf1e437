"""What Optuna is told of a search's values."""

from cktf.plan.suggestions import Suggestions
from cktf.study.domains import ChoiceDomain
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
