"""One trial of a run: found by its id or its arm and seed, and described as its ledger and folder tell. No PyTorch."""

import math
import time
from collections.abc import Sequence

from cktf.errors import InputError, shown
from cktf.names import arm_label
from cktf.plan.state import RunState, TrialState
from cktf.rows import MEASURE, PlannedRow, StudyRow
from cktf.study.paths import differences

BARS = "▁▂▃▄▅▆▇█"
WIDEST = 60
"""Characters of a sparkline; of a longer curve it has every n-th value."""


def find_trial(state: RunState, trial: str | None, arm: str | None, seed: int | None) -> TrialState:
    """Return the one trial of a student or teacher whose id begins with ``trial``, or the student of an arm and seed.

    Args:
        state: The run.
        trial: Beginning of the id; None: the next two say which.
        arm: Name of the arm, where several contexts have it after that of one: ``context: arm``.
        seed: The replicate.

    Raises:
        InputError: If there is none, or several; the message names those.
    """
    if (trial is None) == (arm is None or seed is None) or (trial is not None and (arm or seed is not None)):
        raise InputError("TRIAL: give the beginning of a trial's id, or --arm and --seed")
    if trial is not None:
        found = [each for key, each in {**state.teacher_trials, **state.trials}.items() if key.startswith(trial)]
        asked, there = f"TRIAL: {shown(trial)}", [*state.trials]
    else:
        found = [each for each in state.trials.values() if arm in names_of(each.planned)]
        asked, there = f"--arm {shown(arm)}", [label_of(each.planned) for each in state.trials.values()]
        if found:
            asked, there = f"{asked} --seed {seed}", [str(each.planned.seed) for each in found]
        found = [each for each in found if each.planned.seed == seed]
    if len(found) == 1:
        return found[0]
    if found:
        there = [f"{each.planned.trial_id} ({label_of(each.planned)}, seed {each.planned.seed})" for each in found]
    names = [*dict.fromkeys(there)]
    listed = ", ".join(names[:20]) + (f", and {len(names) - 20} more" if len(names) > 20 else "")
    raise InputError(f"{asked}: {len(found) or 'no'} trial{'s' * (len(found) != 1)}; there are: {listed}")


def label_of(row: PlannedRow) -> str:
    """Return the name of a trial's arm, after that of its context if it has one."""
    return arm_label(row.arm, row.context)


def names_of(row: PlannedRow) -> set[str]:
    """Return the names of a trial's arm, aliases included, each alone and after its context's."""
    names = {row.arm, *(alias["arm"] for alias in row.aliases)}
    return names | {arm_label(name, row.context) for name in names}


def facts_of(trial: TrialState, study: StudyRow) -> list[tuple[str, str]]:
    """Return name to value of what the ledger tells of a trial, those that it tells."""
    row, end = trial.planned, trial.end
    facts = {
        "trial": row.trial_id,
        "arm": row.arm,
        "context": row.context,
        "seed": str(row.seed),
        "stage": row.stage,
        "status": trial.status,
        "reason": end.reason if end else "",
        "epochs": f"{max(trial.curve, default=0)} of {trial.epochs}",
        "trained for": f"{trial.wall_seconds:.1f} s",
        "ended": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(end.time)) if end and end.time else "",
        "device": end.device if end else "",
        "node": end.node if end else "",
    }
    curve = sorted((epoch, each) for epoch, each in trial.curve.items() if each is not None and math.isfinite(each))
    if values := [value for _, value in curve]:
        at, best = (max if study.maximise else min)(curve, key=lambda each: each[1])
        words = f"first {values[0]:.4g}, best {best:.4g} (epoch {at}), last {values[-1]:.4g}"
        facts[study.metric.removeprefix(MEASURE)] = f"{sparkline(values)}  {words}"
    return [(name, value) for name, value in facts.items() if value]


def changes_of(trial: TrialState, state: RunState, study: StudyRow) -> list[tuple[str, object, object]]:
    """Return path, value in the baseline of its context and in a trial of what differs, beside seeds.

    Where no trial of the baseline is in the ledger, as in most searches, they are the factors that the trial sets, and
    the first value is None.
    """
    row = trial.planned
    baseline = study.baseline_of(row.context)
    base = next((each.planned.config for each in state.trials.values() if each.planned.arm_id == baseline), None)
    if base is None or row.trial_id in state.teacher_trials:
        return [(path, None, value) for path, value in row.params.items()]
    return [each for each in differences(base, row.config) if each[0] not in ("seed", "teacher.seed")]


def sparkline(values: Sequence[float]) -> str:
    """Return finite values as a line of bars, from the lowest to the highest, at most `WIDEST` of them."""
    few = values[:: math.ceil(len(values) / WIDEST)]
    low, high = min(few), max(few)
    return "".join(BARS[round((value - low) / ((high - low) or 1) * (len(BARS) - 1))] for value in few)
