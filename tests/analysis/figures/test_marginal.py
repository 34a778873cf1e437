"""Marginal effects of numeric factors: what is drawn."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis import load
from analysis.figures.marginal import record

TEMPERATURE, THETA, PAIRING = (f"objective.cktf.{name}" for name in ("temperature", "theta", "pairing"))


def test_a_factor_runs_through_its_arms_and_the_baseline(ablation: Path) -> None:
    results = load(ablation)
    marginals = record(results)
    assert marginals is not None
    assert marginals.axis == "effect on test accuracy (percentage points)"
    (panel,) = marginals.panels  # theta has two levels, which are one effect; pairing has words
    assert (panel.title, panel.axis, panel.reference) == ("cktf.temperature  (n = 5)", "cktf.temperature", 0.1)
    assert [row["level"] for row in panel.rows] == [0.05, 0.1, 0.5]
    scores = results.trials.pivot(index="seed", columns="arm", values="test_accuracy")
    for row, arm in ((panel.rows[0], "temperature=0.05"), (panel.rows[2], "temperature=0.5")):
        difference = (scores[arm] - scores["baseline"]).to_numpy()
        half = stats.t.ppf(0.975, 4) * difference.std(ddof=1) / np.sqrt(5)
        assert row["value"] == pytest.approx(difference.mean())
        assert (row["low"], row["high"]) == pytest.approx((row["value"] - half, row["value"] + half))
    assert panel.rows[1] == {"level": 0.1, "value": 0.0, "low": None, "high": None, "n": 5}
    assert panel.is_log  # 0.05, 0.1, 0.5


def test_in_a_grid_a_level_is_averaged_over_the_other_factor(grid: Path) -> None:
    results = load(grid)
    marginals = record(results)
    assert marginals is not None
    (panel,) = marginals.panels
    means = results.trials.groupby(f"param.{TEMPERATURE}")["test_accuracy"].mean()
    assert [row["level"] for row in panel.rows] == [0.1, 0.5, 1.0]
    assert [row["value"] for row in panel.rows] == pytest.approx([level - means[0.1] for level in means])
    assert not panel.is_log  # 0.1, 0.5, 1: nearer to equal steps than to equal ratios
    assert panel.title.endswith("(n = 20)")  # of the two levels that are compared
    assert "averaged over the other factors of the grid" in marginals.caption


def test_a_search_has_none(search: Path) -> None:
    assert record(load(search), (TEMPERATURE,)) is None


def test_a_factor_without_numbers_has_no_axis(ablation: Path) -> None:
    assert record(load(ablation), (PAIRING,)) is None
