"""One trial of a run: found by its id or its arm and seed, and described from the ledger. No PyTorch here."""

import math
import time
from collections.abc import Sequence
from typing import Any

from cktf.epoch_result import MEASURE
from cktf.errors import InputError, few, shown
from cktf.names import arm_label
from cktf.plan.state import RunState, TrialState
from cktf.rows import StudyRow
from cktf.study.paths import differences

BARS = "▁▂▃▄▅▆▇█"
WIDEST = 60
"""Largest number of characters of a sparkline, which shows every n-th value of a longer curve."""


def find_trial(state: RunState, trial: str | None, arm: str | None, seed: int | None) -> TrialState:
    """Return the trial whose id begins with ``trial``, or that of an arm and seed.

    ``arm`` is a name, or ``context: name`` if several contexts have it.

    Raises:
        InputError: If there is none, or several; the message lists trials.
    """
    if (trial is None, arm is None, seed is None) not in ((False, True, True), (True, False, False)):
        raise InputError("TRIAL: give the beginning of a trial's id, or --arm and --seed")
    rows = {key: each.planned for key, each in {**state.teacher_trials, **state.trials}.items()}
    if trial is not None:
        found = [key for key in rows if key.startswith(trial)]
    else:
        names = {key: (row.arm, *(alias["arm"] for alias in row.aliases)) for key, row in rows.items()}
        names = {key: (*own, *(arm_label(name, rows[key].context) for name in own)) for key, own in names.items()}
        found = [key for key, row in rows.items() if row.seed == seed and arm in names[key]]
    if len(found) != 1:
        asked = f"--arm {shown(arm)} --seed {seed}" if trial is None else f"TRIAL: {shown(trial)}"
        listed = few(
            [f"{key} ({arm_label(rows[key].arm, rows[key].context)}, {rows[key].replicate})" for key in found or rows]
        )
        raise InputError(f"{asked}: {len(found) or 'no'} trials; there are: {listed}")
    return state.trial(found[0])


def facts_of(trial: TrialState, study: StudyRow) -> list[tuple[str, str]]:
    """Return the ledger's facts about a trial, as pairs of name and value."""
    row, end = trial.planned, trial.end
    trained_as = row.config.get("seed", row.seed)
    seed = row.replicate.removeprefix("seed ") + ("" if trained_as == row.seed else f", in training {trained_as}")
    facts = {
        **{"trial": row.trial_id, "arm": row.arm, "context": row.context, "seed": seed, "stage": row.stage},
        "status": trial.status,
        "epochs": f"{max(trial.curve, default=0)} of {trial.epochs}",
        "trained for": f"{trial.wall_seconds:.1f} s",
    }
    if end:
        ended = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(end.time)) if end.time else ""
        facts |= {"reason": end.reason, "ended": ended, "device": end.device, "node": end.node}
    curve = sorted((epoch, each) for epoch, each in trial.curve.items() if each is not None and math.isfinite(each))
    if values := [value for _, value in curve]:
        at, best = (max if study.maximise else min)(curve, key=lambda each: each[1])
        words = f"first {values[0]:.4g}, best {best:.4g} (epoch {at}), last {values[-1]:.4g}"
        facts[study.metric.removeprefix(MEASURE)] = f"{sparkline(values)}  {words}"
    return [(name, value) for name, value in facts.items() if value]


def changes_of(trial: TrialState, state: RunState, study: StudyRow) -> list[tuple[str, Any, Any]]:
    """Return each path at which a trial differs from its context's baseline, with both values.

    Its seed, and that of a teacher that is crossed with seeds, are left out. If the baseline has no trial, as in most
    searches, the paths are the factors that the trial sets, and the baseline's values are None.
    """
    row, arm_id = trial.planned, study.baseline_of(trial.planned.context)
    base = next((each.planned.config for each in state.trials.values() if each.planned.arm_id == arm_id), None)
    if base is None or row.trial_id in state.teacher_trials:
        return [(path, None, value) for path, value in row.params.items()]
    of_replicate = {"seed", "teacher.seed"} - {*study.factors}
    return [each for each in differences(base, row.config) if each[0] not in of_replicate]


def sparkline(values: Sequence[float]) -> str:
    """Return finite values as a line of bars, from the lowest to the highest."""
    few_of = values[:: math.ceil(len(values) / WIDEST)]
    low, high = min(few_of), max(few_of)
    return "".join(BARS[round((value - low) / ((high - low) or 1) * (len(BARS) - 1))] for value in few_of)
