"""Checks before the first training: whether the trials of a study can be built. No Ray here."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cktf.errors import InputError, NotRunnable
from cktf.names import BASELINE
from cktf.plugins import raised_in
from cktf.rows import TeacherRow
from cktf.study.designs import Arm, arm_for, every_arm
from cktf.study.spec import StudySpec
from cktf.trainer.train import default_device
from cktf.trial.check import check_trial, look_at_data, look_at_networks, what_is_built
from cktf.trial.content import contents_of
from cktf.trial.reading_files import size_limit
from cktf.trial.teachers import CPU, score_teacher, teacher_id

MAX_ARMS_BUILT = 200
"""Largest number of arms that are all built; of more arms, enough are built to have each level of each factor."""


def require_runnable(spec: StudySpec, arm: Arm | None = None) -> list[TeacherRow]:
    """Build the parts of a study's arms on this machine, and return the scores of teachers that come from files.

    For a search the arms are the baseline, and the baseline with one factor at each of its bounds, but no conditional
    factors. Every teacher from a file is scored once, on the validation split of the study's first seed. If ``arm`` is
    given, it is the only one, at the seed of its configuration.

    Raises:
        NotRunnable: If something is missing or does not go together, or a teacher is no better than chance and the
            study does not accept that.
    """
    is_measured = spec.reads_teacher
    searched = (spec.search or {}).items()
    edges = ({path: edge} for path, domain in searched if not domain.when for edge in domain.edges)
    arms = [arm] if arm else [*every_arm(spec), *(arm_for(spec, values) for values in edges)]
    for each in _different(arms):
        with _naming(spec, each):
            if spec.teacher_once:
                size_limit()
            check_trial(each.config, spec.resources.workers, is_measured=is_measured, measures=spec.built_measures)
    device = CPU if spec.resources.gpus == 0 else default_device()
    scores: dict[str, TeacherRow] = {}
    for each in arms:
        config = each.config if arm else each.config.with_seed(spec.training_seed(spec.seeds[0], each.context))
        is_run = config.runs_teacher(is_measured=is_measured)
        for teacher in config.teachers_by_key.values() if is_run else ():
            if teacher.checkpoint is None or teacher.classes:
                continue
            with _naming(spec, each):
                alone = config.with_teacher(teacher)
                if (identity := teacher_id(alone)) not in scores:
                    scores[identity] = score_teacher(alone, device)
    return list(scores.values())


def remarks_on_data(spec: StudySpec) -> list[str]:
    """Return the remarks of `look_at_data` on the data of a study's arms, each once."""
    first: dict[object, Arm] = {}
    for arm in every_arm(spec):
        named = [data for data in (arm.config.data, arm.config.source) if data]
        first.setdefault(tuple((data.place, data.generated) for data in named), arm)
    found: list[str] = []
    for arm in first.values():
        with _naming(spec, arm):
            found += look_at_data(arm.config)
    return list(dict.fromkeys(found))


def remarks_on_networks(spec: StudySpec) -> list[str]:
    """Return the remarks of `look_at_networks` on a study's arms, each once."""
    return list(dict.fromkeys(remark for arm in every_arm(spec) for remark in look_at_networks(arm.config)))


@contextmanager
def _naming(spec: StudySpec, arm: Arm) -> Iterator[None]:
    """Turn an InputError, or an exception from a plug-in, into a NotRunnable that names the study and the arm."""
    try:
        yield
    except Exception as error:
        if said := str(error) if isinstance(error, InputError) else raised_in(error, spec.plugins):
            raise NotRunnable(f"{spec.name}, arm {arm.label}: {said}") from error
        raise


def require_known_contents(spec: StudySpec) -> None:
    """Raise a NotRunnable if this machine, which plans the trials, cannot read files that are part of their identity.

    Planned on a machine that can, the same trials would have other ids.
    """
    for arm in every_arm(spec):
        runs_teacher = arm.config.runs_teacher(is_measured=spec.reads_teacher)
        for content in contents_of(arm.config):
            if not content.digest and (runs_teacher or not content.key.startswith("teacher")):
                raise NotRunnable(
                    f"{spec.name}, arm {arm.label}: {content.key}: {content.place} cannot be read on this machine, "
                    "which plans the trials and has to know them by its content; start the driver where it can"
                )


def _different(arms: Iterable[Arm]) -> list[Arm]:
    """Return arms whose parts differ; if there are many, enough of them to have every level of each factor."""
    first: dict[object, Arm] = {}
    for arm in arms:
        first.setdefault(what_is_built(arm.config), arm)
    different = list(first.values())
    if len(different) <= MAX_ARMS_BUILT:
        return different
    covered: set[tuple[str, str, str]] = set()
    chosen = []
    for arm in different:
        levels = {(arm.context, path, repr(level)) for path, level in arm.params.items()}
        if arm.name == BASELINE or not levels <= covered:
            chosen.append(arm)
        covered |= levels
    return chosen
