"""Whether the trials of a study can be built, found out before the first of them is trained. No Ray here."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cktf.errors import InputError, NotRunnable
from cktf.rows import TeacherRow
from cktf.study.designs import Arm, arm_for, every_arm
from cktf.study.spec import BASELINE, StudySpec
from cktf.trainer.train import default_device
from cktf.trial.check import CPU, check_trial, look_at_data, score_teacher, what_is_built
from cktf.trial.content import TEACHER, contents_of
from cktf.trial.reading_files import size_limit
from cktf.trial.teacher_cache import teacher_id

MOST_BUILT = 200
"""Different arms that are all built; of more, as many as show each level of each factor once, for seconds must do."""


def require_runnable(spec: StudySpec, arm: Arm | None = None) -> list[TeacherRow]:
    """Build what the arms of a study are made of, on the machine that this is called on, and score their teachers.

    Of a search these are the baseline, and the baseline with one factor at each of its edges; what is drawn under a
    condition alone may be right only where it applies, and is not tried. Of a large grid not every combination is.

    Every teacher that is read from a file is scored, once, on the validation split of the study's first seed.

    Args:
        spec: The study.
        arm: The only one that is wanted, at the seed that its configuration has; None: all.

    Returns:
        How well the teachers from files do.

    Raises:
        NotRunnable: If something that they need is not there or does not go together, or a teacher does no better than
            chance and the study does not accept that.
    """
    if spec.teacher_once:
        try:
            size_limit()
        except InputError as error:
            raise NotRunnable(str(error)) from error
    is_measured = spec.health is not None
    arms = (arm,) if arm else (*every_arm(spec), *_edges(spec))
    for each in _different(arms):
        with _naming(spec, each):
            check_trial(each.config, spec.resources.workers, is_measured=is_measured)
    device = CPU if spec.resources.gpus == 0 else default_device()
    scores: dict[str, TeacherRow] = {}
    for each in arms:
        config = each.config if arm else each.config.with_seed(spec.seeds[0])
        is_read = config.teacher is not None and config.teacher.checkpoint is not None
        if is_read and config.runs_teacher(is_measured=is_measured):
            with _naming(spec, each):
                if (identity := teacher_id(config)) not in scores:
                    scores[identity] = score_teacher(config, device)
    return list(scores.values())


def remarks_on_data(spec: StudySpec) -> list[str]:
    """Return what a user should know of the data of a study's arms, each once; see `look_at_data`.

    Raises:
        NotRunnable: If an arm's data cannot be learnt from.
    """
    found: dict[str, None] = {}
    looked_at = set()
    for arm in every_arm(spec):
        named = [data for data in (arm.config.data, arm.config.source) if data]
        key = tuple((data.name, data.root, data.generated, data.side, data.verify) for data in named)
        if key not in looked_at:
            looked_at.add(key)
            with _naming(spec, arm):
                found |= dict.fromkeys(look_at_data(arm.config))
    return list(found)


@contextmanager
def _naming(spec: StudySpec, arm: Arm) -> Iterator[None]:
    """Tell with the study's and the arm's name what is wrong with an arm."""
    try:
        yield
    except InputError as error:
        raise NotRunnable(f"{spec.name}, arm {arm.label}: {error}{_hint(spec, arm)}") from error


def require_known_contents(spec: StudySpec) -> None:
    """Look whether this machine, which plans the trials, can read what they are known by.

    Raises:
        NotRunnable: If not: on a machine that can they would be others.
    """
    for arm in every_arm(spec):
        runs_teacher = arm.config.runs_teacher(is_measured=spec.health is not None)
        for content in contents_of(arm.config):
            if not content.digest and (runs_teacher or content.key != TEACHER):
                raise NotRunnable(
                    f"{spec.name}, arm {arm.label}: {content.key}: {content.place} cannot be read on this machine, "
                    "which plans the trials and has to know them by its content; start the driver where it can"
                )


def _different(arms: Iterable[Arm]) -> list[Arm]:
    """Return arms that differ in what is built; where these are many, enough to show every level of each factor."""
    first: dict[object, Arm] = {}
    for arm in arms:
        first.setdefault(what_is_built(arm.config), arm)
    different = list(first.values())
    if len(different) <= MOST_BUILT:
        return different
    shown: set[tuple[str, str, str]] = set()
    chosen = []
    for arm in different:
        levels = {(arm.context, path, repr(level)) for path, level in arm.params.items()}
        if arm.name == BASELINE or not levels <= shown:
            chosen.append(arm)
        shown |= levels
    return chosen


def _edges(spec: StudySpec) -> Iterator[Arm]:
    for path, domain in (spec.search or {}).items():
        for edge in domain.edges if not domain.when else ():
            yield arm_for(spec, {path: edge})


def _hint(spec: StudySpec, arm: Arm) -> str:
    if arm.name == BASELINE:
        return ""
    if spec.search:
        return "; 'when:' keeps a factor to where it applies"
    return "; 'skip:' keeps an arm out of a context" if arm.context and spec.compare else ""
