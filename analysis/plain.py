"""A plain table of results, one row for each arm and seed, as a table of trials of a design."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from cktf.rows import Stage, Status

if TYPE_CHECKING:
    import pandas as pd


def as_trials(
    frame: "pd.DataFrame", *, metric: str, baseline: str, what: str = "the table"
) -> "pd.DataFrame":
    """Return a plain table with the columns that a table of trials has besides.

    Args:
        frame: Has the columns ``arm``, ``seed`` and the metric; a column ``context`` where there are several. A row
            without a finite value of the metric is a failed trial: it is counted, and its seed forms no pair.
        metric: Column that is compared.
        baseline: Name of the arm that the others of its context are compared with.
        what: The table, as messages call it.

    Raises:
        ValueError: If a column is missing, one of ``arm``, ``seed`` and ``context`` has an empty cell, an arm has two
            rows at one seed, or none is called as the baseline.
    """
    trials = frame.copy().reset_index(drop=True)
    for name in ("arm", "seed", metric):
        if name not in trials:
            raise ValueError(f"{what}: no column is called {name!r}; there are: {_listed(trials.columns)}")
    if "context" not in trials:
        trials["context"] = ""
    identity = ["context", "arm", "seed"]
    for name in identity:
        if (empty := trials[name].isna().to_numpy()).any():
            raise ValueError(f"{what}: column {name!r} is empty in row {empty.argmax() + 1}")
    if (twice := trials.duplicated(identity).to_numpy()).any():
        context, arm, seed = trials[identity].iloc[twice.argmax()]
        within = f" in context {context!r}" if context else ""
        raise ValueError(
            f"{what}: arm {arm!r}{within} has several rows at seed {seed}; an arm has one row at each seed, "
            "the last epoch's"
        )
    if not (trials["arm"] == baseline).any():
        raise ValueError(
            f"{what}: no arm is called {baseline!r}, which is to be the baseline; there are: "
            f"{_listed(trials['arm'].unique())}"
        )
    is_complete = trials[metric].abs().lt(np.inf)
    arms = trials.groupby(["context", "arm"], sort=False).ngroup()
    return trials.assign(
        trial_id=[f"trial-{number}" for number in trials.index],
        arm_id=[f"arm-{number}" for number in arms],
        is_baseline=trials["arm"] == baseline,
        stage=Stage.DESIGN.value,
        number=trials.index,
        status=np.where(is_complete, Status.COMPLETE, Status.FAILED),
    )


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(str, names))
