"""A planner's trials run on Ray Tune, on this machine or a cluster."""

import logging
import os
from collections.abc import Callable, Sequence
from shlex import quote

import ray
from ray import tune
from ray.air.execution._internal import RayActorManager
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.execution import class_cache

from cktf.cluster.assignment import Assignment
from cktf.cluster.machine import Machine
from cktf.cluster.nodes import Capacity, TrialResources, connected, wait_for_capacity
from cktf.cluster.pulse import Pulse
from cktf.cluster.searcher import PlannerScheduler, PlannerSearcher
from cktf.cluster.signals import as_ctrl_c
from cktf.cluster.slot import Slot
from cktf.errors import NotRunnable
from cktf.plan.planner import Planner
from cktf.plugins import Plugin
from cktf.rows import PlannedRow, Stage, TeacherRow
from cktf.run.preflight import require_runnable
from cktf.scratch import scratch_folder
from cktf.storage import Storage
from cktf.study.load import dump_study, read_study
from cktf.study.spec import StudySpec

TRIALS_PER_TUNE_RUN = 1000
"""Trials of one call of Tune, which copies the state of all its trials again and again."""

# Tune would write these into Ray's state and logs. Local workers have them from this process, others from a role.
class_cache.ENV_VARS_TO_PROPAGATE.difference_update(
    {name for name in class_cache.ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")}
)

_actor_task_failed = RayActorManager._actor_task_failed


def _count_as_death(self: RayActorManager, tracked_actor_task: TrackedActorTask, exception: Exception) -> None:
    """Handle a worker that was ended for want of memory, or lost otherwise, like any that died.

    Tune would end the whole run, and with it the trials of all other machines.
    """
    if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
        exception = RayActorError(error_msg=str(exception))
    _actor_task_failed(self, tracked_actor_task, exception)


RayActorManager._actor_task_failed = _count_as_death  # type: ignore[method-assign]


def tune_to_end(planner: Planner, run: Storage, *, machine: Machine, say: Callable[[str], None]) -> None:
    """Run trials until the planner has no more, on a running Ray cluster, or one that is started here.

    Raises:
        ClusterNotFound: If no cluster answers.
        ClusterTooSmall: If a trial does not fit on it.
        ClusterLost: If it is gone, or does not answer any longer.
        NotRunnable: If something that trials need is not on its nodes or does not go together.
        Exception: The planner's `failure`, if it has one.
    """
    resources, is_local = planner.spec.resources, machine.address is None
    # Tune warns at every trial end about result files that are switched off.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with connected(machine, f"nothing is lost: 'cktf resume {quote(run.root)}' goes on") as pulse:
        trial = wait_for_capacity(resources, is_local=is_local, say=say)
        if not is_local:
            planner.on_teachers(_require_runnable_there(planner.spec, trial, say))
        capacity = Capacity(trial, resources.slots, lambda: pulse.nodes, is_local=is_local, say=say)
        while not planner.is_done:
            try:
                _tune_part(planner, run, trial, capacity, pulse, say)
            except Exception:
                pulse.require()
                if planner.failure:
                    raise planner.failure from None  # not the error that Tune has made of it
                raise


def _require_runnable_there(spec: StudySpec, trial: TrialResources, say: Callable[[str], None]) -> list[TeacherRow]:
    """Run `require_runnable` on a node on which a worker of a trial fits; return its scores of teachers.

    There are none if the node was lost; trials then score their teachers themselves.
    """
    there = ray.remote(num_cpus=trial.cpus, num_gpus=trial.gpus)(_require_runnable)
    try:
        scores: list[TeacherRow] = ray.get(there.remote(dump_study(spec), spec.name, spec.plugins))
    except RayTaskError as error:
        raise error.cause if isinstance(error.cause, NotRunnable) else error from None
    except RayError as error:  # such as a lost node, which trials outlive; they report what is wrong
        say(f"the study could not be checked on the cluster: {error}")
        return []
    return scores


def _require_runnable(study: str, name: str, plugins: Sequence[Plugin]) -> list[TeacherRow]:
    """Return `require_runnable` of a study sent as text, because plug-ins make the classes of its settings."""
    known = {plugin.name: plugin for plugin in plugins}
    return require_runnable(read_study(study, name, find=known.__getitem__))


def _tune_part(
    planner: Planner, run: Storage, trial: TrialResources, capacity: Capacity, pulse: Pulse, say: Callable[[str], None]
) -> None:
    """Let Tune run `TRIALS_PER_TUNE_RUN` trials, or all that the planner has."""
    # Slots start together, not one after the other.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(capacity.now())

    plugins = {plugin.name: plugin.version for plugin in planner.spec.plugins}

    def assign(row: PlannedRow) -> Assignment:
        options = planner.spec.train_options(  # those of a student; the training of a teacher has its own
            read_test=row.stage != Stage.SEARCH,  # a search never reads the test split
            teacher_is_scored=planner.state.teachers.keys() >= {*row.teacher_id.split(",")},
        )
        return Assignment.of(row, run, trial, options, plugins)

    searcher = PlannerSearcher(planner, assign, capacity.now, say)
    patience = 0.0 if run.is_local else run.patience  # a folder is not waited for
    with scratch_folder() as scratch, as_ctrl_c():  # Tune's own handler of SIGUSR1 stays
        # Not the newer Tuner: it would pickle the searcher, and with it the planner and its open ledger.
        analysis = tune.run(
            Slot,
            num_samples=TRIALS_PER_TUNE_RUN,
            search_alg=searcher,
            scheduler=PlannerScheduler(planner, searcher, pulse.require, say, patience),
            resources_per_trial=trial.placement(),
            reuse_actors=True,
            max_failures=planner.spec.max_failures,
            storage_path=scratch,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
            raise_on_failed_trial=False,
            verbose=0,
        )
    planner.plan()
    if planner.failure:
        raise planner.failure
    # Tune takes SIGUSR1 for itself, and leaves the running trials behind.
    if planner.running or (len(analysis.trials or ()) < TRIALS_PER_TUNE_RUN and not planner.is_done):
        raise KeyboardInterrupt
