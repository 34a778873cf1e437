"""Scores on two scales."""

from analysis.foreign.scales import scales_in_words


def test_an_arm_in_per_cent_beside_a_baseline_in_parts_is_told() -> None:
    scores = {("", "none"): [0.70, 0.71], ("", "kd"): [70.9, 71.2], ("", "at"): [0.72]}
    (text,) = scales_in_words(scores, "none", "acc")
    assert text == (
        "About a factor of 100: 'none' has a mean acc of 0.705, 'kd' of 71.05. Is one of them in per cent and the "
        "other not?"
    )


def test_so_are_two_other_arms_two_contexts_and_two_seeds() -> None:
    arms = {("", "none"): [7.0], ("", "kd"): [60.0], ("", "at"): [0.65]}
    assert "'kd' has a mean acc of 60, 'at' of 0.65" in scales_in_words(arms, "none", "acc")[0]
    contexts = {("a", "none"): [0.9], ("b", "none"): [91.0], ("b", "kd"): [92.0]}
    assert (
        "'none' in 'a' has a mean acc of 0.9, 'none' in 'b' of 91"
        in scales_in_words(contexts, "none", "acc")[0]
    )
    assert (
        "'kd' has acc 0.7 at one seed and 70 at another"
        in scales_in_words({("", "kd"): [0.7, 70.0, 0.72]}, "none", "acc")[0]
    )


def test_usual_differences_are_not() -> None:
    for scores in ([10.0, 95.0], [0.01, 0.1], [-1.0, 100.0], [0.0, 50.0], [1e-8, 1.0]):
        arms = {("", name): [score] for name, score in zip(("none", "kd"), scores, strict=True)}
        assert scales_in_words(arms, "none", "x") == []


def test_of_many_pairs_a_few_are_named() -> None:
    scores = {("", "none"): [0.5]} | {("", f"arm{n}"): [50.0] for n in range(9)}
    (text,) = scales_in_words(scores, "none", "acc")
    assert text.count("has a mean") == 3
    assert "; and 6 more." in text
