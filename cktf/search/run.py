"""Launch, resume, extend: one path for all three.

Whatever has happened before, a driver reads the ledger, lets the planner find out what is left, and has Ray
Tune run that. A crash, a lost node, Ctrl-C and an extension differ only in what the ledger holds.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from cktf.data.image_folder import NAME as IMAGE_FOLDER
from cktf.data.image_folder import folder_digest
from cktf.data.places import data_folder
from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Status, StudyRow
from cktf.search.environment import prepare
from cktf.search.errors import (
    BadRunDirectory,
    ClusterNotFound,
    ClusterTooSmall,
    NotExtensible,
    NotRunnable,
    RunInUse,
    RunNotFound,
    StudyDiffers,
    Unwritable,
)
from cktf.search.keep import Keeper
from cktf.search.ledger import FOLDER as LEDGER
from cktf.search.ledger import LOCK, Ledger, open_run, read_ledger, reading
from cktf.search.planner import Planner
from cktf.search.progress import watch
from cktf.search.provenance import Provenance
from cktf.search.runnable import require_known_contents, require_runnable
from cktf.storage import Storage
from cktf.study.designs import BASELINE, every_arm
from cktf.study.load import dump_study, read_study
from cktf.study.problems import StudyError
from cktf.study.spec import MOST_SEEDS, StudySpec
from cktf.trainer.teacher_file import content_digest

STUDY = "study.yaml"
PROVENANCE = "provenance.json"

TEACHER = "the teacher's file"

HOW_ONLY = {"name", "question", "delta", "reference", "resources", "health", "keep", "max_failures"}
"""Keys of a study that say how it is run and told, not what is trained: they may change between launches. But
``resources.workers`` may not, for batch-norm sees each worker's shard alone.

A ``delta`` that changes after results were seen was not fixed beforehand: the ledger keeps that of every launch, and
the report says so.
"""


@dataclass(frozen=True)
class Summary:
    """How a run stands when its driver leaves it.

    Attributes:
        run: The run directory.
        complete: Trials that have all their epochs.
        pruned: Trials that a pruner has ended.
        failed: Trials that have failed.
        failures: Reason to the number of trials that failed for it.
        unfound: Arms that a search was to try, and there are no others.
        is_interrupted: Whether there is more to run.
        seconds: Wall time of this session.
    """

    run: str
    complete: int
    pruned: int
    failed: int
    failures: dict[str, int]
    unfound: int
    is_interrupted: bool
    seconds: float

    def in_words(self) -> str:
        """Return one line for the user."""
        counts = [f"{self.complete} complete"]
        counts += [f"{self.pruned} pruned"] if self.pruned else []
        counts += [f"{self.failed} failed"] if self.failed else []
        counts += [f"{self.unfound} arms not found"] if self.unfound else []
        verb = "interrupted" if self.is_interrupted else "done"
        then = f"; 'cktf resume {self.run}' continues" if self.is_interrupted else ""
        if self.failed and not self.is_interrupted:
            then = f"; 'cktf resume {self.run} --retry-failed' tries the failed ones again"
        return f"{verb} after {self.seconds:.0f} s: {', '.join(counts)}{then}"


def launch(
    spec: StudySpec, run_dir: str, *, address: str | None = None, console: Console | None = None
) -> Summary:
    """Run a study's trials, or those that are left of them.

    Args:
        spec: The study.
        run_dir: Where the run is kept: a folder, or a bucket's URI. On a cluster every node must see it.
        address: A running Ray cluster; None starts Ray on this machine.
        console: Where progress is shown; None shows it on the terminal.

    Raises:
        UserError: One of `cktf.search.errors`, if the run directory or the cluster cannot be used for this.
    """
    run = open_run(run_dir)
    stored = _stored_study(run)
    if stored is not None:
        _require_same(spec, stored, run)
    elif others := foreign_names(run):
        raise BadRunDirectory(
            f"{run.root}: holds no run, but {', '.join(others[:3])}{' and more' if len(others) > 3 else ''}; choose a "
            "folder that is new or empty"
        )
    return _carry_out(spec, run, stored, address=address, console=console)


def resume(
    run_dir: str, *, retry_failed: bool = False, address: str | None = None, console: Console | None = None
) -> Summary:
    """Go on with a run after anything.

    Args:
        run_dir: The run directory.
        retry_failed: Whether failed trials are run again, from their checkpoints.
        address: As for `launch`.
        console: As for `launch`.

    Raises:
        UserError: As `launch`; `RunNotFound` if there is no run.
    """
    run = open_run(run_dir)
    spec = _require_study(run)
    return _carry_out(spec, run, spec, retry_failed=retry_failed, address=address, console=console)


def extend(
    run_dir: str,
    *,
    trials: int = 0,
    seeds: int = 0,
    address: str | None = None,
    console: Console | None = None,
) -> Summary:
    """Add trials or seeds to a run, and run them; what is there is kept.

    Args:
        run_dir: The run directory.
        trials: More arms of a search.
        seeds: More seeds for every arm of a design, or of a search's confirm stage.
        address: As for `launch`.
        console: As for `launch`.

    Raises:
        UserError: As `resume`; `NotExtensible` if the study has no such thing to extend.
    """
    run = open_run(run_dir)
    stored = _require_study(run)
    spec = extended(stored, trials=trials, seeds=seeds)
    return _carry_out(spec, run, stored, address=address, console=console)


def extended(spec: StudySpec, *, trials: int = 0, seeds: int = 0) -> StudySpec:
    """Return the study with more trials or seeds.

    Raises:
        NotExtensible: If the study has no such thing to extend, or may not have so many.
    """
    if not trials and not seeds:
        raise NotExtensible("nothing to add: use --trials or --seeds, and a number")
    if trials and spec.search is None:
        raise NotExtensible("--trials: only a search has trials to add; a design grows by --seeds")
    if seeds and spec.search is not None and spec.confirm is None:
        raise NotExtensible("--seeds: a search without 'confirm:' grows by --trials")
    changes: dict[str, object] = {"trials": spec.trials + trials} if trials else {}
    if seeds and spec.confirm:
        changes["confirm"] = spec.confirm.model_copy(update={"seeds": spec.confirm.seeds + seeds})
    elif seeds:
        if (count := len(spec.seeds) + seeds) > MOST_SEEDS:  # found before billions are written down
            raise NotExtensible(f"--seeds: seeds: must be between 1 and {MOST_SEEDS} in all; got {count}")
        first = max(spec.seeds) + 1
        changes["seeds"] = (*spec.seeds, *range(first, first + seeds))
    try:  # a copy is not checked; what is written must be readable
        return read_study(dump_study(spec.model_copy(update=changes)), "the extended study")
    except StudyError as error:
        raise NotExtensible(str(error)) from error


def _carry_out(
    spec: StudySpec,
    run: Storage,
    stored: StudySpec | None,
    *,
    retry_failed: bool = False,
    address: str | None,
    console: Console | None,
) -> Summary:
    began = time.monotonic()
    console = console or Console()
    if address is None:  # a cluster's nodes may have what this machine has not; there one of them is asked
        require_runnable(spec)
    with _writing(run):
        ledger = Ledger(run)
    with ledger:
        if _stored_study(run) != stored:  # until the ledger was ours, another driver could have it
            raise RunInUse(f"{run.root}: another driver has changed its study just now; try again")
        planner = _planner(spec, run, ledger, retry_failed=retry_failed)
        keeper = Keeper(run, planner.state, spec)
        is_interrupted = False
        try:
            if not planner.is_done():
                prepare(is_local=address is None)
                from cktf.search.tuning import tune_to_end  # here, for Ray looks around while it is imported

                with watch(planner, console) as show:
                    planner.listeners += [_writing(run)(keeper), show]
                    tune_to_end(planner, run, address=address, say=console.print)
            with _writing(run):
                keeper.finish()
        except (ClusterNotFound, ClusterTooSmall, NotRunnable):
            if stored is None:  # nothing was trained, and the study may have to be another
                _forget(run, ledger)
            raise
        except KeyboardInterrupt:
            is_interrupted = True
        with _writing(run):
            ledger.flush()
        return _summary(planner, run, is_interrupted, time.monotonic() - began)


def _forget(run: Storage, ledger: Ledger) -> None:
    """Take back that a run was begun."""
    with _writing(run):
        ledger.close()
        run.child(LEDGER).clear()
        run.delete(STUDY)
        run.delete(PROVENANCE)


def _planner(spec: StudySpec, run: Storage, ledger: Ledger, *, retry_failed: bool) -> Planner:
    """Write what was asked, and return a planner that knows all rows before that; none of them is kept."""
    rows = list(read_ledger(run))
    _require_same_files(rows, run)
    require_known_contents(spec)
    with _writing(run), ledger.planning():
        write_what_was_asked(spec, run, ledger)
        return Planner(spec, _writing(run)(ledger.append), rows, retry_failed=retry_failed)


@contextmanager
def _writing(run: Storage) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unwritable(f"{run.root}: cannot be written to: {error.strerror or error}") from error


def write_what_was_asked(spec: StudySpec, run: Storage, ledger: Ledger) -> None:
    """Write the study and its provenance, beside the ledger and in it."""
    provenance = Provenance.now()
    baselines = {arm.context: arm.arm_id for arm in every_arm(spec) if arm.name == BASELINE}
    reference = spec.reference
    run.write(STUDY, dump_study(spec).encode())
    run.write(PROVENANCE, json.dumps(asdict(provenance), indent=1).encode())
    ledger.append(
        StudyRow(
            study=spec.name,
            run=Path(run.path).name,
            question=spec.question,
            design=spec.design,
            metric=spec.metric,
            report_metric=spec.report_metric,
            maximise=spec.maximise,
            baseline_arm_id=next(iter(baselines.values())),
            baselines=baselines,
            delta=spec.delta,
            factors=list(spec.factors),
            log_factors=list(spec.log_factors),
            sampler=spec.sampler if spec.search else "",
            pruner=spec.prune if spec.search and spec.prune != "none" else "",
            is_smoke=spec.smoke,
            teacher_once=spec.teacher_once,
            workers=spec.resources.workers,
            reference_source=reference.source if reference else "",
            reference_values=reference.by_context() if reference else {},
            reference_teachers=reference.teachers() if reference else {},
            time=time.time(),
            **asdict(provenance),
        )
    )


def foreign_names(run: Storage) -> list[str]:
    """Return the names in a folder that no run has; none of a bucket."""
    folder = Path(run.path)
    if not (run.is_local and folder.is_dir()):
        return []
    own = {STUDY, PROVENANCE, LEDGER, LOCK, "teachers", "trials", "report"}
    with reading(run):
        names = sorted(path.name for path in folder.iterdir())
    return [
        name
        for name in names
        if name not in own and not name.startswith((".", f"{STUDY}.", f"{PROVENANCE}."))
    ]


def _stored_study(run: Storage) -> StudySpec | None:
    with reading(run):
        text = run.read(STUDY)
    try:
        return None if text is None else read_study(text.decode(), run.full(STUDY))
    except UnicodeDecodeError:
        raise StudyError(f"{run.full(STUDY)}: is not UTF-8 text") from None


def _require_study(run: Storage) -> StudySpec:
    spec = _stored_study(run)
    if spec is None:
        raise RunNotFound(f"{run.root}: there is no run; 'cktf launch' starts one")
    return spec


def _require_same(spec: StudySpec, stored: StudySpec, run: Storage) -> None:
    asked, before = (
        {**study.model_dump(exclude=HOW_ONLY), "resources.workers": study.resources.workers}
        for study in (spec, stored)
    )
    differing = [key for key in asked if asked[key] != before[key]]
    if not differing:
        return
    grown = set(differing) <= {"trials", "seeds", "confirm"}
    hint = f"use 'cktf extend {run.root}' to add to it, or " if grown else ""
    if not (grown or any(isinstance(row, EpochRow | EndRow) for row in read_ledger(run))):
        hint = "nothing has been trained in it, so delete it, or "
    raise StudyDiffers(
        f"{run.root}: holds a run of a study that differs in: {', '.join(differing)}; {hint}choose another "
        f"--run-dir, or use 'cktf resume {run.root}' to go on with what it holds"
    )


def _require_same_files(rows: Iterable[Row], run: Storage) -> None:
    """Refuse to go on where a file has changed: arms of one name would have learned from two teachers, or images."""
    configs = [row.config for row in rows if isinstance(row, PlannedRow)]
    named = {file for config in configs for file in _known_by_content(config)}
    for what, place, digest in sorted(named, key=str):
        found = content_digest(place) if what == TEACHER else folder_digest(place)
        if found == digest:
            continue
        if digest is None:
            raise StudyDiffers(
                f"{run.root}: {what} {place} can be read here, and could not be where trials were planned with it, "
                "which are therefore known by its place; go on where it cannot be read, or choose another --run-dir"
            )
        changed = "has changed" if found else "can no longer be read here"
        raise StudyDiffers(
            f"{run.root}: {what} {place} {changed} since trials were planned with it, when its SHA-256 was {digest}; "
            "put that one back, or choose another --run-dir"
        )


def _known_by_content(config: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Yield what a planned trial knows by content: what it is, its place, and its digest at that time."""
    teacher = config.get("teacher") or {}
    if teacher.get("checkpoint"):
        yield TEACHER, teacher["checkpoint"], teacher.get("sha256")
    for data in (config["data"], config.get("source") or {}):
        if data.get("name") == IMAGE_FOLDER and not data.get("generated"):
            yield "the folder of images", str(data_folder(data.get("root"))), data.get("content")


def _summary(planner: Planner, run: Storage, is_interrupted: bool, seconds: float) -> Summary:
    counts = planner.state.counts()
    reasons = Counter(trial.end.reason for trial in planner.state.failures() if trial.end)
    return Summary(
        run=run.root,
        complete=counts[Status.COMPLETE],
        pruned=counts[Status.PRUNED],
        failed=counts[Status.FAILED],
        failures=dict(reasons.most_common()),
        unfound=planner.num_unfound,
        is_interrupted=is_interrupted,
        seconds=seconds,
    )
