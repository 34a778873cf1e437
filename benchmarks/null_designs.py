"""What other designs of evidence are worth: unpaired seeds, folds as clusters, and ranks of which some are missing.

Nothing has an effect in these studies, so that every verdict is an error. `benchmarks/simulations.py` runs this; each
rate is printed with its Monte Carlo standard error.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.paired import PairedEffects, paired_effects
from analysis.statistics.ranks import nemenyi_p, rank_error, ranks_in_blocks
from analysis.statistics.skillings_mack import skillings_mack, standardised_differences
from analysis.statistics.unpaired import welch_effects
from benchmarks.null_contexts import Contexts, percent
from cktf.verdicts import LEVEL, holm

Floats = NDArray[np.float64]

ARMS = 5
"""Besides the baseline."""

SEEDS = 3
"""Of every arm in each fold."""


def unpaired_rates(
    n_arm: int, n_baseline: int, scale: float, shape: float, studies: int, seed: int
) -> dict[str, Floats]:
    """Return for each study whether an arm is told from the baseline, and the share of its intervals that hold 0.

    Args:
        n_arm: Seeds of each arm.
        n_baseline: Seeds of the baseline, none of which is an arm's.
        scale: Standard deviation of the arms, in that of the baseline.
        shape: Of the gamma distribution that scores have; 0: of the normal one.
        studies: How many.
        seed: Of the simulation.
    """
    draws = np.random.default_rng([seed, n_arm, n_baseline])

    def scores(arms: int, n: int) -> Floats:
        if shape:
            return np.asarray((draws.gamma(shape, size=(studies, arms, n)) - shape) / np.sqrt(shape))
        return draws.standard_normal((studies, arms, n))

    return _rates(welch_effects(scale * scores(ARMS, n_arm), scores(1, n_baseline)))


def cluster_rates(folds: int, differs: float, studies: int, seed: int) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return the same of arms in folds, each a replicate, and what it were if each seed in each fold was one.

    Args:
        folds: How many.
        differs: Standard deviation of what an arm does in one fold, in that of the noise.
        studies: How many.
        seed: Of the simulation.
    """
    draws = np.random.default_rng([seed, folds])
    of_folds = differs * draws.standard_normal((studies, ARMS + 1, folds, 1))
    scores = of_folds + draws.standard_normal((studies, ARMS + 1, folds, SEEDS))
    each, means = scores.reshape(studies, ARMS + 1, -1), scores.mean(axis=-1)
    over_folds, over_all = (_rates(paired_effects(side[:, 1:], side[:, :1])) for side in (means, each))
    return over_folds, over_all


def _rates(found: PairedEffects) -> dict[str, Floats]:
    return {
        "wrong": (holm(found.p) < LEVEL).any(axis=1).astype(np.float64),
        "coverage": ((found.low <= 0) & (found.high >= 0)).mean(axis=1),
    }


def rank_rates(scenario: Contexts, missing: float, studies: int, seed: int) -> dict[str, Floats]:
    """Return for each study whether Skillings' and Mack's test rejects, and whether an arm is told from the baseline.

    Args:
        scenario: How scores come about.
        missing: Share of the arms that a context lacks, at random; it has the baseline, and one other at least.
        studies: How many.
        seed: Of the simulation.
    """
    draws, rows = np.random.default_rng([seed, 1]), []
    for scores in scenario.studies(seed, studies):
        values = scores.mean(axis=-1)
        order = draws.random((scenario.contexts, scenario.arms - 1))
        lacks = (order < missing) & (order > order.min(axis=1, keepdims=True))
        values[:, 1:][lacks] = np.nan
        in_blocks = ranks_in_blocks(values[:, np.isfinite(values).any(axis=0)], maximise=True)
        p = skillings_mack(in_blocks)[1]
        ahead = standardised_differences(in_blocks, 0)[1:] * rank_error(scenario.arms, scenario.contexts)
        told = nemenyi_p(ahead, scenario.arms, scenario.contexts) < LEVEL
        rows.append([p < LEVEL, p < LEVEL and told.any()])
    rejects, baseline = np.array(rows, dtype=np.float64).T
    return {"rejects": rejects, "baseline": baseline}


def print_unpaired(studies: int, seed: int) -> None:
    """Print how often Welch's test errs."""
    print(
        "| scores | sd of arms / baseline | seeds of an arm | of the baseline | any verdict, % | coverage of 95%, % |"
    )
    print("|---|---|---|---|---|---|")
    for name, shape in (("normal", 0.0), ("skewed (gamma, shape 2)", 2.0)):
        for scale in (1.0, 3.0):
            for n_arm, n_baseline in ((3, 3), (5, 5), (10, 10), (5, 10), (3, 20)):
                rates = unpaired_rates(n_arm, n_baseline, scale, shape, studies, seed)
                shown = " | ".join(percent(rates[each]) for each in ("wrong", "coverage"))
                print(f"| {name} | {scale:g} | {n_arm} | {n_baseline} | {shown} |", flush=True)


def print_clusters(studies: int, seed: int) -> None:
    """Print how often a test over folds errs, and one that takes all seeds of all folds for replicates."""
    print("| folds | differs by fold / noise | any verdict, % | coverage of 95%, % | any verdict over all seeds, % |")
    print("|---|---|---|---|---|")
    for folds in (4, 5, 10):
        for differs in (0.0, 0.5, 1.0, 2.0):
            rates, over_all = cluster_rates(folds, differs, studies, seed)
            shown = " | ".join(percent(each) for each in (rates["wrong"], rates["coverage"], over_all["wrong"]))
            print(f"| {folds} | {differs:g} | {shown} |", flush=True)


def print_missing_ranks(studies: int, seed: int) -> None:
    """Print how often arms that are alike are told apart by ranks of which some are missing."""
    print("| contexts | arms | missing | the test rejects, % | an arm told from the baseline, % |")
    print("|---|---|---|---|---|")
    for contexts in (5, 10, 20):
        for arms in (5, 10):
            for missing in (0.1, 0.3, 0.5):
                rates = rank_rates(Contexts(contexts, arms), missing, studies // 2, seed)
                shown = " | ".join(percent(rates[each]) for each in ("rejects", "baseline"))
                print(f"| {contexts} | {arms} | {missing:.0%} | {shown} |", flush=True)


TABLES: dict[str, Callable[[int, int], None]] = {
    "Unpaired seeds, no arm has an effect": print_unpaired,
    "Folds as clusters, no arm has an effect": print_clusters,
    "Ranks of which some are missing, no arm has an effect": print_missing_ranks,
}
"""Title to what prints the table, of a number of studies and the seed of the simulation."""
