"""PED-ANOVA of arms that are not copied is Optuna's own."""

import math
import random
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from analysis.searches.ped_anova import Tried, ped_anova

DOMAINS = {
    "temperature": FloatDistribution(0.01, 1.0, log=True),
    "theta": FloatDistribution(0.0, 1.0),
    "pairing": CategoricalDistribution(["first", "last"]),
}


def arms(count: int) -> list[Tried]:
    """Arms of which the temperature matters most; theta is a factor of one pairing alone."""
    draws = random.Random(5)  # noqa: S311
    found = []
    for _ in range(count):
        params: dict[str, Any] = {
            "temperature": math.exp(draws.uniform(math.log(0.01), 0.0)),
            "pairing": draws.choice(["first", "last"]),
        }
        if params["pairing"] == "last":
            params["theta"] = draws.random()
        loss = abs(math.log(params["temperature"] / 0.1)) + 0.3 * params.get("theta", 0.5)
        found.append(Tried(params, {name: DOMAINS[name] for name in params}, loss))
    return found


def test_shares_are_those_of_a_study_that_the_arms_are_added_to() -> None:
    tried = arms(80)
    study = optuna.create_study()
    study.add_trials(optuna.create_trial(params=arm.params, distributions=arm.domains, value=arm.loss) for arm in tried)
    expected = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.1))
    found = ped_anova(tried, 0.1)
    assert found == pytest.approx(expected)
    assert next(iter(found)) == "temperature"


def test_arms_may_come_twice_and_are_left_as_they_are() -> None:
    tried = arms(40)
    before = [dict(arm.params) for arm in tried]
    twice = ped_anova([*tried, *tried], 0.1)
    assert sum(twice.values()) == pytest.approx(1.0)
    assert [arm.params for arm in tried] == before
