"""A race: arms get their seeds from look to look, and those that are decided or hopeless get no more."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

import numpy as np

from cktf.looks import Floats
from cktf.names import BASELINE
from cktf.plan.state import RunState
from cktf.rows import EpochRow, Family, LookRow, PlannedRow, Row, Stage, Status
from cktf.study.designs import Arm, compared_arms
from cktf.study.spec import StudySpec
from cktf.verdicts import LEVEL, Verdict, adjusted, decide


class ArmRace:
    """State of a race: which arms are in it, and the verdicts of its next look.

    A look is due when all trials of the arms in the race at its seeds have ended. Pairs with a failed trial are left
    out; an arm that has failed at all of its seeds is out. An arm is in the race as long as one of its comparisons is
    open, and the baseline of a context as long as any of its arms is. Rows, also the earlier ``rows``, are applied to
    ``state`` before they are applied here.
    """

    def __init__(self, spec: StudySpec, state: RunState, arms: Sequence[Arm], rows: Iterable[Row] = ()) -> None:
        assert spec.race is not None
        self._spec, self._looks, self._futility = spec, spec.race.looks, spec.race.futility
        self._state = state
        self._all = {arm.arm_id: arm for arm in arms}
        self._pairs = [(first.arm_id, second.arm_id) for first, second in compared_arms(spec, arms)]
        family_of = [self._all[arm_id].context * (spec.family == Family.CONTEXT) for arm_id, _ in self._pairs]
        self._families = [[at for at, own in enumerate(family_of) if own == each] for each in dict.fromkeys(family_of)]
        self._trials: defaultdict[tuple[str, int], dict[str, None]] = defaultdict(dict)  # by arm and seed
        self._values: dict[str, float | None] = {}  # trial id -> report metric of its latest epoch
        for row in rows:
            self.apply(row)

    def apply(self, row: Row) -> None:
        """Apply a row."""
        match row:
            case PlannedRow(stage=Stage.DESIGN):
                self._trials[row.arm_id, row.seed].setdefault(row.trial_id)
            case EpochRow():
                self._values[row.trial_id] = row.value(self._spec.columns[1])

    @property
    def arms(self) -> list[Arm]:
        """The arms that are in the race; none when its last look is over."""
        if len(self._state.looks) == len(self._looks):
            return []
        out = {arm_id for look in self._state.looks for arm_id in look.out}
        return [arm for arm_id, arm in self._all.items() if arm_id not in out]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds up to the next look."""
        return self._spec.seeds[: self._looks[min(len(self._state.looks), len(self._looks) - 1)]]

    @property
    def most_left(self) -> int:
        """Largest number of trials that may follow the next look."""
        later = len(self._spec.seeds) - len(self.seeds)
        return later * sum(len(self._trials[arm.arm_id, self._spec.seeds[0]]) for arm in self.arms)

    def look(self, clock: Callable[[], float]) -> LookRow | None:
        """Return the row of the next look if it is due, else None."""
        trials = [trial for arm in self.arms for seed in self.seeds for trial in self._trials[arm.arm_id, seed]]
        if not trials or any(self._state.trials[trial].end is None for trial in trials):
            return None
        number = len(self._state.looks) + 1
        scores = {arm_id: self._scores(arm_id) for arm_id in self._all}
        # An arm that went out at a look took no part in later ones, nor did its comparisons.
        out_at = {arm_id: look.number for look in self._state.looks for arm_id in look.out}
        num_looks = np.array([min(out_at.get(arm_id, number) for arm_id in pair) for pair in self._pairs], np.int64)
        values, against = (np.array([scores[pair[side]] for pair in self._pairs]) for side in (0, 1))
        race, maximise = self._spec.looked, self._spec.maximise
        found = race.judged(values, against, num_looks)
        p, p_equivalence, chance = (np.full(len(self._pairs), np.nan) for _ in range(3))
        for family in self._families:
            p[family], p_equivalence[family] = adjusted(found.p[family], found.p_equivalence[family])
            if number < len(self._looks):
                chance[family] = race.chance(found, number - 1, LEVEL / len(family))[family]
        verdicts = decide(
            found.effect, p, p_equivalence, maximise=maximise, alternative=self._spec.alternative, margin=race.margin
        )
        failed = {arm_id for arm_id in self._all if np.isnan(scores[arm_id][: len(self.seeds)]).all()}
        why: dict[int, str] = {}
        for index, pair in enumerate(self._pairs):
            if verdicts[index] != Verdict.UNDECIDED:
                why[index] = f"{verdicts[index]}"
            elif failed & {*pair}:
                why[index] = "no seed gave a result"
            elif num_looks[index] < number:
                why[index] = "an arm that it was compared with is out"
            elif chance[index] < self._futility:
                why[index] = f"hopeless: a chance of {chance[index]:.0%} to be decided at the last look"
        return LookRow(
            number=number,
            seeds=len(self.seeds),
            comparisons=[
                {
                    "arm_id": arm_id,
                    "against_id": against_id,
                    "n_pairs": int(found.n_pairs[index]),
                    "effect": float(found.effect[index]),
                    "p": float(found.p[index]),
                    "p_adjusted": float(p[index]),
                    "verdict": str(verdicts[index]),
                }
                for index, (arm_id, against_id) in enumerate(self._pairs)
            ],
            out=self._out(why),
            time=clock(),
        )

    def _out(self, why: dict[int, str]) -> dict[str, str]:
        """Return the arms that go out, with the reason; ``why`` has the reason of each comparison that is closed."""
        is_open = {arm_id for index, pair in enumerate(self._pairs) if index not in why for arm_id in pair}
        contexts = {self._all[arm_id].context for arm_id in is_open}
        baselines = {arm.arm_id for arm in self._all.values() if arm.name == BASELINE and arm.context in contexts}
        out = {}
        for arm in self.arms:
            if arm.arm_id in is_open | baselines:
                continue
            reasons = dict.fromkeys(text for index, text in why.items() if self._pairs[index][0] == arm.arm_id)
            out[arm.arm_id] = "; ".join(reasons) or "no comparison of it is open"
        return out

    def _scores(self, arm_id: str) -> Floats:
        """Return an arm's score at each of the study's seeds, the mean over its teachers; NaN where one is missing."""
        found = np.full(len(self._spec.seeds), np.nan)
        for index, seed in enumerate(self._spec.seeds):
            trials = self._trials.get((arm_id, seed), {})
            if trials and all(self._state.trials[trial].status is Status.COMPLETE for trial in trials):
                values = [value for trial in trials if (value := self._values.get(trial)) is not None]
                if len(values) == len(trials) and all(map(math.isfinite, values)):
                    found[index] = fmean(values)
        return found
