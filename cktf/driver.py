"""Launch, resume and extend a run.

All three read the ledger, let the planner find out what is left to run, and have Ray Tune run that.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from shlex import quote

from rich.console import Console

from cktf.cluster.environment import prepare
from cktf.cluster.machine import Machine
from cktf.cluster.signals import as_ctrl_c
from cktf.errors import ClusterNotFound, ClusterTooSmall, NotExtensible, NotRunnable, RunInUse, naming, shown
from cktf.plan.planner import Planner
from cktf.rows import Status, StudyRow, TeacherRow
from cktf.run.directory import (
    forget,
    require_own,
    require_same,
    require_same_contents,
    require_study,
    require_unedited,
    stored_study,
    write_what_was_asked,
)
from cktf.run.growth import added_in_words, names_of_old_arms, require_grown
from cktf.run.kept_files import ERROR, TrialFiles
from cktf.run.later_measures import require_comparable
from cktf.run.ledger import Ledger, read_ledger
from cktf.run.plugins import require_same_code
from cktf.run.preflight import require_known_contents, require_runnable
from cktf.run.progress import watch
from cktf.run.warm_start import observe, observed_in, warm_start_in_words
from cktf.storage import TRIALS, Storage, below
from cktf.study.designs import smoke_study
from cktf.study.load import dump_study, read_study
from cktf.study.problems import StudyError
from cktf.study.sections import MOST_SEEDS
from cktf.study.spec import StudySpec
from cktf.trainer.checkpoint import trial_storage
from cktf.trial.trained_teachers import trained_row


@dataclass(frozen=True)
class Summary:
    """State of a run when its driver ends.

    Attributes:
        complete: Number of trials that have all their epochs; likewise ``pruned`` and ``failed`` ones.
        failures: Reason to the number of trials that failed with it.
        logs: Reason to the traceback file of the first trial that failed with it, if there is one.
        unfound: Number of requested arms that the sampler of a search could not find.
        is_interrupted: Whether the session was interrupted, so that there may be more to run.
        seconds: Wall time of this session.
    """

    run: str
    complete: int
    pruned: int
    failed: int
    failures: dict[str, int]
    logs: dict[str, str]
    unfound: int
    is_interrupted: bool
    seconds: float

    def in_words(self) -> str:
        """Return the summary as one line for the user."""
        counts = {"pruned": self.pruned, "failed": self.failed, "arms not found": self.unfound}
        said = ", ".join([f"{self.complete} complete", *(f"{n} {what}" for what, n in counts.items() if n)])
        if self.is_interrupted:
            return f"interrupted after {self.seconds:.0f} s: {said}; 'cktf resume {quote(self.run)}' continues"
        then = f"; 'cktf resume {quote(self.run)} --retry-failed' tries the failed ones again" if self.failed else ""
        return f"done after {self.seconds:.0f} s: {said}{then}"


def launch(
    spec: StudySpec,
    run_dir: str | os.PathLike[str],
    *,
    address: str | None = None,
    cpus: int | None = None,
    gpus: int | None = None,
    console: Console | None = None,
) -> Summary:
    """Run a study's trials, or those that are left to run.

    Args:
        spec: The study.
        run_dir: The run directory: a folder, or a bucket's URI. On a cluster every node must see it.
        address: A running Ray cluster; None starts Ray on this machine.
        cpus: Number of CPUs of a Ray that is started here; None: all that this process may use.
        gpus: Number of GPUs, likewise.
        console: Console for the progress; None: the terminal.

    Raises:
        UserError: One of `cktf.errors`, if the run directory or the cluster cannot be used for this.
    """
    run = Storage(run_dir)
    stored = stored_study(run)
    if stored is None:
        require_own(run)
    else:
        require_same(spec, stored, run)
    return _carry_out(spec, run, stored, machine=Machine(address, cpus, gpus), console=console)


def resume(
    run_dir: str | os.PathLike[str],
    *,
    retry_failed: bool = False,
    address: str | None = None,
    cpus: int | None = None,
    gpus: int | None = None,
    console: Console | None = None,
) -> Summary:
    """Continue a run after any interruption.

    With ``retry_failed`` failed trials are run again, from their checkpoints. All else is as for `launch`.

    Raises:
        UserError: As `launch`; `RunNotFound` if there is no run.
    """
    run = Storage(run_dir)
    spec = require_study(run)
    return _carry_out(spec, run, spec, retry_failed=retry_failed, machine=Machine(address, cpus, gpus), console=console)


def extend(
    run_dir: str | os.PathLike[str],
    *,
    study: StudySpec | None = None,
    trials: int = 0,
    seeds: int = 0,
    address: str | None = None,
    cpus: int | None = None,
    gpus: int | None = None,
    console: Console | None = None,
) -> Summary:
    """Add to a run, and run what was added; existing results stay.

    Give either a larger ``study`` that contains the run's (for a smoke run, its smoke version is taken), or how many
    ``trials`` to add to a search, or ``seeds`` to every arm of a design or of a search's confirm stage. All else is as
    for `launch`.

    Raises:
        UserError: As `resume`; `NotExtensible` if the study cannot be extended so, or does not contain the run's.
    """
    run = Storage(run_dir)
    stored = require_study(run)
    if study is None:
        spec = extended(stored, trials=trials, seeds=seeds)
    elif trials or seeds:
        raise NotExtensible("--study: has all that the study shall have, so --trials and --seeds go without it")
    else:
        spec = smoke_study(study) if stored.smoke else study
        require_grown(spec, stored, run)
    return _carry_out(spec, run, stored, machine=Machine(address, cpus, gpus), console=console)


def extended(spec: StudySpec, *, trials: int = 0, seeds: int = 0) -> StudySpec:
    """Return the study with more trials or seeds.

    Raises:
        NotExtensible: If the study cannot be extended so, or may not have so many seeds.
    """
    for option, number in (("--trials", trials), ("--seeds", seeds)):
        if not isinstance(number, int) or number < 0:
            raise NotExtensible(f"{option}: must be a whole number, 0 or more; got {shown(number)}")
    if not trials and not seeds:
        raise NotExtensible("nothing to add: use --trials or --seeds and a number, or --study and a larger study")
    if (trials and spec.search is None) or (seeds and spec.search is not None and spec.confirm is None):
        raise NotExtensible("--trials are added to a search, and --seeds to a design, or a search with 'confirm:'")
    if seeds and spec.race is not None:
        raise NotExtensible(
            f"--seeds: the study is a race, whose last look, at {spec.race.looks[-1]} seeds, spends what is left of "
            "its level; a study with other seeds is launched with another --run-dir"
        )
    changes: dict[str, object] = {"trials": spec.trials + trials} if trials else {}
    if seeds and spec.confirm:
        changes["confirm"] = spec.confirm.model_copy(update={"seeds": spec.confirm.seeds + seeds})
    elif seeds:
        if (count := len(spec.seeds) + seeds) > MOST_SEEDS:  # before a tuple of billions is built
            raise NotExtensible(f"--seeds: seeds: must be between 1 and {MOST_SEEDS} in all; got {count}")
        first = max(spec.seeds) + 1
        changes["seeds"] = (*spec.seeds, *range(first, first + seeds))
    try:  # model_copy checks nothing; the written study must be readable
        known = {plugin.name: plugin for plugin in spec.plugins}
        return read_study(dump_study(spec.model_copy(update=changes)), "the extended study", find=known.__getitem__)
    except StudyError as error:
        raise NotExtensible(str(error)) from error


@as_ctrl_c()
def _carry_out(
    spec: StudySpec,
    run: Storage,
    stored: StudySpec | None,
    *,
    retry_failed: bool = False,
    machine: Machine,
    console: Console | None,
) -> Summary:
    if sys.platform != "linux":
        raise NotRunnable(
            f"studies are launched, resumed and extended on Linux alone; this system is {sys.platform}: here "
            "'cktf train' trains one trial, and 'cktf report' reads runs of other machines"
        )
    began = time.monotonic()
    console = console or Console(emoji=False)
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    teachers: list[TeacherRow] = []
    if machine.address is None:  # a cluster's nodes may have files that this machine lacks, so one of them checks there
        teachers = require_runnable(spec)
    run = Storage(run.root, spec.storage_patience)  # it was readable, so from here on failing requests are repeated
    with naming(run.root):
        ledger = Ledger(run)
    with ledger:
        if stored_study(run) != stored:  # another driver could write until this one had the lock
            raise RunInUse(f"{run.root}: another driver has changed its study just now; try again")
        planner = _planner(spec, run, ledger, stored, retry_failed=retry_failed, say=say)
        planner.on_teachers(teachers)
        files = TrialFiles(run, planner.state, spec)
        is_interrupted = False
        try:
            planner.plan()
            if not planner.is_done:
                if warning := prepare(is_local=machine.address is None):
                    say(warning, style="yellow")
                from cktf.cluster.tune import tune_to_end  # here: Ray reads the environment at its import

                with watch(planner, console) as show:
                    planner.listeners += [files.on_row, show]
                    tune_to_end(planner, run, machine=machine, say=say)
            files.finish()
        except (ClusterNotFound, ClusterTooSmall, NotRunnable):
            if stored is None and planner.state.is_untouched:  # so that a changed study can be launched here
                forget(run, ledger)
            raise
        except KeyboardInterrupt:
            is_interrupted = True
            run.child(TRIALS).clear_empty()  # the folders of trials that ended before their first checkpoint
        finally:
            files.close()
        with naming(run.root):
            ledger.flush()
        return _summary(planner, run, is_interrupted, time.monotonic() - began)


def _planner(
    spec: StudySpec,
    run: Storage,
    ledger: Ledger,
    stored: StudySpec | None = None,
    *,
    retry_failed: bool,
    say: Callable[[str], object] = lambda _: None,
) -> Planner:
    """Write study, provenance and study row; return a planner that has replayed the ledger's earlier rows."""
    rows = list(read_ledger(run))
    require_unedited(run, rows)
    require_same_code(spec.plugins, rows, run)
    require_same_contents(rows, run)
    require_comparable(spec.built_measures, [row for row in rows if isinstance(row, StudyRow)])
    require_known_contents(spec)
    started = observed_in(rows)
    new = observe(spec) if spec.warm_start and not started else {}
    if new:
        say(warm_start_in_words(new))
    added = added_in_words(stored, spec) if stored not in (None, spec) else ""
    with naming(run.root), ledger.planning():
        renamed = names_of_old_arms(spec, rows)
        write_what_was_asked(spec, run, ledger, added=added, renamed=renamed, warm_start=new)
        return Planner(
            spec,
            naming(run.root)(ledger.append),
            rows,
            retry_failed=retry_failed,
            find_teacher=partial(trained_row, run),
            observations=(started or new).get("observations", ()),
        )


def _summary(planner: Planner, run: Storage, is_interrupted: bool, seconds: float) -> Summary:
    counts = planner.state.counts()
    failures = [(trial.end.reason, trial.planned.trial_id) for trial in planner.state.failures() if trial.end]
    folders = {reason: trial_storage(run, trial_id) for reason, trial_id in reversed(failures)}
    with naming(run.root):
        logs = {reason: below(folder.root, ERROR) for reason, folder in folders.items() if folder.exists(ERROR)}
    return Summary(
        run=run.root,
        complete=counts[Status.COMPLETE],
        pruned=counts[Status.PRUNED],
        failed=counts[Status.FAILED],
        failures=dict(Counter(reason for reason, _ in failures).most_common()),
        logs=logs,
        unfound=planner.num_unfound,
        is_interrupted=is_interrupted,
        seconds=seconds,
    )
