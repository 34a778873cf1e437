"""What holds for other images, other contexts and two questions at once: simulated studies through `analysis`.

**Images.** An image is right where *item + arm on this item + seed + arm at this seed + noise* is above 0, as the same
test images score every arm and seed. The truth is what holds for all images that could have been drawn. **Both
questions** and **contexts** are normal scores, as those of `null_study` and `null_contexts`.

`benchmarks/simulations.py` runs this; each rate is printed with its Monte Carlo standard error.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics.crossed import crossed_mean
from analysis.statistics.over_contexts import over_contexts
from analysis.statistics.paired import equivalence_p, paired_effects
from cktf.verdicts import LEVEL, adjusted, holm

Floats = NDArray[np.float64]

ARM_ON_ITEM = {"none": 0.0, "middle": 0.25, "large": 0.6}
"""How much an arm does to single images, in standard deviations of the noise."""


def percent(shares: Floats) -> str:
    """Return the mean of shares, one a study, in per cent, and its Monte Carlo standard error."""
    return f"{100 * shares.mean():.1f} ± {100 * shares.std() / np.sqrt(len(shares)):.1f}"


def image_scores(draws: np.random.Generator, seeds: int, images: int, arm_on_item: float) -> Floats:
    """Return differences in correctness (seeds, images) in points; their mean over all images and seeds is 0.

    Arm and baseline are alike but for what each does on single images and at single seeds.
    """
    item = 0.9 + 1.5 * draws.standard_normal(images)
    shared = 0.05 * draws.standard_normal((seeds, 1))
    sides = [
        item
        + arm_on_item * draws.standard_normal(images)
        + shared
        + 0.05 * draws.standard_normal((seeds, 1))
        + draws.standard_normal((seeds, images))
        > 0
        for _ in range(2)
    ]
    return 100 * (sides[0].astype(np.float64) - sides[1])


def image_coverage(seeds: int, images: int, arm_on_item: float, studies: int, seed: int) -> tuple[Floats, Floats]:
    """Return whether the interval over seeds, and that over seeds and images, hold 0: (studies,) each."""
    draws = np.random.default_rng([seed, seeds, images, int(100 * arm_on_item)])
    rows = []
    for _ in range(studies):
        found = image_scores(draws, seeds, images, arm_on_item)
        over_seeds = paired_effects(found.mean(axis=1), np.zeros(seeds))
        both = crossed_mean(found)
        rows.append([side.low <= 0 <= side.high for side in (over_seeds, both)])
    alone, together = np.array(rows, np.float64).T
    return alone, together


def print_images(studies: int, seed: int) -> None:
    """Print how often both intervals hold the effect on all images."""
    print("| arm on single images | images | seeds | over seeds, % | also over images, % |")
    print("|---|---|---|---|---|")
    for name, size in ARM_ON_ITEM.items():
        for images in (360, 1000, 10_000):
            for seeds in (3, 5, 12):
                count = studies if images < 10_000 else studies // 4
                alone, together = image_coverage(seeds, images, size, count, seed)
                print(f"| {name} | {images:,} | {seeds} | {percent(alone)} | {percent(together)} |", flush=True)


def questions(seeds: int, true: Floats, delta: float, studies: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return of each study whether any word is wrong, in one family and in two, and the share of true ones in one.

    Args:
        seeds: Of every arm.
        true: (arms,) effects, in standard deviations of the differences.
        delta: The smallest effect that matters, likewise.
        studies: How many.
        seed: Of the draws.
    """
    draws = np.random.default_rng([seed, seeds, len(true)])
    own, shared = (draws.standard_normal((studies, arms, seeds)) / np.sqrt(2) for arms in (len(true), 1))
    found = paired_effects(true[:, np.newaxis] + own, shared)
    raw = np.stack([found.p, equivalence_p(found, delta)], axis=1)
    is_false = np.stack([true == 0, np.abs(true) >= delta])
    said = np.stack(adjusted(raw[:, 0], raw[:, 1]), axis=1) < LEVEL
    apart = holm(raw) < LEVEL
    wrong, wrong_apart = ((words & is_false).any(axis=(1, 2)).astype(np.float64) for words in (said, apart))
    return wrong, wrong_apart, said[:, ~is_false].mean(axis=1)


def print_questions(studies: int, seed: int) -> None:
    """Print how often any word is wrong where effects and equivalence are asked for at once."""
    print("| arms | seeds | effects | any word wrong, % | by Holm's method for each, % | right words said, % |")
    print("|---|---|---|---|---|---|")
    for arms in (1, 2, 5, 20):
        for seeds in (5, 12):
            for name, true in (("0", np.zeros(arms)), ("0, delta", np.where(np.arange(arms) % 2, 1.0, 0.0))):
                if arms > 1 or name == "0":
                    rates = questions(seeds, true, 1.0, studies, seed)
                    shown = " | ".join(percent(rate) for rate in rates)
                    print(f"| {arms} | {seeds} | {name} | {shown} |", flush=True)


def context_rates(contexts: int, arms: int, effect: float, studies: int, seed: int) -> tuple[Floats, Floats]:
    """Return of each study of three seeds whether any arm without effect is told from the baseline, and the first one.

    What an arm does in one context varies by half of the noise. ``effect`` is that of the first arm, in standard
    deviations of what a context shows of an arm. Each context's seeds are its own.
    """
    draws = np.random.default_rng([seed, contexts, arms])
    true = np.zeros((arms, 1))
    true[1] = effect * np.sqrt(2 * (0.25 + 1 / 3))
    scores = true + 0.5 * draws.standard_normal((studies, contexts, arms, 1))
    scores = scores + draws.standard_normal((studies, contexts, arms, 3))
    residuals = scores - scores.mean(axis=2, keepdims=True) - scores.mean(axis=3, keepdims=True)
    residuals += scores.mean(axis=(2, 3), keepdims=True)
    noise = np.sqrt((residuals**2).sum(axis=(2, 3)) / ((arms - 1) * 2))
    found = (scores[:, :, 1:] - scores[:, :, :1]).mean(axis=3)
    units = found / noise[..., np.newaxis]
    statistic = units.mean(axis=1) / units.std(axis=1, ddof=1) * np.sqrt(contexts)
    told = holm(2 * stats.t.sf(np.abs(statistic), contexts - 1)) < LEVEL
    # What is computed here for thousands of studies is what the report computes, as of the first one.
    names = [str(place) for place in range(contexts)]
    cells = [(context, str(arm), "m", found[0, int(context), arm]) for context in names for arm in range(arms - 1)]
    frame = pd.DataFrame(cells, columns=["context", "arm", "metric", "effect"])
    frame = frame.assign(against="baseline", against_baseline=True)
    table = over_contexts(frame, dict(zip(names, noise[0], strict=True)), maximise=True)
    assert ((table["p_in_noise_holm"] < LEVEL) == told[0]).all()
    wrong = told[:, 1 if effect else 0 :].any(axis=1)
    return np.asarray(wrong, np.float64), np.asarray(told[:, 0] & (statistic[:, 0] > 0), np.float64)


def print_contexts(studies: int, seed: int) -> None:
    """Print errors and power of the test over contexts."""
    print("| contexts | arms | wrong in a study, % | 1.5 sd, % | 3 sd, % |")
    print("|---|---|---|---|---|")
    for contexts, arms in ((4, 5), (5, 3), (7, 10), (10, 10)):
        wrong, _ = context_rates(contexts, arms, 0.0, studies, seed)
        power = [context_rates(contexts, arms, size, studies, seed)[1] for size in (1.5, 3.0)]
        shown = " | ".join(f"{100 * share.mean():.0f}" for share in power)
        print(f"| {contexts} | {arms} | {percent(wrong)} | {shown} |", flush=True)


TABLES: dict[str, Callable[[int, int], None]] = {
    "Intervals over unseen images": print_images,
    "Effects and equivalence, one family": print_questions,
    "Over contexts, effects in units of noise": print_contexts,
}
"""Title to what prints the table, of a number of studies and the seed of the simulation."""
