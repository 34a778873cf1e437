"""The figure of importances: what is drawn."""

from pathlib import Path

from analysis import load
from analysis.figures.importance import record


def test_factors_stand_in_the_order_of_their_importance(search: Path) -> None:
    results = load(search)
    importances = record(results)
    assert importances is not None
    by_first_method = results.importance.query("method == 'ped-anova'")
    assert importances.factors == by_first_method["factor"].tolist()
    assert importances.factors[0] == "objective.cktf.temperature"
    assert len(importances.rows) == 6
    assert "51 complete arms (6 pruned and 3 failed" in importances.caption


def test_a_design_has_no_importances(ablation: Path) -> None:
    assert record(load(ablation)) is None
