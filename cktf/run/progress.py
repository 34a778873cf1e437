"""Progress of a run: live while a driver runs it, and from its ledger alone at any time. No Ray here."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from cktf.errors import RunNotFound
from cktf.names import arm_label
from cktf.plan.state import RunState, TrialState
from cktf.rows import MEASURE, EndRow, EpochRow, LookRow, Row, Stage, Status, StudyRow, TeacherRow
from cktf.run.ledger import is_in_use, read_latest
from cktf.storage import Storage

if TYPE_CHECKING:  # a planner loads Optuna and PyTorch, which 'cktf status' does without
    from cktf.plan.planner import Planner

WIDE = 120
"""Characters of a terminal whose live line has room for the best arm."""

BAR_WIDTH, LONGEST_NAME, LONGEST_ARM = 12, 20, 40
"""Characters of the live line's bar and of the study's name in it, and of an arm's name in a line of its own."""

LOOK_SECONDS = 0.25
"""Least time between two updates of the live line; a large study has hundreds of epochs a second."""


@contextmanager
def watch(planner: "Planner", console: Console) -> Iterator[Callable[[Row], None]]:
    """Show a study's progress, of which it yields the function to call after each row.

    On a terminal it is a live line, elsewhere one line for each ended trial.
    """
    clock, state = _Clock(planner), planner.state
    cut = Column(no_wrap=True, overflow="ellipsis", max_width=LONGEST_NAME)
    name = TextColumn("{task.description}", markup=False, table_column=cut)
    words = TextColumn("{task.fields[words]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    bars = (BarColumn(bar_width=BAR_WIDTH), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(name, *bars, words, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(planner.spec.name, total=planner.total(), completed=state.num_ended, words="")
        shown = 0.0

        def see(row: Row) -> None:
            nonlocal shown
            clock.see(row)
            if isinstance(row, EndRow) and not console.is_terminal:
                ended = _line_of(state.trial(row.trial_id), state.metric, longest=LONGEST_ARM)
                line = "; ".join(filter(None, (f"[{state.num_ended}/{planner.total()}] {ended}", clock.left())))
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            elif isinstance(row, EndRow) and row.status == Status.FAILED:
                line = _line_of(state.trial(row.trial_id), state.metric)
                bar.console.print(line, style="red", markup=False, highlight=False)
            if isinstance(row, LookRow):
                bar.console.print(look_in_words(row, state), markup=False, highlight=False, soft_wrap=True)
            if console.is_terminal and (isinstance(row, EndRow) or time.monotonic() - shown > LOOK_SECONDS):
                shown = time.monotonic()
                said = clock.in_words(with_best=console.width >= WIDE)
                bar.update(task, completed=state.num_ended, total=planner.total(), words=said)

        yield see


def read_run(run_dir: str, read: Callable[[Storage], Iterator[Row]] = read_latest) -> tuple[StudyRow, RunState]:
    """Return what a run's latest launch asks, as in the report, and the state of its trials.

    Raises:
        UserError: `RunNotFound` if there is no ledger; others if the place or the ledger cannot be read.
    """
    run = Storage(run_dir)
    rows = list(read(run))
    launches = [row for row in rows if isinstance(row, StudyRow)]
    if not launches:
        raise RunNotFound(f"{run.root}: there is no run; 'cktf launch STUDY --run-dir {run_dir}' starts one")
    return launches[-1], RunState(launches[-1].metric, rows)


def standing(run: Storage, state: RunState) -> str:
    """Return in a line how a run stands: how many trials have ended, pruned and failed ones among them."""
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

    lines: list[tuple[str, str]] = [
        ("left to run" if kind is Status.PLANNED else kind, str(counts[kind])) for kind in Status
    ]
    every = [*state.teacher_trials.values(), *state.trials.values()]
    at_work = is_in_use(run)
    stopped = "none; 'cktf resume' continues the run" if any(trial.end is None for trial in every) else "none"
    lines.append(("driver", "at work" if at_work else stopped))
    lines += [
        ("silent", f"{_line_of(each, study.metric)}; nothing was heard of it for {time.time() - each.heard:.0f} s")
        for each in every
        if at_work and each.is_silent(time.time())
    ]
    lines += [
        ("best", f"{arm_label(best.arm, best.context)}, {study.metric.removeprefix(MEASURE)} {best.score:.4g}")
        for best in state.best_arms(maximise=study.maximise).values()
    ]
    lines += [("look", look_in_words(look, state)) for look in state.looks]
    if len(state.looks) < len(study.looks):
        lines.append(("next look", f"at {study.looks[len(state.looks)]} of {study.looks[-1]} seeds"))
    scored = state.teachers
    in_work = [trial for key, trial in state.teacher_trials.items() if key not in scored or trial.end is None]
    lines += [("teacher", _line_of(trial, study.metric)) for trial in in_work]
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


def _line_of(trial: TrialState, metric: str, longest: int | None = None) -> str:
    row = trial.planned
    latest = trial.curve[max(trial.curve)] if trial.curve else None
    score = "" if latest is None else f", {metric.removeprefix(MEASURE)} {latest:.4g}"
    reason = f": {trial.end.reason}" if trial.end and trial.end.reason else ""
    label, epochs = arm_label(row.arm, row.context), ""
    if longest and len(label) > longest:
        label = f"{label[: longest - 1]}…"
    if row.stage == Stage.TEACHER:
        label = f"teacher {label}"
        epochs = f", epoch {max(trial.curve)} of {trial.epochs}" if trial.curve and not trial.end else ""
    return f"{label}, seed {row.seed}, {trial.status}{epochs}{score}{reason}"


class _Clock:
    """Counts and time left, at the pace of this session."""

    def __init__(self, planner: "Planner") -> None:
        self._planner = planner
        self._began: float | None = None
        self._before = planner.state.num_ended

    def see(self, row: Row) -> None:
        """Begin with the first row of a student, so that starting Ray and the training of teachers do not count."""
        if self._began is None and isinstance(row, EpochRow | EndRow) and row.trial_id in self._planner.state.trials:
            self._began = time.monotonic()

    def in_words(self, *, with_best: bool) -> str:
        planner = self._planner
        counts = planner.state.counts()
        words = [f"{planner.running} running"]
        if failed := counts[Status.FAILED]:
            words.append(f"{failed} failed")
        if teachers := sum(trial.end is None for trial in planner.state.teacher_trials.values()):
            words.append(f"{teachers} teacher{'s' * (teachers > 1)} to train first")
        if planner.spec.prune != "none":
            words.append(f"{counts[Status.PRUNED]} pruned")
        if left := self.left():
            words.append(left)
        if with_best and len(planner.spec.baselines) == 1:  # the line has no room for the best of several
            best = planner.state.best_arms(maximise=planner.spec.maximise)
            words += [f"best {planner.spec.metric} {arm.score:.4g} ({arm.arm})" for arm in best.values()]
        return ", ".join(words)

    def left(self) -> str:
        """Return the time that is left at the pace of this session; empty before its first end and after the last."""
        ended, total = self._planner.state.num_ended, self._planner.total()
        done = ended - self._before
        if self._began is None or not done or ended == total:
            return ""
        minutes = round((time.monotonic() - self._began) / done * (total - ended) / 60)
        left = f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
        return f"{left if minutes else 'under 1 min'} left"
