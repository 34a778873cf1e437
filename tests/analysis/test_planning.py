"""What a study can find, before anything is trained."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from analysis import load
from analysis.planning import detectable_text, race_text, sds_of
from cktf.errors import InputError
from cktf.looks import Race


def found_with_power(comparisons: int, n: int, *, sides: int = 2) -> float:
    """Return the effect in standard deviations that noncentral t distributions give."""
    critical = stats.t.isf(0.05 / comparisons / sides, n - 1)
    return float(brentq(lambda size: stats.nct.sf(critical, n - 1, size * math.sqrt(n)) - 0.8, 0.1, 30))


def test_what_a_plan_detects_is_said_in_deviations() -> None:
    assert detectable_text(20, 3) == (
        "detectable: an effect of 14.6 standard deviations of the differences at 3 seeds (80% power at level 0.05/20)"
    )
    assert detectable_text(1, 8).startswith("detectable: an effect of 1.2 standard deviations")
    assert detectable_text(4, 1) == "one seed: no effect can be told from 0"


def test_a_hundred_and_eleven_comparisons_at_five_seeds_need_nearly_six_deviations() -> None:
    size = found_with_power(111, 5)
    assert size == pytest.approx(5.84, abs=0.01)
    assert f"an effect of {size:.1f} standard deviations" in detectable_text(111, 5)


def test_one_sided_and_in_the_unit_of_the_metric_beyond_a_margin() -> None:
    size = found_with_power(3, 8, sides=1)
    said = detectable_text(3, 8, is_one_sided=True, margin=-0.5, sds={"of a pilot": 0.8})
    assert said == (
        f"detectable: an effect beyond the margin of -0.5 of {size:.1f} standard deviations of the differences at 8 "
        "seeds (80% power at level 0.05/3, one-sided); in the unit of the metric: "
        f"{size * 0.8 - 0.5:.3g} at a deviation of 0.8 (of a pilot)"
    )


def seeds_of(text: str) -> list[float]:
    """Return the seeds that a race leaves of the arm with an effect, and of one without."""
    return [float(found) for found in re.findall(r"([0-9.]+) of an arm", text)]


def test_a_race_is_judged_once_for_what_is_detectable_and_its_seeds_are_simulated() -> None:
    assert "(80% power at level 0.05, if judged once, at the last look)" in detectable_text(1, 20, is_race=True)
    race = Race((5, 8, 12, 20), "power2")
    said = race_text(race, 0.1, 3)
    assert said.startswith("a race with looks at 5, 8, 12, 20 seeds: of 20, it is expected to take ")
    with_effect, without = seeds_of(said)
    assert 5 < with_effect < 20
    assert 5 < without < 20
    assert len(seeds_of(race_text(race, 0.1, 1))) == 1
    one_sided = race_text(Race((5, 8, 12, 20), "power2", 1), 0.1, 3)
    beyond = race_text(Race((5, 8, 12, 20), "power2", 1), 0.1, 3, from_margin=True)
    assert seeds_of(beyond) == seeds_of(one_sided)
    assert "of the differences beyond the margin, " in beyond
    assert "of an arm at the margin; " in beyond
    # Both effects lie further from a margin below 0.
    assert max(seeds_of(race_text(Race((5, 8, 12, 20), "power2", 1, -2.0), 0.1, 3))) < min(seeds_of(one_sided))


def test_an_earlier_run_has_deviations(ablation: Path) -> None:
    results = load(ablation)
    sds = results.effects["sd"]
    found = sds_of(results, "test_accuracy")
    assert list(found.values()) == [float(np.median(sds)), float(sds.max())]
    assert next(iter(found)) == "the median of the 4 comparisons of run-1"
    with pytest.raises(InputError, match="run-1 reports test_accuracy; this study reports test_loss"):
        sds_of(results, "test_loss")


def test_a_run_of_one_seed_has_none(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(seeds=1)
    with pytest.raises(InputError, match="run-1 has no comparison with an interval"):
        sds_of(load(ledger.close()), "test_accuracy")


def test_a_smoke_run_says_nothing_about_deviations(ablation_writer: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="--sd-from: run run-1 is a smoke run"):
        sds_of(load(ablation_writer(is_smoke=True).close()), "test_accuracy")
