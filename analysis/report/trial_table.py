"""Every trial, as the page's own table holds it: columns and cells of plain values, to be sorted and filtered there."""

import math
from typing import TYPE_CHECKING, Any

from analysis.results import Results
from analysis.wording import quantity

if TYPE_CHECKING:
    import pandas as pd


def trial_table(results: Results) -> dict[str, Any]:
    """Return the table of trials, in the order of planning, as JSON holds it.

    Returns:
        ``columns``: for each its ``name`` and ``title`` and, of one that holds numbers, the ``decimals`` to be shown;
        ``rows``: for each trial its cells, None where there is no value.
    """
    study, trials = results.facts.study, results.trials
    context = [_column("context", "context")] if len(results.contexts) > 1 else []
    columns = [
        _column("number", "trial", 0),
        *context,
        _column("arm", "arm"),
        _column("seed", "seed", 0),
        _column("stage", "stage"),
        _column("status", "status"),
        _column("epochs", "epochs", 0),
        *(
            _column(metric, quantity(metric).label, quantity(metric).decimals)
            for metric in dict.fromkeys((study.metric, study.report_metric))
        ),
        _column("wall_seconds", "training time (s)", 1),
        _column("reason", "reason"),
    ]
    # People count from one.
    shown = trials.assign(number=trials["number"] + 1)[[column["name"] for column in columns]]
    cells = [
        _numbers(shown[column["name"]], column["decimals"])
        if "decimals" in column
        else shown[column["name"]].astype(str).tolist()
        for column in columns
    ]
    return {"columns": columns, "rows": [list(row) for row in zip(*cells, strict=True)]}


def _column(name: str, title: str, decimals: int | None = None) -> dict[str, Any]:
    return {"name": name, "title": title} | ({} if decimals is None else {"decimals": decimals})


def _numbers(values: "pd.Series[Any]", decimals: int) -> list[float | int | None]:
    """Return numbers, those that JSON cannot hold as None; two digits beyond those shown, by which they are sorted."""
    return [
        None if not math.isfinite(value) else round(value, decimals + 2) if decimals else int(value)
        for value in values.astype("float64").tolist()
    ]
