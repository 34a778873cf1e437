"""The figure of importances: what is drawn."""

from pathlib import Path

from analysis import load
from analysis.figures.importance import record
from cktf.rows import Stage
from tests.analysis.ledgers import LedgerWriter, study_row


def test_factors_stand_in_the_order_of_their_importance(search: Path) -> None:
    results = load(search)
    importances = record(results)
    assert importances is not None
    factors = list(dict.fromkeys(row["factor"] for row in importances.rows))
    by_first_method = results.importance.query("method == 'ped-anova'")
    assert factors[:-1] == by_first_method["factor"].tolist()
    assert factors[0] == "objective.cktf.temperature"
    assert factors[-1] == "interactions"
    assert len(importances.rows) == 7
    assert "n = 57 arms (6 of them pruned; 3 failed ones are left out)" in importances.caption
    assert "fANOVA compares all arms after 2 scored epochs" in importances.caption


def test_a_factor_without_a_mark_has_a_reason(ledger: LedgerWriter) -> None:
    ledger.add(study_row(design="search", factors=["theta", "width"]))
    for number in range(20):
        params = {"theta": number / 20} | ({"width": number} if number % 2 else {})
        ledger.train(ledger.plan(f"arm{number}", 0, params, Stage.SEARCH), 80.0 + number, tests=False)
    importances = record(load(ledger.close()))
    assert importances is not None
    assert importances.caption.endswith(" fANOVA has no mark at width: not every arm has this factor.")


def test_every_share_has_an_interval(search: Path) -> None:
    importances = record(load(search))
    assert importances is not None
    assert all(row["low"] < row["high"] for row in importances.rows)
