"""Generated inputs of every kind: each is valid, or refused by one message that names the place."""

import sys

import pytest

import analysis.searches.importance  # noqa: F401  # so that its module is there to be patched
from tests.fuzz.driver import outcome
from tests.fuzz.kinds import KINDS

SEED = 20
CASES = {
    "studies": 30,
    "overrides": 60,
    "commands": 15,
    "ledgers": 8,
    "csv": 30,
    "optuna": 5,
    "ray-tune": 12,
    "checkpoints": 15,
    "data": 15,
}
"""So many of each kind as take a few seconds; ``make fuzz`` runs thousands."""


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let importances be resampled seldom: no input decides how often."""
    for name in ("NUM_RESAMPLES", "NUM_SHUFFLES"):
        monkeypatch.setattr(sys.modules["analysis.searches.importance"], name, 3)


def test_there_are_cases_of_every_kind() -> None:
    assert CASES.keys() == KINDS.keys()


@pytest.mark.parametrize("name", KINDS)
def test_an_input_is_valid_or_refused_by_one_message(name: str) -> None:
    found = [outcome(name, KINDS[name], SEED, number) for number in range(CASES[name])]
    faults = [
        f"python -m tests.fuzz --kind {name} --seed {SEED} --first {number} --cases 1\n{one.words}\n{one.fault}"
        for number, one in enumerate(found)
        if one.fault
    ]
    assert not faults, "\n\n".join(faults)
    assert any(one.is_valid for one in found)
    assert any(one.message for one in found)
