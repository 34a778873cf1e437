"""Scores on two scales."""

import pandas as pd

from analysis.statistics.any_table import as_trials, scales_in_words


def told(scores: dict[tuple[str, str], list[float]], metric: str = "acc") -> list[str]:
    """Return what is said of scores by context and arm, whose baseline is called none, or is the first arm."""
    rows = [(context, arm, seed, score) for (context, arm), found in scores.items() for seed, score in enumerate(found)]
    frame = pd.DataFrame(rows, columns=["context", "arm", "seed", metric])
    return scales_in_words(as_trials(frame, metric=metric, baseline="none"), metric)


def test_an_arm_in_per_cent_beside_a_baseline_in_parts_is_told() -> None:
    scores = {("", "none"): [0.70, 0.71], ("", "kd"): [70.9, 71.2], ("", "at"): [0.72]}
    (text,) = told(scores)
    assert text == (
        "About a factor of 100: 'none' has a mean acc of 0.705, 'kd' of 71.05. Is one of them in per cent and the "
        "other not?"
    )


def test_so_are_two_contexts_and_two_seeds() -> None:
    contexts = {("a", "none"): [0.9], ("b", "none"): [91.0], ("b", "kd"): [92.0]}
    assert "'none' in 'a' has a mean acc of 0.9, 'none' in 'b' of 91" in told(contexts)[0]
    assert (
        "'kd' has acc 0.7 at one seed and 70 at another"
        in told({("", "none"): [], ("", "kd"): [0.7, 70.0, 0.72]} | {("", "none"): [0.6]})[0]
    )


def test_usual_differences_are_not() -> None:
    for scores in ([10.0, 95.0], [0.01, 0.1], [-1.0, 100.0], [0.0, 50.0], [1e-8, 1.0], [1e-300, 1e300], [1e308, 1e308]):
        arms = {("", name): [score] for name, score in zip(("none", "kd"), scores, strict=True)}
        assert told(arms, "x") == []


def test_of_many_pairs_a_few_are_named() -> None:
    scores = {("", "none"): [0.5]} | {("", f"arm{n}"): [50.0] for n in range(9)}
    (text,) = told(scores)
    assert text.count("has a mean") == 3
    assert "; and 6 more." in text
