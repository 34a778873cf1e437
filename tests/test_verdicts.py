"""Adjusted p: one family of effects and equivalence, against closed testing over all that may be true at once."""

import itertools

import numpy as np
import pytest

from cktf.verdicts import adjusted


def closed(p: np.ndarray) -> np.ndarray:
    """Adjusted p (2, arms): the largest p of Bonferroni's tests of all sets of hypotheses that can be true together.

    Of one arm, one of both hypotheses at most.
    """
    num_arms = p.shape[1]
    found = np.zeros(p.shape)
    for chosen in itertools.product((None, 0, 1), repeat=num_arms):
        members = [(question, arm) for arm, question in enumerate(chosen) if question is not None]
        if members:
            together = min(min(p[member] for member in members) * len(members), 1.0)
            for member in members:
                found[member] = max(found[member], together)
    return found


def test_it_is_never_less_strict_than_closed_testing_and_as_strict_by_hand() -> None:
    draw = np.random.default_rng(0)
    for _ in range(200):
        p = draw.random((2, 3)) ** 3
        found = np.stack(adjusted(*p))
        assert (found >= closed(p) - 1e-12).all()
        assert (found <= np.minimum(p.max() * 3, 1) + 1e-12).all()
    # Two arms: times 2 until both questions of the first are answered, then times 1.
    by_hand = adjusted(np.array([0.001, 0.03]), np.array([0.02, 0.2]))
    assert np.concatenate(by_hand) == pytest.approx([0.002, 0.04, 0.04, 0.2])


def test_one_arm_pays_nothing_for_two_questions_and_what_was_not_tested_counts() -> None:
    assert [*adjusted(np.array([0.04]), np.array([0.03]))] == [pytest.approx([0.04]), pytest.approx([0.03])]
    p, p_equivalence = adjusted(np.array([0.01, np.nan]), np.array([0.5, np.nan]))
    assert (p[0], p_equivalence[0]) == (0.02, 1.0)
    assert np.isnan([p[1], p_equivalence[1]]).all()
