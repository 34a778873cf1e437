"""What comes of looking at a study more than once: plain repeats, races, and the answer to how many seeds are missing.

Scores are those of `null_study`, and are judged by the functions that judge real ones.
"""

from collections.abc import Callable

import numpy as np

from analysis.statistics.paired import paired_effects
from analysis.statistics.races import raced
from analysis.statistics.verdicts import MOST_MORE_SEEDS, more_seeds, power, seeds_needed
from benchmarks.null_study import CHUNK, SEEDS, Rate, Scenario, Seed, is_wrong_word
from cktf.looks import Race, Spending
from cktf.verdicts import LEVEL, Verdict, holm

LOOKS = (5, 8, 12, 20)
"""Seeds at the looks of a race."""


def looks_rate(scenario: Scenario, looks: tuple[int, ...], studies: int, seed: Seed = 0) -> Rate:
    """Return how often a study without effects errs that is judged at each of these numbers of seeds."""
    draws = np.random.default_rng(seed)
    wrong = []
    for begin in range(0, studies, CHUNK):
        values, baseline = scenario.scores(draws, min(CHUNK, studies - begin), scenario.effects)
        looked = [holm(paired_effects(values[..., :n], baseline[..., :n]).p) < LEVEL for n in looks]
        wrong.append(np.any(looked, axis=(0, 2)).astype(float))
    return Rate.over(wrong)


def race_rates(
    scenario: Scenario, spending: str, futility: float, studies: int, seed: Seed = 0, delta: float | None = None
) -> tuple[Rate, Rate, float, float]:
    """Return what races do that have looks at `LOOKS` seeds, and whose first arm may have an effect.

    Returns:
        How often a study errs about any arm (equivalent is wrong from ``delta`` paired deviations on); how often the
        first arm is told to help; the mean seeds of the first arm; those of the others, of one arm alone NaN.
    """
    draws, true = np.random.default_rng(seed), scenario.effects
    race = Race(LOOKS, spending, delta=None if delta is None else delta * scenario.paired_sd)
    wrong, told, first, others = [], [], [], []
    for begin in range(0, studies, CHUNK):
        values, baseline = scenario.scores(draws, min(CHUNK, studies - begin), true)
        seeds, words = raced(race, futility, values - baseline, LEVEL / scenario.arms)
        is_wrong = is_wrong_word(words, true) | ((words == Verdict.EQUIVALENT) & (np.abs(true) >= (delta or 0.0)))
        wrong.append(is_wrong.any(axis=1).astype(float))
        told.append((words[:, 0] == Verdict.HELPS).astype(float))
        first.append(seeds[:, 0])
        others.append(seeds[:, 1:])
    rest = np.concatenate(others)
    mean = float(rest.mean()) if rest.size else np.nan
    return Rate.over(wrong), Rate.over(told), float(np.concatenate(first).mean()), mean


def print_looks(studies: int, seed: int) -> None:
    """Print what comes of adding seeds to a study, as it stands undecided, and judging it again."""
    print("| arms | judged at seeds | wrong verdict in a study, % |")
    print("|---|---|---|")
    for arms in (5, 10, 20):
        for looks in ((20,), (5, 20), (5, 10, 15, 20), tuple(range(3, 21))):
            rate = looks_rate(Scenario("normal", max(looks), arms), looks, studies, seed)
            named = ", ".join(map(str, looks)) if len(looks) < 5 else f"every one from {looks[0]} to {looks[-1]}"
            print(f"| {arms} | {named} | {rate} |", flush=True)


def print_races(studies: int, seed: int) -> None:
    """Print how often races err, and which seeds they save, beside a study of as many seeds that is judged once."""
    print(
        "| arms | effect of the first | looks spend | futility | wrong, % | first arm told, % | at once, % "
        "| its seeds | seeds of the others |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    ways = [*((spending, 0.0) for spending in Spending), (Spending.POWER2, 0.1)]
    for arms in (1, 5, 20):
        for effect in (0.0, 0.5, 1.0, 2.0):
            at_once = 100 * power(np.array(effect), np.array(LOOKS[-1]), LEVEL / arms)
            for spending, futility in ways if effect in (0.0, 1.0) else ways[-1:]:
                scenario = Scenario("normal", LOOKS[-1], arms, first_effect=effect)
                wrong, told, first, others = race_rates(scenario, spending, futility, studies, [seed, arms])
                rest = "–" if np.isnan(others) else f"{others:.1f}"
                print(
                    f"| {arms} | {effect:g} sd | {spending} | {futility:g} | {wrong} | {told} | {at_once:.1f} "
                    f"| {first:.1f} | {rest} |",
                    flush=True,
                )
    for missing in (0.1, 0.3):
        scenario = Scenario("normal", LOOKS[-1], 5, missing=missing)
        wrong, *_ = race_rates(scenario, Spending.POWER2, 0.1, studies, [seed, 5])
        print(f"| 5, {missing:.0%} of all trials without result | 0 sd | power2 | 0.1 | {wrong} | | | | |", flush=True)
    for arms in (1, 5, 20):
        for effect in (0.0, 1.0):
            scenario = Scenario("normal", LOOKS[-1], arms, first_effect=effect)
            wrong, told, first, others = race_rates(scenario, Spending.POWER2, 0.1, studies, [seed, arms], 1.0)
            rest = "–" if np.isnan(others) else f"{others:.1f}"
            print(
                f"| {arms}, delta of 1 sd | {effect:g} sd | power2 | 0.1 | {wrong} | {told} | | {first:.1f} | {rest} |"
            )


def print_more_seeds(studies: int, seed: int) -> None:
    """Print what is answered to 'how many seeds in all?' after a pilot, beside what the true deviation would give."""
    print("| pilot seeds | delta / true paired sd | seeds in all, true | answered: median | middle 80% |")
    print("|---|---|---|---|---|")
    for seeds in SEEDS:
        for delta in (0.5, 1.0, 1.5):
            draws = np.random.default_rng(seed)
            sd = np.sqrt(draws.chisquare(seeds - 1, min(studies, 2000)) / (seeds - 1))
            n = np.full(sd.shape, seeds)
            answered = seeds + more_seeds(delta, sd, n, LEVEL / 10)
            true = seeds_needed(delta, np.ones(1), np.array([MOST_MORE_SEEDS]), LEVEL / 10)[0]
            low, middle, high = np.quantile(answered, (0.1, 0.5, 0.9), method="nearest")
            shown = [f"{x:.0f}" if np.isfinite(x) else "> 100 more" for x in (low, middle, high)]
            print(f"| {seeds} | {delta:g} | {true:.0f} | {shown[1]} | {shown[0]} to {shown[2]} |")


TABLES: dict[str, Callable[[int, int], None]] = {
    "Looking again": print_looks,
    "Races": print_races,
    "How many more seeds": print_more_seeds,
}
"""Title to what prints the table, of a number of studies and the seed of the simulation."""
