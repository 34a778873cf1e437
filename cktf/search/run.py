"""Launch, resume, extend: one path for all three.

Whatever has happened before, a driver reads the ledger, lets the planner find out what is left, and has Ray
Tune run that. A crash, a lost node, Ctrl-C and an extension differ only in what the ledger holds.
"""

import json
import logging
import os
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from ray import tune
from rich.console import Console

from cktf.rows import Status, StudyRow
from cktf.search.cluster import Room, Share, connected, wait_for_room
from cktf.search.errors import NotExtensible, RunNotFound, StudyDiffers, Unwritable
from cktf.search.keep import Keeper
from cktf.search.ledger import Ledger, read_ledger
from cktf.search.planner import Planner
from cktf.search.progress import watch
from cktf.search.provenance import Provenance
from cktf.search.searcher import PlannerScheduler, PlannerSearcher
from cktf.search.trial import STUDY, Assignment, Slot
from cktf.storage import Storage
from cktf.study.load import dump_study, read_study
from cktf.study.spec import StudySpec

TRIALS_PER_TUNE_RUN = 1000
"""Tune copies the state of all its trials again and again; a study of more is given to it in parts."""

HOW_ONLY = {"name", "question", "resources", "keep", "max_failures"}
"""Keys of a study that say how it is run and told, not what is asked: they may change between launches."""

TUNE_SETTINGS = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a relative path in a study means the same on a worker as here
    "RAY_AIR_NEW_OUTPUT": "0",  # the older output is the one that can be silent
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # results are rows of the ledger
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # nothing is to be saved at Ctrl-C; all is in the ledger
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # errors are rows, too
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
}


@dataclass(frozen=True)
class Summary:
    """How a run stands when its driver leaves it.

    Attributes:
        run: The run directory.
        complete: Trials that have all their epochs.
        pruned: Trials that a pruner has ended.
        failed: Trials that have failed.
        failures: Reason to the number of trials that failed for it.
        is_interrupted: Whether there is more to run.
        seconds: Wall time of this session.
    """

    run: str
    complete: int
    pruned: int
    failed: int
    failures: dict[str, int]
    is_interrupted: bool
    seconds: float

    def in_words(self) -> str:
        """Return one line for the user."""
        counts = [f"{self.complete} complete"]
        counts += [f"{self.pruned} pruned"] if self.pruned else []
        counts += [f"{self.failed} failed"] if self.failed else []
        verb = "interrupted" if self.is_interrupted else "done"
        then = f"; 'cktf resume {self.run}' goes on" if self.is_interrupted else ""
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
    run = Storage(run_dir)
    stored = _stored_study(run)
    if stored is not None:
        _require_same(spec, stored, run)
    return _carry_out(spec, run, address=address, console=console)


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
    run = Storage(run_dir)
    spec = _require_study(run)
    return _carry_out(spec, run, retry_failed=retry_failed, address=address, console=console)


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
    run = Storage(run_dir)
    spec = extended(_require_study(run), trials=trials, seeds=seeds)
    return _carry_out(spec, run, address=address, console=console)


def extended(spec: StudySpec, *, trials: int = 0, seeds: int = 0) -> StudySpec:
    """Return the study with more trials or seeds.

    Raises:
        NotExtensible: If the study has no such thing to extend.
    """
    if trials and spec.search is None:
        raise NotExtensible("--trials: only a search has trials to add; a design grows by --seeds")
    if seeds and spec.search is not None and spec.confirm is None:
        raise NotExtensible("--seeds: a search without 'confirm:' grows by --trials")
    changes: dict[str, object] = {"trials": spec.trials + trials} if trials else {}
    if seeds and spec.confirm:
        changes["confirm"] = spec.confirm.model_copy(update={"seeds": spec.confirm.seeds + seeds})
    elif seeds:
        first = max(spec.seeds) + 1
        changes["seeds"] = (*spec.seeds, *range(first, first + seeds))
    return spec.model_copy(update=changes)


def _carry_out(
    spec: StudySpec,
    run: Storage,
    *,
    retry_failed: bool = False,
    address: str | None,
    console: Console | None,
) -> Summary:
    began = time.monotonic()
    console = console or Console()
    try:
        ledger = Ledger(run)
    except OSError as error:
        raise Unwritable(f"{run.root}: cannot be written to: {error.strerror or error}") from error
    with ledger:
        rows = list(read_ledger(run))
        _write_what_was_asked(spec, run, ledger)
        planner = Planner(spec, ledger.append, rows, retry_failed=retry_failed)
        is_interrupted = False
        if not planner.is_done():
            with connected(address):
                share = wait_for_room(spec.resources, is_local=address is None, say=console.print)
                room = Room(share, spec.resources.slots)
                with watch(planner, console) as show:
                    keeper = Keeper(run, planner.state, spec)
                    planner.listeners += [keeper, show]
                    try:
                        while not planner.is_done():
                            _run_part(planner, run, share, room)
                    except KeyboardInterrupt:
                        is_interrupted = True
        if not is_interrupted:
            Keeper(run, planner.state, spec).finish()
        return _summary(planner, run, is_interrupted, time.monotonic() - began)


def _run_part(planner: Planner, run: Storage, share: Share, room: Room) -> None:
    """Let Ray Tune run trials until the planner has no more, or Tune has had enough."""
    os.environ.update(TUNE_SETTINGS, TUNE_MAX_PENDING_TRIALS_PG=str(room()))
    logging.getLogger("ray.tune").setLevel(
        logging.CRITICAL
    )  # it mourns the results files that it was told not to write
    searcher = PlannerSearcher(planner, lambda row: Assignment.of(row, run, share), room)
    with tempfile.TemporaryDirectory(prefix="cktf-") as scratch:
        tune.Tuner(
            tune.with_resources(Slot, share.placement()),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=PlannerScheduler(planner, searcher),
                num_samples=TRIALS_PER_TUNE_RUN,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=planner.spec.max_failures),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()


def _write_what_was_asked(spec: StudySpec, run: Storage, ledger: Ledger) -> None:
    provenance = Provenance.now()
    run.write(STUDY, dump_study(spec).encode())
    run.write("provenance.json", json.dumps(asdict(provenance), indent=1).encode())
    ledger.append(
        StudyRow(
            study=spec.name,
            run=Path(run.path).name,
            question=spec.question,
            design=spec.design,
            metric=spec.metric,
            report_metric=spec.report_metric,
            maximise=spec.maximise,
            baseline_arm_id=spec.baseline_config.arm_id,
            factors=list(spec.factors),
            log_factors=list(spec.log_factors),
            time=time.time(),
            **asdict(provenance),
        )
    )


def _stored_study(run: Storage) -> StudySpec | None:
    text = run.read(STUDY)
    return None if text is None else read_study(text.decode(), run.full(STUDY))


def _require_study(run: Storage) -> StudySpec:
    spec = _stored_study(run)
    if spec is None:
        raise RunNotFound(f"{run.root}: there is no run; 'cktf launch' begins one")
    return spec


def _require_same(spec: StudySpec, stored: StudySpec, run: Storage) -> None:
    asked = spec.model_dump(exclude=HOW_ONLY)
    before = stored.model_dump(exclude=HOW_ONLY)
    differing = [key for key in asked if asked[key] != before[key]]
    if not differing:
        return
    grown = set(differing) <= {"trials", "seeds", "confirm"}
    hint = f"use 'cktf extend {run.root}' to add to it, or " if grown else ""
    raise StudyDiffers(
        f"{run.root}: holds a run of a study that differs in: {', '.join(differing)}; {hint}choose another "
        f"--run-dir, or use 'cktf resume {run.root}' to go on with what it holds"
    )


def _summary(planner: Planner, run: Storage, is_interrupted: bool, seconds: float) -> Summary:
    counts = planner.state.counts()
    reasons = Counter(trial.end.reason for trial in planner.state.failures() if trial.end)
    return Summary(
        run=run.root,
        complete=counts[Status.COMPLETE],
        pruned=counts[Status.PRUNED],
        failed=counts[Status.FAILED],
        failures=dict(reasons.most_common()),
        is_interrupted=is_interrupted,
        seconds=seconds,
    )
