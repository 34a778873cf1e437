"""What tests over several contexts are worth: simulated studies through the functions that make `ranks.parquet`.

Simulated is the score of an arm in a context at a seed::

    effect + what the arm does in this context + shift of the seed in it + luck of arm and seed in all contexts + noise

with a noise of standard deviation 1. Effects are told in standard deviations of what a context shows of an arm: of the
difference of its mean to the baseline's.

`benchmarks/simulations.py` runs this; each rate is printed with its Monte Carlo standard error. It holds one study at a
time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.ranks import critical_difference, friedman, ranks_in_blocks
from cktf.verdicts import LEVEL

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contexts:
    """How the scores of a study in several contexts come about.

    Attributes:
        contexts: How many.
        arms: With the baseline, which is the first one.
        seeds: Of every arm in every context.
        differs: Standard deviation of what an arm does in one context, in that of the noise.
        luck: Of what an arm gains at a seed in all contexts alike.
        effect: True effect of the second arm, in standard deviations of a context's difference.
    """

    contexts: int
    arms: int
    seeds: int = 3
    differs: float = 0.5
    luck: float = 0.0
    effect: float = 0.0

    @property
    def difference_sd(self) -> float:
        """Of what one context shows of an arm against the baseline."""
        return float(np.sqrt(2 * (self.differs**2 + 1 / self.seeds)))

    def studies(self, seed: int, count: int) -> Iterator[Floats]:
        """Yield the scores of studies, each (contexts, arms, seeds)."""
        draws = np.random.default_rng([seed, self.contexts, self.arms])
        true = np.zeros((1, self.arms, 1))
        true[0, 1] = self.effect * self.difference_sd
        for _ in range(count):
            yield (
                true
                + self.differs * draws.standard_normal((self.contexts, self.arms, 1))
                + draws.standard_normal((self.contexts, 1, self.seeds))
                + self.luck * draws.standard_normal((1, self.arms, self.seeds))
                + draws.standard_normal((self.contexts, self.arms, self.seeds))
            )


def rank_rates(scenario: Contexts, studies: int, seed: int = 0) -> dict[str, Floats]:
    """Return for each study whether Friedman's test rejects, and whether Nemenyi's, where it does, tells arms apart.

    Returns:
        ``rejects``; ``pair`` (any two arms told apart), ``baseline`` (any arm told from it), ``second`` (the second arm
        told to be better than it), each (studies,) of 0 and 1.
    """
    least = critical_difference(scenario.arms, scenario.contexts)
    rows = []
    for scores in scenario.studies(seed, studies):
        values = scores.mean(axis=-1)
        rejects = friedman(values)[1] < LEVEL
        mean_ranks = ranks_in_blocks(values, maximise=True).mean(axis=0)
        ahead = mean_ranks[0] - mean_ranks[1:]
        rows.append(
            [
                rejects,
                rejects and np.ptp(mean_ranks) >= least,
                rejects and np.abs(ahead).max() >= least,
                rejects and ahead[0] >= least,
            ]
        )
    columns = np.array(rows, dtype=np.float64).T
    return dict(zip(("rejects", "pair", "baseline", "second"), columns, strict=True))


def percent(shares: Floats) -> str:
    """Return the mean of shares, one a study, in per cent, and its Monte Carlo standard error."""
    return f"{100 * shares.mean():.1f} ± {100 * shares.std() / np.sqrt(len(shares)):.1f}"


def print_ranks(studies: int, seed: int) -> None:
    """Print how often arms that are all alike are told apart by their ranks."""
    print(
        "| contexts | arms | Friedman's test rejects, % | two arms told apart, % | an arm told from the baseline, % |"
    )
    print("|---|---|---|---|---|")
    for contexts in (5, 7, 10, 20):
        for arms in (3, 5, 10, 17):
            rates = rank_rates(Contexts(contexts, arms), studies, seed)
            shown = " | ".join(percent(rates[name]) for name in ("rejects", "pair", "baseline"))
            print(f"| {contexts} | {arms} | {shown} |", flush=True)


def print_luck(studies: int, seed: int) -> None:
    """Print what comes of seeds that favour the same arm in all contexts."""
    print("| luck / noise | contexts | seeds | Friedman's test rejects, % | two arms told apart, % |")
    print("|---|---|---|---|---|")
    for luck in (0.25, 0.5, 1.0):
        for contexts, seeds in ((5, 3), (10, 3), (10, 10)):
            rates = rank_rates(Contexts(contexts, 10, seeds, luck=luck), studies, seed)
            print(
                f"| {luck:g} | {contexts} | {seeds} | {percent(rates['rejects'])} | {percent(rates['pair'])} |",
                flush=True,
            )


def print_power(studies: int, seed: int) -> None:
    """Print how often the one arm that is better is told to be."""
    effects = (1.0, 2.0, 3.0)
    print("| contexts | arms | " + " | ".join(f"{effect:g} sd, %" for effect in effects) + " |")
    print("|---|---|" + "---|" * len(effects))
    for contexts in (5, 7, 10, 20):
        for arms in (3, 10):
            scenario = Contexts(contexts, arms)
            told = [rank_rates(replace(scenario, effect=effect), studies, seed)["second"] for effect in effects]
            shown = " | ".join(f"{100 * share.mean():.0f}" for share in told)
            print(f"| {contexts} | {arms} | {shown} |", flush=True)


TABLES: dict[str, Callable[[int, int], None]] = {
    "Ranks, no arm has an effect": print_ranks,
    "Ranks, seeds favour an arm in all contexts alike": print_luck,
    "Power over contexts": print_power,
}
"""Title to what prints the table, of a number of studies and the seed of the simulation."""
