"""What the verdicts of a report are worth: thousands of simulated studies through the functions that judge real ones.

Simulated are scores of arms and of their baseline at shared seeds: ``effect + sqrt(c) shared + sqrt(1 - c) own``, where
``c`` is the correlation that pairing achieves. Effects are told in standard deviations of the paired differences. Every
arm of a study is compared with the same baseline, so the comparisons of a study depend on one another, as in real ones.

`benchmarks/simulations.py` runs this; each rate is printed with its Monte Carlo standard error.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.paired import PairedEffects, equivalence_p, one_sided_p, paired_effects, sign_flip_p
from analysis.statistics.verdicts import power
from cktf.verdicts import LEVEL, Verdict, decide, holm

Floats = NDArray[np.float64]
Seed = int | list[int]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]

SEEDS = (3, 5, 8, 10)
CHUNK = 1000
"""Studies that are held at a time."""


def normal(draws: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw from the normal distribution."""
    return draws.standard_normal(shape)


def heavy(draws: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw from Student's t with 3 degrees of freedom, scaled to variance 1."""
    return draws.standard_t(3, shape) / math.sqrt(3)


def skewed(draws: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw from the exponential distribution, turned so that low scores stray far, with mean 0 and variance 1."""
    return 1 - draws.standard_exponential(shape)


def collapsing(draws: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw normal scores of which one in twenty is 5 lower, scaled to mean 0 and variance 1."""
    scores = draws.standard_normal(shape) - 5.0 * (draws.random(shape) < 0.05)
    return (scores + 0.25) / math.sqrt(1 + 25 * 0.05 * 0.95)


@dataclass(frozen=True)
class Scenario:
    """How the scores of a study come about.

    Attributes:
        name: In words.
        seeds: Of every arm.
        arms: Beside the baseline.
        correlation: That pairing achieves, were both sides of one variance.
        own: Distribution of what an arm's own training adds.
        baseline_own: The same of the baseline.
        scale: Standard deviation of an arm's own part over that of the baseline.
        step: Scores are rounded to multiples of it, in standard deviations of a score; 0: they are not.
        missing: Chance that a trial, of any arm, has no result.
        worst_missing: Share of the lowest own parts of the arms, not of the baseline, that have no result.
        half_effect: True effect of every second arm, in standard deviations of the paired differences.
        first_effect: The same of the first arm.
    """

    name: str
    seeds: int = 5
    arms: int = 10
    correlation: float = 0.5
    own: Draw = normal
    baseline_own: Draw = normal
    scale: float = 1.0
    step: float = 0.0
    missing: float = 0.0
    worst_missing: float = 0.0
    half_effect: float = 0.0
    first_effect: float = 0.0

    @property
    def effects(self) -> Floats:
        """True effects of the arms (arms,), in standard deviations of the paired differences."""
        place = np.arange(self.arms, dtype=np.float64)
        return np.asarray(self.half_effect * np.mod(place, 2.0) + self.first_effect * (place == 0))

    @property
    def paired_sd(self) -> float:
        """Of the differences of an arm and the baseline."""
        return float(np.sqrt((1 - self.correlation) * (1 + self.scale**2)))

    @property
    def flips_reach(self) -> bool:
        """Whether the smallest p of the sign-flip test, times the number of arms, is as low as the level.

        With many seeds, too, nothing is flipped here: it takes long, and is then as good as Student's t.
        """
        return bool(2.0 ** (1 - self.seeds) * self.arms <= LEVEL) and self.seeds <= max(SEEDS)

    def scores(self, draws: np.random.Generator, studies: int, effects: Floats) -> tuple[Floats, Floats]:
        """Simulate studies.

        Args:
            draws: Where the random numbers come from.
            studies: How many.
            effects: (arms,) true effects, in standard deviations of the paired differences.

        Returns:
            Of the arms (studies, arms, seeds), and of the baseline (studies, 1, seeds).
        """
        shared = np.sqrt(self.correlation) * draws.standard_normal((studies, 1, self.seeds))
        part = np.sqrt(1 - self.correlation)
        own = self.own(draws, (studies, self.arms, self.seeds))
        values = effects[:, np.newaxis] * self.paired_sd + shared + part * self.scale * own
        baseline = shared + part * self.baseline_own(draws, (studies, 1, self.seeds))
        if self.step:
            values, baseline = (self.step * np.round(side / self.step) for side in (values, baseline))
        if self.missing:
            values, baseline = (
                np.where(draws.random(side.shape) < self.missing, np.nan, side) for side in (values, baseline)
            )
        if self.worst_missing:
            values = np.where(own < np.quantile(own, self.worst_missing), np.nan, values)
        return values, baseline

    def chunks(self, seed: Seed, studies: int, effects: Floats) -> Iterator[tuple[PairedEffects, Floats]]:
        """Yield contrasts (studies, arms) as a report computes them, and p by sign flips, some studies at a time.

        Where sign flips cannot reach the level, their p is NaN.
        """
        draws = np.random.default_rng(seed)
        for begin in range(0, studies, CHUNK):
            values, baseline = self.scores(draws, min(CHUNK, studies - begin), effects)
            found = paired_effects(values, baseline)
            p_flip = sign_flip_p(values - baseline) if self.flips_reach else np.full_like(found.p, np.nan)
            yield found, p_flip


@dataclass(frozen=True)
class Rate:
    """The mean over studies of a share, in per cent, and its Monte Carlo standard error."""

    percent: float
    error: float

    @classmethod
    def over(cls, shares: list[Floats]) -> "Rate":
        """Return the rate of shares that were found study by study; studies that have none (NaN) are left out."""
        values = np.concatenate(shares)
        values = values[~np.isnan(values)]
        if not values.size:
            return cls(np.nan, np.nan)
        return cls(float(100 * values.mean()), float(100 * values.std() / np.sqrt(values.size)))

    def __str__(self) -> str:
        return "–" if np.isnan(self.percent) else f"{self.percent:.2f} ± {self.error:.2f}"


@dataclass(frozen=True)
class NullRates:
    """What studies are said to find where there is nothing, or not what is said.

    Attributes:
        wrong: How often a study says of any arm that it helps or hurts, and it does not.
        wrong_by_flips: The same, were the exact sign-flip test to decide.
        coverage: Which share of the 95% intervals holds the true effect.
        unpaired: Median over all comparisons of the seeds that an unpaired design would need, as a report tells them.
    """

    wrong: Rate
    wrong_by_flips: Rate
    coverage: Rate
    unpaired: float


def null_rates(scenario: Scenario, studies: int, seed: Seed = 0) -> NullRates:
    """Return how often studies of a scenario err."""
    true = scenario.effects
    shares: dict[str, list[Floats]] = {"wrong": [], "wrong_by_flips": [], "coverage": []}
    unpaired = []
    for found, p_flip in scenario.chunks(seed, studies, true):
        for name, p in (("wrong", found.p), ("wrong_by_flips", p_flip)):
            said = decide(found.effect, holm(p), np.full_like(p, np.nan), maximise=True)
            shares[name].append(is_wrong_word(said, true).any(axis=1).astype(float))
        low, high = (side / scenario.paired_sd for side in (found.low, found.high))
        is_given = ~np.isnan(low)
        holds = (is_given & (low <= true) & (true <= high)).sum(axis=1)
        shares["coverage"].append(holds[is_given.any(axis=1)] / is_given.sum(axis=1)[is_given.any(axis=1)])
        unpaired.append(found.n_unpaired.ravel())
    rates = {name: Rate.over(share) for name, share in shares.items()}
    if not scenario.flips_reach:
        rates["wrong_by_flips"] = Rate(np.nan, np.nan)
    return NullRates(**rates, unpaired=float(np.nanmedian(np.concatenate(unpaired))))


def is_wrong_word(words: NDArray[Any], true: Floats) -> NDArray[np.bool_]:
    """Return which words (studies, arms) name the direction of an effect (arms,) that is none, or the other way."""
    return np.asarray(((words == Verdict.HELPS) & (true <= 0)) | ((words == Verdict.HURTS) & (true >= 0)))


def equivalence_rates(scenario: Scenario, delta: float, studies: int, seed: Seed = 0) -> tuple[Rate, Rate, Rate]:
    """Return how often 'equivalent' is said, with a ``delta`` in standard deviations of the paired differences.

    Returns:
        Wrongly, of any arm of a study whose arms all have effects of exactly ``delta``; the same of ``-delta``;
        rightly, of an arm whose effect is 0 in a study of such arms.
    """
    rates = []
    for effect in (delta, -delta, 0.0):
        shares = []
        for found, _ in scenario.chunks(seed, studies, np.full(scenario.arms, effect)):
            p_equivalence = holm(equivalence_p(found, delta * scenario.paired_sd))
            words = decide(found.effect, holm(found.p), p_equivalence, maximise=True)
            is_said = words == Verdict.EQUIVALENT
            shares.append(is_said.any(axis=1).astype(float) if effect else is_said.mean(axis=1))
        rates.append(Rate.over(shares))
    above, below, rightly = rates
    return above, below, rightly


def power_rates(scenario: Scenario, effect: float, studies: int, seed: Seed = 0) -> tuple[Rate, Rate]:
    """Return how often the one arm of a study that has this effect is said to help; and by sign flips."""
    effects = np.zeros(scenario.arms)
    effects[0] = effect
    told, told_by_flips = [], []
    for found, p_flip in scenario.chunks(seed, studies, effects):
        words = decide(found.effect, holm(found.p), np.full_like(found.p, np.nan), maximise=True)
        told.append((words[:, 0] == Verdict.HELPS).astype(float))
        told_by_flips.append((holm(p_flip)[:, 0] < LEVEL).astype(float))
    return Rate.over(told), Rate.over(told_by_flips)


Pairs = tuple[tuple[int, int], ...]


def contrast_rates(
    scenario: Scenario, pairs: Pairs, studies: int, seed: Seed = 0, margin: float | None = None
) -> tuple[Rate, Rate]:
    """Return how often a study errs about any contrast of arms, and how often all simultaneous intervals hold.

    Args:
        scenario: The baseline is arm 0, the others follow.
        pairs: Of arms that are compared, one family.
        studies: How many.
        seed: Of the simulation.
        margin: Of one-sided tests, that an effect is above it, in standard deviations of the paired differences; the
            verdict is wrong where the true effect is not. None: the tests are two-sided.
    """
    draws = np.random.default_rng(seed)
    arm, against = np.array(pairs).T
    effects = np.concatenate([[0.0], scenario.effects])
    true = effects[arm] - effects[against]
    wrong, covered = [], []
    for begin in range(0, studies, CHUNK):
        values, baseline = scenario.scores(draws, min(CHUNK, studies - begin), scenario.effects)
        sides = np.concatenate([baseline, values], axis=1)
        found = paired_effects(sides[:, arm], sides[:, against], 1 - LEVEL / len(pairs))
        if margin is None:
            words = decide(found.effect, holm(found.p), np.full_like(found.p, np.nan), maximise=True)
            is_wrong = is_wrong_word(words, true)
        else:
            is_wrong = (holm(one_sided_p(found, margin * scenario.paired_sd, 1)) < LEVEL) & (true <= margin)
        wrong.append(is_wrong.any(axis=1).astype(float))
        true_scores = true * scenario.paired_sd
        covered.append(((found.low <= true_scores) & (true_scores <= found.high)).all(axis=1).astype(float))
    return Rate.over(wrong), Rate.over(covered)


def base_scenarios() -> list[Scenario]:
    """Return normal scores at every number of seeds and arms and every correlation, and with some effects."""
    without = [
        Scenario("normal", seeds=seeds, arms=arms, correlation=correlation)
        for arms in (5, 10, 20)
        for correlation in (0.0, 0.5, 0.9)
        for seeds in SEEDS
    ]
    name = "normal, every second arm has an effect of 2 paired sd"
    return without + [Scenario(name, seeds=seeds, half_effect=2) for seeds in SEEDS]


def hard_scenarios() -> list[Scenario]:
    """Return ten arms whose scores break an assumption, one after the other, at every number of seeds."""
    kinds = [
        Scenario("arms vary 3 times as much as the baseline", scale=3),
        Scenario("arms vary a third as much as the baseline", scale=1 / 3),
        Scenario("heavy tails (t, 3 degrees of freedom)", own=heavy, baseline_own=heavy),
        Scenario("skew, arms and baseline alike", own=skewed, baseline_own=skewed),
        Scenario("skew of the arms alone", own=skewed),
        Scenario("skew of the arms alone, which vary 3 times as much", own=skewed, scale=3),
        Scenario("skew of the baseline alone", baseline_own=skewed),
        Scenario("one run in 20 collapses, arms and baseline alike", own=collapsing, baseline_own=collapsing),
        Scenario("one run in 20 collapses, arms alone", own=collapsing),
        Scenario("scores rounded to half a standard deviation", step=0.5),
        Scenario("scores rounded to 2 standard deviations", step=2.0),
        Scenario("10% of all trials have no result", missing=0.1),
        Scenario("30% of all trials have no result", missing=0.3),
        Scenario("the worst 10% of the arms' runs fail, none of the baseline's", worst_missing=0.1),
    ]
    return [replace(kind, seeds=seeds) for kind in kinds for seeds in SEEDS]


def print_null(scenarios: list[Scenario], studies: int, seed: int) -> None:
    """Print how often a scenario's studies err, each scenario with random numbers of its own."""
    head = "| scores | arms | correlation | seeds | wrong verdict in a study, % | by sign flips, % | coverage, % "
    print(f"{head}| seeds if unpaired |")
    print("|---|---|---|---|---|---|---|---|")
    for row, s in enumerate(scenarios):
        rates = null_rates(s, studies, [seed, row])
        print(
            f"| {s.name} | {s.arms} | {s.correlation:g} | {s.seeds} | {rates.wrong} | {rates.wrong_by_flips} | "
            f"{rates.coverage} | {rates.unpaired:.1f} |",
            flush=True,
        )


def print_equivalence(studies: int, seed: int) -> None:
    """Print how often 'equivalent' is said, wrongly and rightly."""
    head = "| scores | seeds | delta / paired sd | said wrongly in a study, effects of delta, % | of -delta, % "
    print(f"{head}| said rightly of an arm, % |")
    print("|---|---|---|---|---|---|")
    for kind in (
        Scenario("normal"),
        Scenario("heavy tails (t, 3 degrees of freedom)", own=heavy, baseline_own=heavy),
        Scenario("skew of the arms alone", own=skewed),
        Scenario("skew of the arms alone, which vary 3 times as much", own=skewed, scale=3),
    ):
        for seeds in (*SEEDS, 20):
            for delta in (1.0, 2.0):
                rates = equivalence_rates(replace(kind, seeds=seeds), delta, studies, seed)
                print(f"| {kind.name} | {seeds} | {delta:g} | {' | '.join(map(str, rates))} |", flush=True)


def print_power(studies: int, seed: int) -> None:
    """Print how often an effect is told by the test that decides, by sign flips, and as the formula foretells."""
    effects = (0.5, 1.0, 1.5, 2.0, 3.0)
    print("| arms | seeds | by | " + " | ".join(f"{effect:g} sd" for effect in effects) + " |")
    print("|---|---|---|" + "---|" * len(effects))
    for arms in (1, 5, 10, 20):
        for seeds in (*SEEDS, 15):
            found = [power_rates(Scenario("normal", seeds, arms), effect, studies, seed) for effect in effects]
            foretold = 100 * power(np.array(effects), np.array(seeds), LEVEL / arms)
            print(f"| {arms} | {seeds} | paired t | " + " | ".join(f"{told.percent:.1f}" for told, _ in found) + " |")
            print("| | | formula | " + " | ".join(f"{share:.1f}" for share in foretold) + " |")
            if Scenario("normal", seeds, arms).flips_reach:
                print("| | | sign flips | " + " | ".join(f"{told.percent:.1f}" for _, told in found) + " |")
            sys.stdout.flush()


def print_contrasts(studies: int, seed: int) -> None:
    """Print how often studies err whose arms are compared with one another, and what simultaneous intervals hold."""
    beside = tuple((arm + 1, arm) for arm in range(1, 10, 2))
    chain = tuple((arm + 1, arm) for arm in range(1, 10))
    every = tuple((arm, other) for arm in range(1, 11) for other in range(1, arm))
    with_baseline = (*chain, *((arm, 0) for arm in range(1, 11)))
    nothing, every_second = Scenario("no arm has an effect"), Scenario("every second arm has one", half_effect=2)
    worse = Scenario("every second arm is worse by the margin", half_effect=-1)
    print("| scores | contrasts of 10 arms | test | seeds | wrong verdict in a study, % | all intervals hold, % |")
    print("|---|---|---|---|---|---|")
    for kind, name, pairs, margin in (
        (nothing, "5 of different arms", beside, None),
        (nothing, "9, each with the next", chain, None),
        (nothing, "these, and all against the baseline", with_baseline, None),
        (nothing, "all 45", every, None),
        (every_second, "all 45", every, None),
        (nothing, "9, each with the next", chain, 0.0),
        (worse, "5 of different arms", beside, -1.0),
    ):
        test = "two-sided" if margin is None else f"above {margin:g} sd"
        for seeds in SEEDS:
            rates = contrast_rates(replace(kind, seeds=seeds), pairs, studies, [seed, seeds], margin)
            print(f"| {kind.name} | {name} | {test} | {seeds} | {' | '.join(map(str, rates))} |", flush=True)


TABLES: dict[str, Callable[[int, int], None]] = {
    "Normal scores": lambda *how: print_null(base_scenarios(), *how),
    "Scores that break an assumption, no arm has an effect": lambda *how: print_null(hard_scenarios(), *how),
    "Equivalent": print_equivalence,
    "Contrasts of arms": print_contrasts,
    "Power": print_power,
}
"""Title to what prints the table, of a number of studies and the seed of the simulation."""
