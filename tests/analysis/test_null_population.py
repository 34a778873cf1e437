"""Simulated images, contexts and pairs of questions: their promises, within four standard errors of the simulation."""

import numpy as np
import pytest

from benchmarks.null_population import context_rates, image_coverage, questions


@pytest.mark.parametrize("arm_on_item", [0.0, 0.6])
def test_the_interval_over_images_holds_where_that_over_seeds_does_not(arm_on_item: float) -> None:
    alone, together = image_coverage(20, 200, arm_on_item, 200, 0)
    assert together.mean() > 0.95 - 4 * np.sqrt(0.05 * 0.95 / 200)
    assert (alone.mean() < 0.9) == (arm_on_item > 0)


def test_both_questions_err_as_one_family_and_still_say_what_is_true() -> None:
    wrong, apart, right = questions(12, np.array([0.0, 1.0]), 1.0, 300, 0)
    assert wrong.mean() < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)
    assert wrong.mean() <= apart.mean()
    assert right.mean() > 0.5


def test_over_contexts_few_are_told_apart_that_are_alike_and_a_large_effect_is_told() -> None:
    wrong, _ = context_rates(5, 3, 0.0, 200, 0)
    assert wrong.mean() < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 200)
    assert context_rates(7, 3, 3.0, 50, 0)[1].mean() > 0.8
