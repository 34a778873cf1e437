"""Effects on further measures: families of their own, the right direction, and which are judged at all."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.any_table import as_trials
from analysis.statistics.effects import effects
from analysis.statistics.measures import measure_effects


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    drawn = np.random.default_rng(3)
    rows = [(arm, seed) for arm in ("baseline", "a", "b") for seed in range(6)]
    frame = pd.DataFrame(rows, columns=["arm", "seed"]).assign(test_accuracy=50 + drawn.normal(size=18))
    table = as_trials(frame, metric="test_accuracy", baseline="baseline")
    lower = table["arm"].eq("a") * 3.0
    measures: dict[str, Any] = {
        "measure.test_ece": 9 - lower + drawn.normal(size=18),
        "measure.validation_ece": 9.0,
        "measure.flops": table["arm"].map({"baseline": 100.0, "a": 50.0, "b": 100.0}),
        "measure.test_gone": np.nan,
    }
    return table.assign(**measures)


MEASURES = dict.fromkeys(("measure.validation_ece", "measure.test_ece", "measure.flops", "measure.test_gone"), False)


def test_each_measure_is_a_family_of_its_own(trials: pd.DataFrame) -> None:
    found = measure_effects(trials, MEASURES, besides="test_accuracy")
    assert found["metric"].unique().tolist() == ["measure.test_ece", "measure.flops"]
    own = effects(trials, metric="measure.test_ece", maximise=False)
    pd.testing.assert_frame_equal(found[found["metric"] == "measure.test_ece"].reset_index(drop=True), own)
    a = found.iloc[0]
    assert (a["arm"], a["verdict"]) == ("a", "helps")  # smaller is better
    assert a["p_holm"] == pytest.approx(2 * a["p"])  # over its two comparisons, not over all four


def test_a_number_that_seeds_do_not_move_has_a_difference_and_no_test(trials: pd.DataFrame) -> None:
    found = measure_effects(trials, MEASURES, besides="test_accuracy").set_index(["metric", "arm"])
    flops = found.xs(("measure.flops", "a"))
    assert (flops["effect"], flops["reason"]) == (-50, "all 6 differences are equal: no error to test against")


def test_where_a_measure_decides_accuracy_is_one_of_the_others(trials: pd.DataFrame) -> None:
    found = measure_effects(trials, MEASURES, besides="measure.test_ece")
    assert found["metric"].unique().tolist() == ["test_accuracy", "measure.flops"]
    assert measure_effects(trials, {}, besides="measure.test_ece").empty
