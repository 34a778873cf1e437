"""The table of all trials on the page, which can be sorted and filtered there: columns, and cells of plain values."""

import math
from typing import Any

from analysis.results import Results
from analysis.statistics.over_teachers import TEACHER_SEED, are_crossed
from analysis.wording import brief, quantity


def trial_table(results: Results) -> dict[str, Any]:
    """Return the table of trials, in the order of planning, as JSON holds it.

    Returns:
        ``columns``: for each its ``name``, its ``title`` and, if it holds numbers, the ``decimals`` to be shown;
        ``rows``: for each trial its cells, None where there is no value.
    """
    study, trials = results.facts.study, results.trials
    measured = {name: quantity(name) for name in (study.metric, study.report_metric)}
    are_exact = not (trials["seed"].abs() > 2**53).any()  # larger ones are no numbers of JavaScript: they are texts
    titles: dict[str, tuple[str, int | None]] = {
        "number": ("trial", 0),
        **({"context": ("context", None)} if len(results.contexts) > 1 else {}),
        "arm": ("arm", None),
        "seed": ("seed", 0 if are_exact else None),
        **({TEACHER_SEED: ("teacher seed", 0)} if are_crossed(trials) else {}),
        "stage": ("stage", None),
        "status": ("status", None),
        "epochs": ("epochs", 0),
        **{name: (of.label, of.decimals) for name, of in measured.items()},
        **{"wall_seconds": ("training time (s)", 1), "reason": ("reason", None)},
    }
    shown = trials.assign(number=trials["number"] + 1)  # people count from one
    columns: list[dict[str, Any]] = []
    cells: list[list[Any]] = []
    for name, (title, decimals) in titles.items():
        columns.append({"name": name, "title": title} | ({} if decimals is None else {"decimals": decimals}))
        if decimals is None:
            cells.append(shown[name].astype(str).tolist())
            continue
        # JSON has no NaN. Numbers keep more digits than are shown, since the page sorts by them.
        numbers = shown[name].astype("float64").tolist()
        kept = brief if decimals else round
        cells.append([kept(value) if math.isfinite(value) else None for value in numbers])
    return {"columns": columns, "rows": [list(row) for row in zip(*cells, strict=True)]}
