"""Designs: the arms that a study fixes before any result is seen, their names, and the small study of a smoke run.

A smoke run tests a study from end to end before data or GPUs are available: with its arms, networks, objectives and
batch sizes, but on few generated images, for a few epochs. The numbers mean nothing.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cktf.errors import shown
from cktf.names import BASELINE, arm_label, short_name
from cktf.objectives import active_objectives
from cktf.study.paths import lay_over, leaves, overlay, value_at
from cktf.study.problems import StudyError
from cktf.study.spec import StudySpec
from cktf.study.yaml_text import in_one_line
from cktf.trainer.config import TrialConfig
from cktf.trainer.teacher import OF_CHECKPOINT
from cktf.trial.content import trial_config

SMOKE_EPOCHS = 2
"""Largest number of epochs of a phase in a smoke run, the teacher's included."""

SMOKE_NORM = 1.0
"""Norm at which a smoke run clips gradients. A teacher's batch-norm has seen only a few steps, so its activations may
be of any size, and methods that match them would diverge."""

SMOKE_SEEDS = 2
"""Largest number of seeds of a smoke run; an interval needs two."""

MANY_SMOKE_ARMS = 30
"""Number of arms, over all contexts, above which a smoke run has one seed."""

SMOKE_TRIALS = 6
"""Largest number of arms that a smoke run's search tries."""


@dataclass(frozen=True)
class Arm:
    """One full setting of all factors, without the seed.

    Attributes:
        name: Readable name: ``temperature=0.5``. Searched numbers are rounded.
        params: Factor path to value, for every factor that this arm sets.
        config: The full trial configuration, at seed 0.
        context: The context that it runs in; empty if the study has none.
        aliases: ``arm`` (name) and ``params`` of each other arm that trains alike.
    """

    name: str
    params: dict[str, Any]
    config: TrialConfig
    context: str = ""
    aliases: tuple[dict[str, Any], ...] = ()

    @property
    def arm_id(self) -> str:
        """The arm's identity: a hash of the configuration without the seed."""
        return self.config.arm_id

    @property
    def label(self) -> str:
        """Name of the arm, after that of its context if it has one."""
        return arm_label(self.name, self.context)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arm and of its aliases."""
        return (self.name, *(alias["arm"] for alias in self.aliases))


@dataclass(frozen=True)
class Candidate:
    """An arm before it is checked.

    Attributes:
        where: Keys in the study file that define it.
        name: Its name if the study gives one.
        paths: The factors that it sets.
        mapping: Its configuration, not yet validated.
    """

    where: tuple[str | int, ...]
    name: str | None
    paths: tuple[str, ...]
    mapping: dict[str, Any]


def candidates(spec: StudySpec, context: str = "") -> Iterator[Candidate]:
    """Yield every arm of a design except a context's baseline, duplicates included; none for a search."""
    base = spec.baselines[context]
    for path, levels in (spec.ablate or {}).items():
        for index, level in enumerate(levels):
            yield Candidate(("ablate", path, index), None, (path,), overlay(base, {path: level}))
    for path, off in (spec.leave_one_out or {}).items():
        yield Candidate(("leave_one_out", path), None, (path,), overlay(base, {path: off}))
    for name, patch in (spec.compare or {}).items():
        if name not in spec.skip.get(context, ()):
            yield Candidate(("compare", name), name, tuple(leaves(patch)), lay_over(base, patch))
    for cell in itertools.product(*spec.grid.values()) if spec.grid else ():
        values = dict(zip(spec.grid or (), cell, strict=True))
        yield Candidate(("grid",), None, tuple(values), overlay(base, values))
    for run in spec.fraction.runs if spec.fraction else ():
        factors = (spec.fractional or {}).items()
        values = {path: levels[level] for (path, levels), level in zip(factors, run, strict=True)}
        yield Candidate(("fractional",), None, tuple(values), overlay(base, values))


def plan_arms(spec: StudySpec, apart: Collection[str] = ()) -> tuple[Arm, ...]:
    """Return the arms that a study trains; arms that train alike are merged (see `merge_alike`)."""
    return merge_alike(spec, every_arm(spec), apart)


def merge_alike(spec: StudySpec, arms: Iterable[Arm], apart: Collection[str] = ()) -> tuple[Arm, ...]:
    """Return arms, merging those of a context that train alike: the first lists the others as its aliases.

    Trained separately, one result would count several times. A context's baseline comes before its other arms. Arms
    whose ids are in ``apart`` come first and are not merged, because a run already has trials of them.
    """
    merged: dict[tuple[str, str], Arm] = {}
    for arm in sorted(arms, key=lambda arm: arm.arm_id not in apart):
        key = (arm.context, acting(arm.config, is_measured=spec.reads_teacher).arm_id)
        first = merged.setdefault(key, arm)
        if arm.name in first.names:
            continue
        if arm.arm_id in apart and arm.arm_id != first.arm_id:
            merged[arm.context, f"apart: {arm.arm_id}"] = arm
        else:
            other = {"arm": arm.name, "params": arm.params}
            merged[key] = replace(first, aliases=(*first.aliases, other))
    return tuple(merged.values())


def every_arm(spec: StudySpec) -> tuple[Arm, ...]:
    """Return every arm of a study before merging, each context's baseline first; a search has only its baseline."""
    return tuple(_small(spec, arm) for context in spec.baselines for arm in arms_in(spec, context))


def _small(spec: StudySpec, arm: Arm) -> Arm:
    """Return an arm as it is run: in a smoke run its small version."""
    return replace(arm, config=smoke_trial(arm.config)) if spec.smoke else arm


def arms_in(spec: StudySpec, context: str) -> tuple[Arm, ...]:
    """Return the arms of one context in full size, its baseline first, without arms that equal an earlier one."""
    baseline = Arm(BASELINE, {}, spec.baseline_configs[context], context)
    arms = {baseline.arm_id: baseline}
    for candidate in candidates(spec, context):
        config = trial_config(candidate.mapping)
        if config.arm_id not in arms:
            params = _values(config, candidate.mapping, candidate.paths)
            name = candidate.name or name_arm(params, spec.factors)
            arms[config.arm_id] = Arm(name, params, config, context)
    return tuple(arms.values())


def arm_named(spec: StudySpec, name: str, context: str | None = None) -> Arm:
    """Return one of `every_arm` by its name; ``context`` is needed if the study has several."""
    if (context or "") not in spec.baselines or context == "":
        allowed = f"must be one of {', '.join(spec.contexts)}" if spec.contexts else "this study has no contexts"
        raise StudyError(f"context: {allowed}; got {shown(context)}")
    arms = {arm.name: arm for arm in every_arm(spec) if arm.context == (context or "")}
    if name not in arms:
        raise StudyError(f"arm: must be one of {', '.join(arms)}; got {shown(name)}")
    return arms[name]


def compared_arms(spec: StudySpec, arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """Return the arms that a design compares, pair by pair, context by context."""
    pairs: dict[tuple[str, str], tuple[Arm, Arm]] = {}
    for context in spec.baselines:
        own = [arm for arm in arms if arm.context == context]
        named = {name: arm for arm in own for name in arm.names}
        for names in spec.contrasts or ((BASELINE,),):
            found = [tuple(map(named.get, names))] if len(names) > 1 else [(arm, named[BASELINE]) for arm in own]
            for first, second in found:
                if first and second and first.arm_id != second.arm_id:
                    pairs.setdefault((first.arm_id, second.arm_id), (first, second))
    return [*pairs.values()]


def arm_for(spec: StudySpec, params: Mapping[str, Any]) -> Arm:
    """Return a search's arm with ``params``; raise a ValidationError if these, each valid, do not fit together."""
    config = trial_config(overlay(spec.baseline, params))
    if config.arm_id == spec.baseline_config.arm_id:
        return _small(spec, Arm(BASELINE, {}, config))
    values = _values(config, overlay({}, params), params)
    return _small(spec, Arm(name_arm(values, spec.factors, digits=4), values, config))


def replicates(spec: StudySpec, config: TrialConfig, seed: int, context: str = "") -> list[TrialConfig]:
    """Return an arm's trials at a seed: one, or one with each teacher if teachers are crossed with seeds."""
    config = config.with_seed(spec.training_seed(seed, context))
    if not is_crossed(spec, config):
        return [config]
    return [with_teacher_seed(config, own) for own in spec.teacher_seeds or ()]


def is_crossed(spec: StudySpec, config: TrialConfig) -> bool:
    """Return whether an arm is trained with each of the teacher seeds: its teacher is trained here, and is read."""
    if spec.teacher_seeds is None or config.teacher is None or config.teacher.checkpoint is not None:
        return False
    return config.runs_teacher(is_measured=spec.reads_teacher)


def with_teacher_seed(config: TrialConfig, seed: int) -> TrialConfig:
    """Return the same trial with a teacher of another seed."""
    return config.model_copy(update={"teacher": config.teacher and config.teacher.model_copy(update={"seed": seed})})


def name_arm(params: Mapping[str, Any], factors: Sequence[str], digits: int = 17) -> str:
    """Return the name of an arm with ``params``: ``temperature=0.5, negatives=32``; ``factors`` are all the study's."""
    return ", ".join(f"{short_name(path, factors)}={_spelled(value, digits)}" for path, value in params.items())


def _values(config: TrialConfig, written: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """Return the validated values, so that 0 and 0.0 have one name; whole sections as written."""
    checked = config.model_dump(mode="json")
    values = {path: value_at(written, path) for path in paths}
    return {path: value if isinstance(value, Mapping) else value_at(checked, path) for path, value in values.items()}


def _spelled(value: Any, digits: int) -> str:
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(float(f"{value:.{digits}g}"))
    return in_one_line(value)  # in which the text '1' and the number 1 differ


def smoke_trial(config: TrialConfig) -> TrialConfig:
    """Return the small version of a trial: on generated data, without files, which may be missing, and short."""
    values = config.model_dump()
    for data in ("data", "source"):
        if values[data]:
            values[data] |= {"generated": True, "root": None, "download": False, "content": None}
    teachers = [*filter(None, [values["teacher"]]), *(values["teachers"] or {}).values()]
    for teacher in teachers:
        teacher |= {"checkpoint": None, "epoch": None, **dict.fromkeys(OF_CHECKPOINT), "accept_any": False}
    for network in (values["student"], *teachers):
        network |= {"weights": None, "weights_sha256": None}
    for phase in (values, *teachers, values["probe"]):
        if phase:
            phase["epochs"] = min(phase["epochs"], SMOKE_EPOCHS)
            optimizer = phase["optimizer"]
            optimizer["warmup_epochs"] = min(optimizer["warmup_epochs"], phase["epochs"] - 1)
            optimizer["clip_norm"] = min(optimizer["clip_norm"] or SMOKE_NORM, SMOKE_NORM)
    for settings in values["objective"].values():
        if settings and "initial_epochs" in settings:
            settings["initial_epochs"] = min(settings["initial_epochs"], SMOKE_EPOCHS)
    values |= {"compile": False, "stop_after": None}
    return TrialConfig.model_validate(values)


def smoke_study(spec: StudySpec) -> StudySpec:
    """Return the smoke run of a study: few seeds, few trials of a search, and one CPU per trial."""
    seeds = SMOKE_SEEDS if len(every_arm(spec)) <= MANY_SMOKE_ARMS else 1
    changes: dict[str, Any] = {
        "smoke": True,
        "race": None,
        "seeds": spec.seeds[:seeds],
        "teacher_seeds": spec.teacher_seeds and spec.teacher_seeds[:SMOKE_SEEDS],
        "resources": spec.resources.model_copy(update={"gpus": 0.0, "cpus": 1.0, "workers": 1}),
    }
    if spec.search is not None:
        changes["trials"] = min(spec.trials, SMOKE_TRIALS)
        changes["enqueue"] = spec.enqueue[:SMOKE_TRIALS]
    if spec.confirm is not None:
        few = {"top": min(spec.confirm.top, 1), "seeds": min(spec.confirm.seeds, SMOKE_SEEDS)}
        changes["confirm"] = spec.confirm.model_copy(update=few)
    return spec.model_copy(update=changes)


def acting(config: TrialConfig, *, is_measured: bool) -> TrialConfig:
    """Return a configuration without settings that have no effect: of objectives with weight 0, of an unread teacher.

    If health or agreement ``is_measured``, the teacher of every arm that has one is read.
    """
    active = active_objectives(config.objective)
    names = type(config.objective).model_fields
    off = config.objective.model_copy(update={name: None for name in names if name not in active})
    # A transfer needs the teacher even if no objective reads it: its classes are the student's.
    keeps_teacher = config.runs_teacher(is_measured=is_measured) or config.task == "transfer"
    without = {"teacher": None, "teachers": None, "teachers_as": "mean", "teacher_view": "same"}
    return config.model_copy(update={"objective": off, **({} if keeps_teacher else without)})
