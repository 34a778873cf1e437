"""Progress of a run: live while a driver runs it, and from its ledger alone at any time. No Ray here."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from cktf.epoch_result import MEASURE
from cktf.errors import RunNotFound
from cktf.names import arm_label
from cktf.plan.state import RunState, TrialState
from cktf.rows import EndRow, LookRow, PlannedRow, Row, Stage, Status, StudyRow, TeacherRow
from cktf.run.ledger import is_in_use, read_latest
from cktf.storage import Storage

if TYPE_CHECKING:  # a planner loads Optuna and PyTorch, which 'cktf status' does without
    from cktf.plan.planner import Planner

STARTING = "starting Ray and first epochs"
"""The live line's words until the first row."""

WIDE = 120
"""Width in characters from which a terminal's live line has room for the best arm."""

BAR_WIDTH, LONGEST_NAME, LONGEST_ARM = 12, 20, 40
"""Widths in characters: the live line's bar, the study's name in it, and an arm's name in a line of its own."""

MOST_LISTED = 10
"""Trials in training that have lines of their own in a run's status."""

WAS_RUNNING = "was running"
"""Status of a trial that has epochs and no end, if nothing was heard of it since the latest launch."""

LOOK_SECONDS = 0.25
"""Least time between two updates of the live line; a large study has hundreds of epochs a second."""


@contextmanager
def watch(planner: "Planner", console: Console) -> Iterator[Callable[[Row], None]]:
    """Show a study's progress; yield the function that is to be called after each row.

    On a terminal it is a live line, elsewhere one line for each ended trial.
    """
    state, began = planner.state, time.time()
    cut = Column(no_wrap=True, overflow="ellipsis", max_width=LONGEST_NAME)
    name = TextColumn("{task.description}", markup=False, table_column=cut)
    words = TextColumn("{task.fields[words]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    bars = (BarColumn(bar_width=BAR_WIDTH), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(name, *bars, words, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(planner.spec.name, total=planner.total(), completed=state.num_ended, words=STARTING)
        shown = 0.0

        def see(row: Row) -> None:
            nonlocal shown
            if isinstance(row, EndRow) and not console.is_terminal:
                ended = _line_of(state.trial(row.trial_id), state.metric, longest=LONGEST_ARM)
                left = _left(state, began, planner.total(), time.time())
                line = "; ".join(filter(None, (f"[{state.num_ended}/{planner.total()}] {ended}", left)))
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            elif isinstance(row, EndRow) and row.status == Status.FAILED:
                line = _line_of(state.trial(row.trial_id), state.metric)
                bar.console.print(line, style="red", markup=False, highlight=False)
            if isinstance(row, LookRow):
                bar.console.print(look_in_words(row, state), markup=False, highlight=False, soft_wrap=True)
            if console.is_terminal and (isinstance(row, EndRow) or time.monotonic() - shown > LOOK_SECONDS):
                shown = time.monotonic()
                said = _pace(planner, began, with_best=console.width >= WIDE)
                bar.update(task, completed=state.num_ended, total=planner.total(), words=said)

        yield see


def read_run(run_dir: str, read: Callable[[Storage], Iterator[Row]] = read_latest) -> tuple[StudyRow, RunState]:
    """Return the study row of a run's latest launch, and the state of its trials with the names that arms have by it.

    The report takes both likewise.

    Raises:
        UserError: `RunNotFound` if there is no ledger; others if the place or the ledger cannot be read.
    """
    run = Storage(run_dir)
    rows = list(read(run))
    launches = [row for row in rows if isinstance(row, StudyRow)]
    if not launches:
        raise RunNotFound(f"{run.root}: there is no run; 'cktf launch STUDY --run-dir {quote(run_dir)}' starts one")
    named = (row.named_by(launches[-1]) if isinstance(row, PlannedRow) else row for row in rows)
    return launches[-1], RunState(launches[-1].metric, named)


def standing(run: Storage, state: RunState) -> str:
    """Return one line on a run: whether it is at work, and how many trials have ended, were pruned and failed."""
    every = [*state.teacher_trials.values(), *state.trials.values()]
    stopped = "interrupted" if any(trial.end is None for trial in every) else "complete"
    counts = state.counts()
    others = (f", {counts[kind]} {kind}" for kind in (Status.PRUNED, Status.FAILED) if counts[kind])
    said = f"{state.num_ended} of {len(state.trials)} trials{''.join(others)}"
    return f"{'at work' if is_in_use(run) else stopped}: {said}"


def status(run_dir: str) -> RenderableType:
    """Return the progress of a run as a table for Rich; raises as `read_run`."""
    run = Storage(run_dir)
    study, state = read_run(run_dir)
    counts = state.counts()
    every = [*state.teacher_trials.values(), *state.trials.values()]
    at_work, now = is_in_use(run), time.time()
    begun: dict[str, list[TrialState]] = {Status.RUNNING: [], WAS_RUNNING: []}
    for trial in every:
        if trial.status is Status.RUNNING:
            begun[Status.RUNNING if at_work and trial.heard >= state.launched else WAS_RUNNING].append(trial)

    ended = (Status.COMPLETE, Status.PRUNED, Status.FAILED)
    lines: list[tuple[str, str]] = [(kind, str(counts[kind])) for kind in ended]
    for word, trials in begun.items():
        if trials or (at_work and word == Status.RUNNING):
            lines.append((word, str(sum(trial.planned.stage != Stage.TEACHER for trial in trials))))
    lines.append(("left to run", str(counts[Status.PLANNED])))
    stopped = "none; 'cktf resume' continues the run" if any(trial.end is None for trial in every) else "none"
    lines.append(("driver", _driver_line(study, state, now) if at_work else stopped))
    told: list[tuple[str, str]] = []
    for word, trials in begun.items():
        for trial in trials:
            said = _line_of(trial, study.metric, status=word)
            if at_work and state.is_silent(trial, now, study.stall_seconds):
                said = f"{said}; nothing was heard of it for {_duration(state.silence(trial, now))}"
                told.insert(0, ("silent", said))
            else:
                told.append((word, f"{said}; heard of {_duration(now - trial.heard)} ago"))
    lines += told[:MOST_LISTED]
    if more := len(told[MOST_LISTED:]):
        lines.append(("", f"and {more} more"))
    lines += [
        ("best", f"{arm_label(best.arm, best.context)}, {study.metric.removeprefix(MEASURE)} {best.score:.4g}")
        for best in state.best_arms(maximise=study.maximise).values()
    ]
    lines += [("look", look_in_words(look, state)) for look in state.looks]
    out = {arm_id for look in state.looks for arm_id in look.out}
    if len(state.looks) < len(study.looks) and not out.issuperset(
        trial.planned.arm_id for trial in state.trials.values()
    ):
        lines.append(("next look", f"at {study.looks[len(state.looks)]} of {study.looks[-1]} seeds"))
    scored = state.teachers
    unscored = [trial for key, trial in state.teacher_trials.items() if key not in scored or trial.end is None]
    lines += [("teacher", _line_of(each, study.metric)) for each in unscored if each.status is not Status.RUNNING]
    lines += [("teacher", _teacher_line(teacher, study)) for teacher in scored.values()]
    lines += [("failed", _line_of(trial, study.metric)) for trial in state.failures()]

    name = f"smoke run of {study.study}" if study.is_smoke else study.study
    title = f"{name}: {study.question}" if study.question else name
    # Text, because in plain strings Rich takes [words in brackets], as in a reason, for markup.
    table = Table(title=Text(title, style="table.title"), title_justify="left")
    table.add_column("trials")
    table.add_column("", justify="right")
    for line in lines:
        table.add_row(*map(Text, line))
    return table


def look_in_words(look: LookRow, state: RunState) -> str:
    """Return which arms a look of a race takes out, and why."""
    arms = {trial.planned.arm_id: trial.planned for trial in state.trials.values()}
    out = [f"{arm_label(arms[arm].arm, arms[arm].context)} ({why})" for arm, why in look.out.items() if arm in arms]
    return f"look {look.number} at {look.seeds} seeds: {'out: ' + ', '.join(out) if out else 'no arm is out'}"


def _teacher_line(teacher: TeacherRow, study: StudyRow) -> str:
    images = "" if teacher.validation_images is None else f" of {teacher.validation_images} images"
    # On the few images of a smoke run every teacher is near chance.
    warning = ", no better than chance" if teacher.is_near_chance and not study.is_smoke else ""
    seed = "" if teacher.teacher_seed is None else f", seed {teacher.teacher_seed}"
    score = f"validation_accuracy {teacher.validation_accuracy:.4g}{images}{warning}"
    return f"{teacher.model} on {teacher.data}{seed}, {score}"


def _driver_line(study: StudyRow, state: RunState, now: float) -> str:
    """Return the state of a driver at work: whether an epoch has come since its start, and the time that is left.

    There is no time for a search or a race, because the ledger does not say how many trials it will have.
    """
    words = ["at work"]
    every = [*state.teacher_trials.values(), *state.trials.values()]
    if all(max(trial.heard, trial.end.time if trial.end else 0.0) < state.launched for trial in every):
        words.append(f"no epoch has come in the {_duration(now - state.launched)} since its start")
    if state.launched and study.design != "search" and not study.looks:
        words.append(_left(state, state.launched, len(state.trials), now))
    return "; ".join(filter(None, words))


def _line_of(trial: TrialState, metric: str, longest: int | None = None, *, status: str = "") -> str:
    row = trial.planned
    latest = trial.curve[max(trial.curve)] if trial.curve else None
    score = "" if latest is None else f", {metric.removeprefix(MEASURE)} {latest:.4g}"
    reason = f": {trial.end.reason}" if trial.end and trial.end.reason else ""
    label, epochs = arm_label(row.arm, row.context), ""
    if longest and len(label) > longest:
        label = f"{label[: longest - 1]}…"
    if row.stage == Stage.TEACHER:
        label = f"teacher {label}"
    if trial.curve and not trial.end:
        epochs = f", epoch {max(trial.curve)} of {trial.epochs}"
    return f"{label}, {row.replicate}, {status or trial.status}{epochs}{score}{reason}"


def _left(state: RunState, since: float, total: int, now: float) -> str:
    """Return the time that is left at the pace since a launch; empty before its first end and after the last.

    The pace counts from the first start of a trial that has ended: not from the start of Ray or of teachers' training.
    """
    ends = [trial.end for trial in state.trials.values() if trial.end and trial.end.time >= since]
    to_do = total - state.num_ended
    if not ends or not to_do:
        return ""
    began = max(since, min(end.time - end.wall_seconds for end in ends))
    return f"{_duration((now - began) / len(ends) * to_do)} left"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return "under 1 min" if minutes < 1 else f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _pace(planner: "Planner", began: float, *, with_best: bool) -> str:
    """Return the counts of the live line, and the time left."""
    counts = planner.state.counts()
    words = [f"{planner.running} running"]
    if failed := counts[Status.FAILED]:
        words.append(f"{failed} failed")
    if teachers := sum(trial.end is None for trial in planner.state.teacher_trials.values()):
        words.append(f"{teachers} teacher{'s' * (teachers > 1)} to train first")
    if planner.spec.prune != "none":
        words.append(f"{counts[Status.PRUNED]} pruned")
    if left := _left(planner.state, began, planner.total(), time.time()):
        words.append(left)
    if with_best and len(planner.spec.baselines) == 1:  # the line has no room for the best of several
        best = planner.state.best_arms(maximise=planner.spec.maximise)
        words += [f"best {planner.spec.metrics[0]} {arm.score:.4g} ({arm.arm})" for arm in best.values()]
    return ", ".join(words)
