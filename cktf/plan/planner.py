"""The planner: which trial runs next, which one ends early, and when a study is done. No Ray here.

Each event becomes a row, which is written first and then applied by the same method that applies the rows of earlier
sessions. A planner that replays a ledger therefore has the state of the planner that wrote it.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from enum import Enum
from itertools import product
from typing import Any

from cktf.epoch_result import EpochResult
from cktf.errors import UserError
from cktf.plan.race import ArmRace
from cktf.plan.searched_arms import SearchedArms
from cktf.plan.state import RunState
from cktf.rows import WITHDRAWN, EndRow, EpochRow, PlannedRow, Row, Stage, Status, TeacherRow
from cktf.study.designs import Arm, merge_alike, plan_arms, replicates
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig
from cktf.trial.teachers import teacher_id, teacher_trial

SECTIONS_OF_TEACHERS = {"teacher", "teachers", "source", "data"}
"""Sections of a trial's configuration on which its teachers depend."""


class NoTrial(Enum):
    """Why there is no next trial."""

    WAIT = "what comes next depends on trials that still run"
    DONE = "the study is done"


class Planner:
    """Plans a study and writes its ledger.

    A design is planned whole, seed by seed, so that an interrupted study has all arms of the seeds that are complete.
    A search is planned arm by arm, as results come, and then its ``confirm`` stage; a race from look to look. A teacher
    that has to be trained is a trial, before its students; they are handed out once it is complete, and fail if it
    fails.

    ``record`` writes a row to the ledger, ``rows`` are those of earlier sessions: their trials without an end are
    handed out first, and with ``retry_failed`` failed ones are run again, from their checkpoints. ``find_teacher``
    returns the scores of a teacher at the end of its training; None if they cannot be read. ``observations`` are those
    of a search's warm start, see `cktf.plan.suggestions.Suggestions`.
    """

    def __init__(
        self,
        spec: StudySpec,
        record: Callable[[Row], None],
        rows: Iterable[Row] = (),
        *,
        retry_failed: bool = False,
        find_teacher: Callable[[str], TeacherRow | None] = lambda _: None,
        observations: Sequence[Mapping[str, Any]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.spec = spec
        self.state = RunState(spec.columns[0], further=[*spec.directions][1:])
        self._record = record
        self._find_teacher = find_teacher
        self._clock = clock
        self._search = SearchedArms(spec, self.state, observations) if spec.search else None
        self._race: ArmRace | None = None
        self._running: set[str] = set()
        self._configs: dict[str, TrialConfig] = {}  # arm id -> configuration of its first trial
        self._last_error = ""
        self._same_errors = 0
        self.listeners: list[Callable[[Row], None]] = []
        """Called with each new row after it is written and applied."""
        self.failure: Exception | None = None
        """First error raised while recording a row; after it the planner refuses to write."""

        rows = list(rows)
        if self._search:
            rows = _without_withdrawn(rows)
            ends = {row.trial_id: isinstance(row, EndRow) for row in rows if isinstance(row, PlannedRow | EndRow)}
            self._search.over = {trial_id for trial_id, has_ended in ends.items() if has_ended}
        for row in rows:
            self._apply(row)
        if self._search:
            self._search.over = ()
        if spec.race:
            self._race = ArmRace(spec, self.state, plan_arms(spec, self._apart(Stage.DESIGN)), rows)
        if retry_failed:
            teachers = [each for each in self.state.teacher_trials.values() if each.status is Status.FAILED]
            for trial in [*teachers, *self.state.failures()]:
                self._write(trial.planned)
        self._plan_teachers(trial.planned for trial in [*self.state.trials.values()] if trial.end is None)
        if self._search:
            self._plan(self._search.incomplete(), spec.seeds, Stage.SEARCH)
        elif self._race:
            self._plan(self._race.arms, self._race.seeds, Stage.DESIGN)
        else:
            self._plan(plan_arms(spec, self._apart(Stage.DESIGN)), spec.seeds, Stage.DESIGN)
        self._queue = deque(
            key for trials in (self.state.teacher_trials, self.state.trials) for key in trials if self._is_open(key)
        )
        self._fail_students()

    def plan(self) -> None:
        """If no planned trial waits, plan what can be: a search's next arm, its confirm stage, a race's next seeds."""
        while not self._queue and (more := self._plan_more()):
            self._queue.extend(more)
            before = self._same_errors
            reason = self._fail_students()
            # Else a search would use up its arms unlearnt; one that varies the teacher may find another that trains.
            varies = not SECTIONS_OF_TEACHERS.isdisjoint(path.partition(".")[0] for path in self.spec.search or ())
            if reason and not self._queue and not varies:
                self._count_error(reason, reason, before)

    @property
    def is_done(self) -> bool:
        """Whether no planned trial waits or runs: after `plan`, whether the study is done."""
        return not self._queue and not self._running

    def next_trial(self) -> PlannedRow | NoTrial:
        """Hand out the next trial, or say why there is none."""
        self.plan()
        if self.is_done:
            return NoTrial.DONE
        open_teachers = {key for key in self.state.teacher_trials if self._is_open(key)}
        for index, trial_id in enumerate(self._queue):
            planned = self.state.trial(trial_id).planned
            if open_teachers.isdisjoint(self._teachers_of(planned)):
                del self._queue[index]
                self._running.add(trial_id)
                return planned
        return NoTrial.WAIT

    def on_teachers(self, teachers: Iterable[TeacherRow]) -> None:
        """Record the scores of teachers, unless the ledger has the same."""
        for row in teachers:
            known = self.state.teachers.get(row.teacher_id)
            if known is None or replace(known, time=row.time) != row:
                self._write(row)

    def on_epoch(self, trial_id: str, result: EpochResult) -> bool:
        """Record a trial's epoch; return whether the trial ends here because it is pruned.

        An epoch that the ledger has (a resumed trial reports its history first) is not written again.
        """
        trial = self.state.trial(trial_id)
        if trial.end is None and result.epoch not in trial.curve:
            if trial.planned.stage == Stage.TEACHER:
                result = replace(result, terms={})  # its only term is the loss, and would be a column of all students
            self._write(EpochRow(trial_id=trial_id, time=self._clock(), **asdict(result)))
        has_all = trial.epochs in trial.curve  # true also while a resumed trial reports earlier epochs
        if has_all or not (self._search and self._search.is_pruned(trial_id)):
            return False
        self.on_end(trial_id, Status.PRUNED, f"pruned ({self.spec.prune}) after epoch {max(trial.curve)}")
        return True

    def on_end(self, trial_id: str, status: Status, reason: str = "", device: str = "", node: str = "") -> None:
        """Record a trial's end, unless it has ended already."""
        self._same_errors = 0
        self._running.discard(trial_id)
        trial = self.state.trial(trial_id)
        if trial.end is None:
            of_teacher = trial.planned.stage == Stage.TEACHER and status == Status.COMPLETE
            if of_teacher and (row := self._find_teacher(trial_id)):
                seed, seconds = trial.planned.seed, trial.wall_seconds
                self.on_teachers([replace(row, teacher_seed=seed, wall_seconds=seconds)])
            self._write(
                EndRow(
                    trial_id=trial_id,
                    status=status,
                    reason=reason,
                    epochs=len(trial.curve),
                    wall_seconds=trial.wall_seconds,
                    device=device,
                    node=node,
                    time=self._clock(),
                )
            )
            if trial.planned.stage == Stage.TEACHER:
                self._fail_students()

    def on_error(self, trial_id: str, reason: str, device: str = "", node: str = "") -> None:
        """Record the end of a trial that failed by an error, which other trials may meet too."""
        before = self._same_errors
        self.on_end(trial_id, Status.FAILED, reason, device, node)
        self._count_error(reason, reason.replace(trial_id, ""), before)

    def on_storage_trouble(self, trial_id: str, reason: str) -> None:
        """Put back a trial whose files could not be read or written."""
        self.put_back(trial_id)
        self._count_error(reason, "", self._same_errors)

    def put_back(self, trial_id: str) -> None:
        """Append a trial that was handed out to the queue again; nothing is recorded."""
        self._running.discard(trial_id)
        self._queue.append(trial_id)

    def _count_error(self, reason: str, kind: str, before: int) -> None:
        """Stop the study if ``max_failures_in_a_row`` trials, one after the other, ended with an error of one kind."""
        self._same_errors = before + 1 if kind == self._last_error else 1
        self._last_error = kind
        if self._same_errors >= self.spec.max_failures_in_a_row and not self.failure:
            again = " --retry-failed" if kind else ""
            self.failure = UserError(
                f"{self.spec.name}: stopped, because {self._same_errors} trials in a row ended with: {reason}; "
                f"'cktf resume RUN{again}' goes on once that is mended (max_failures_in_a_row: how many it takes)"
            )

    def patience(self, trial_id: str) -> float:
        """Return `RunState.patience` for a running trial, at least the study's ``stall_seconds``."""
        return self.state.patience(self.state.trial(trial_id), self.spec.stall_seconds)

    @property
    def running(self) -> int:
        """Number of trials that are handed out and have not ended."""
        return len(self._running)

    @property
    def num_unfound(self) -> int:
        """Number of requested arms that the sampler could not find."""
        search = self._search
        return max(0, self.spec.trials - search.num_arms) if search and search.is_exhausted else 0

    def total(self) -> int:
        """Return how many trials the study will have, as far as is known now."""
        if self._search is None:
            return len(self.state.trials) + (self._race.most_left if self._race else 0)
        left = 0 if self._search.is_exhausted else max(0, self.spec.trials - self._search.num_arms)
        confirm = self.spec.confirm
        planned = self.state.num_planned(Stage.CONFIRM)
        expected = (confirm.top + 1) * confirm.seeds if confirm else 0
        of_teachers = len(self.spec.teacher_seeds or (0,))  # at most: an arm that reads no teacher has one trial a seed
        tried = self.state.num_planned(Stage.SEARCH)
        return tried + left * len(self.spec.seeds) * of_teachers + (planned or expected * of_teachers)

    def _plan_more(self) -> Sequence[str]:
        """Plan a search's next arm, its confirm stage at its end, or what a race's next look leaves; return new ids."""
        if self._race and (look := self._race.look(self._clock)):
            self._write(look)
            return self._plan(self._race.arms, self._race.seeds, Stage.DESIGN)
        if self._search is None:
            return []
        if arm := self._search.propose():
            return self._plan([arm], self.spec.seeds, Stage.SEARCH)
        if self._running or self.spec.confirm is None:
            return []
        best = self._search.best(self.spec.confirm.top)
        arms = merge_alike(self.spec, [*plan_arms(self.spec), *best], self._apart(Stage.CONFIRM))
        return self._plan(arms, self.spec.confirm_seeds, Stage.CONFIRM)

    def _apart(self, stage: Stage) -> set[str]:
        """Return the ids of the arms that have trials in a stage; these are not merged with arms that train alike."""
        planned = (trial.planned for trial in self.state.trials.values())
        return {row.arm_id for row in planned if row.stage == stage}

    def _plan(self, arms: Sequence[Arm], seeds: Sequence[int], stage: Stage) -> list[str]:
        """Record the trials that are not planned yet, seed by seed, after their teachers; return the new ids."""
        new: dict[str, PlannedRow] = {}
        for seed, arm in product(seeds, arms):
            for config in replicates(self.spec, arm.config, seed, arm.context):
                trial_id = config.trial_id  # a hash of all of it
                if trial_id in self.state.trials or trial_id in new:
                    continue
                new[trial_id] = PlannedRow(
                    trial_id=trial_id,
                    arm_id=arm.arm_id,
                    arm=arm.name,
                    seed=seed,
                    stage=stage,
                    number=len(self.state.trials) + len(new),
                    params=arm.params,
                    config=config.model_dump(mode="json"),
                    epochs=config.total_epochs,
                    context=arm.context,
                    teacher_id=teacher_id(config),
                    aliases=list(arm.aliases),
                    time=self._clock(),
                )
        teachers = self._plan_teachers(new.values())
        for row in new.values():
            self._write(row)
        return [*teachers, *new]

    def _plan_teachers(self, students: Iterable[PlannedRow]) -> list[str]:
        """Record a trial for each teacher that students need and that has none; return their ids."""
        new = []
        for student in students:
            for identity, key in self._teachers_of(student).items():
                if identity in self.state.teacher_trials:
                    continue
                config = TrialConfig.model_validate(student.config)
                teacher = config.teachers_by_key[key]
                trial = teacher_trial(teacher, config.teacher_data)
                new.append(identity)
                self._write(
                    PlannedRow(
                        trial_id=identity,
                        arm_id=trial.arm_id,
                        arm=f"{trial.student.model} on {trial.data.name}",
                        seed=teacher.seed,
                        stage=Stage.TEACHER,
                        number=len(self.state.teacher_trials),
                        params={},
                        config=trial.model_dump(mode="json"),
                        epochs=trial.total_epochs,
                        time=self._clock(),
                    )
                )
        return new

    def _teachers_of(self, planned: PlannedRow) -> dict[str, str]:
        """Return the teachers that a trial needs and that have to be trained: id to key in the configuration."""
        if not planned.teacher_id:
            return {}
        config = self._configs.get(planned.arm_id)
        if config is None:
            config = self._configs[planned.arm_id] = TrialConfig.model_validate(planned.config)
        if not config.runs_teacher(is_measured=self.spec.reads_teacher):
            return {}
        config = config.with_seed(planned.config["seed"])  # with 'teachers_as: drawn' the teacher depends on it
        read = config.read_teachers.items()
        ids = zip(planned.teacher_id.split(","), read, strict=True)
        return {identity: key for identity, (key, teacher) in ids if teacher.checkpoint is None}

    def _is_open(self, trial_id: str) -> bool:
        return self.state.trial(trial_id).end is None

    def _fail_students(self) -> str:
        """End the waiting students of teachers that have failed; return the reason of the last, empty if none waits."""
        reason = ""
        failed = {key: each for key, each in self.state.teacher_trials.items() if each.status is Status.FAILED}
        if not failed:
            return reason
        waiting, self._queue = self._queue, deque()
        for trial_id in waiting:
            wanting = [failed[key] for key in self._teachers_of(self.state.trial(trial_id).planned) if key in failed]
            if not wanting:
                self._queue.append(trial_id)
                continue
            planned, why = wanting[0].planned, wanting[0].end.reason if wanting[0].end else ""
            reason = f"its teacher {planned.arm}, seed {planned.seed}, failed: {why}"
            self.on_end(trial_id, Status.FAILED, reason)
        return reason

    def _write(self, row: Row) -> None:
        if self.failure:
            raise self.failure
        try:
            self._record(row)
            self._apply(row)
            for listener in self.listeners:
                listener(row)
        except Exception as error:
            self.failure = error
            raise

    def _apply(self, row: Row) -> None:
        self.state.apply(row)
        if self._search:
            self._search.apply(row)
        if self._race:
            self._race.apply(row)


def _without_withdrawn(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without what a trial did before it was withdrawn, from which no search learns."""
    withdrawn_at = {
        row.trial_id: at for at, row in enumerate(rows) if isinstance(row, EndRow) and row.reason.startswith(WITHDRAWN)
    }
    return [
        row
        for at, row in enumerate(rows)
        if not isinstance(row, EpochRow | EndRow) or at >= withdrawn_at.get(row.trial_id, 0)
    ]
