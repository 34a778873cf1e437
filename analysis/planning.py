"""The effects that a study can detect, computed before anything is trained."""

from collections.abc import Mapping

import numpy as np

from analysis.results import Results
from analysis.statistics.races import raced
from analysis.statistics.verdicts import POWER, mde
from cktf.errors import InputError
from cktf.looks import Race
from cktf.verdicts import LEVEL

RACES = 400
"""Number of races that are simulated to compute the expected number of seeds."""

MOST_RACED = 100
"""Largest number of arms in a simulated race."""


def detectable_text(
    comparisons: int,
    n: int,
    *,
    is_one_sided: bool = False,
    margin: float = 0.0,
    sds: Mapping[str, float] | None = None,
    is_race: bool = False,
) -> str:
    """Return a text on the effect that a study detects at n seeds, or a race at its last look.

    ``comparisons`` is the number of comparisons in a family. The margin, and ``sds``, expected standard deviations of
    the differences keyed by their origin, are in the unit of the metric.
    """
    beyond = f"beyond the margin of {margin:g} " if margin else ""
    if n < 2:
        return f"one seed: no effect can be told from {f'{margin:g}' if margin else '0'}"
    level = f"{LEVEL}/{comparisons}" if comparisons > 1 else f"{LEVEL}"
    # One-sided, the test has all of its level on the one side.
    size = float(mde(np.array(n), (2 if is_one_sided else 1) * LEVEL / comparisons, np.array(1.0)))
    found = [f"{size * sd + margin:.3g} at a deviation of {sd:.3g} ({origin})" for origin, sd in (sds or {}).items()]
    points = f"; in the unit of the metric: {', '.join(found)}" if found else ""
    return (
        f"detectable: an effect {beyond}of {size:.1f} standard deviations of the differences at {n} seeds "
        f"({POWER:.0%} power at level {level}{', one-sided' if is_one_sided else ''}"
        f"{', if judged once, at the last look' if is_race else ''}){points}"
    )


def race_text(race: Race, futility: float, comparisons: int, *, from_margin: bool = False) -> str:
    """Return how many seeds a race is expected to give to arms with and without an effect, by simulation.

    The race has its margin and delta in standard deviations of the differences; with ``from_margin``, effects are
    counted from a margin whose size in standard deviations is unknown.
    """
    draws, arms = np.random.default_rng(0), min(comparisons, MOST_RACED)
    differences = draws.standard_normal((RACES, arms, race.looks[-1]))
    differences[:, 0] += 1
    seeds = raced(race, futility, differences, LEVEL / comparisons)[0].mean(axis=0)
    beyond, none = (" beyond the margin", "at the margin") if from_margin else ("", "without any")
    others = f", {seeds[1:].mean():.1f} of an arm {none}" if arms > 1 else ""
    return (
        f"a race with looks at {', '.join(map(str, race.looks))} seeds: of {race.looks[-1]}, it is expected to take "
        f"{seeds[0]:.1f} of an arm with an effect of one standard deviation of the differences{beyond}{others}; the "
        "baseline runs as long as any arm does"
    )


def sds_of(results: Results, metric: str) -> dict[str, float]:
    """Return the median and the largest standard deviation of the differences in a run's comparisons, by their origin.

    Raises:
        InputError: If it is a smoke run or reports another metric, or no comparison of it has two pairs whose
            differences vary.
    """
    study = results.facts.study
    if study.is_smoke:
        raise InputError(f"--sd-from: run {study.run} is a smoke run, whose numbers mean nothing")
    if study.report_metric != metric:
        raise InputError(f"--sd-from: run {study.run} reports {study.report_metric}; this study reports {metric}")
    sds = results.effects.loc[results.effects["p"].notna(), "sd"]
    if sds.empty:
        raise InputError(f"--sd-from: run {study.run} has no comparison with an interval, so no deviation is known")
    of = f"of the {len(sds)} comparisons of {study.run}" if len(sds) > 1 else f"of the comparison of {study.run}"
    found = {f"the median {of}": float(sds.median()), f"the largest {of}": float(sds.max())}
    return found if len(sds) > 1 else {f"that {of}": float(sds.iloc[0])}
