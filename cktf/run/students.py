"""The stored students of a run, loaded as modules of PyTorch or exported to files of other formats."""

import os
from pathlib import Path

from pydantic import ValidationError

from cktf.errors import InputError, few, naming, within
from cktf.names import arm_label
from cktf.rows import Stage
from cktf.run.one_trial import find_trial
from cktf.run.plugins import register_stored
from cktf.run.progress import read_run
from cktf.storage import Storage
from cktf.study.paths import spelled
from cktf.study.problems import explain
from cktf.trainer.checkpoint import STUDENT, trial_storage
from cktf.trainer.config import TrialConfig
from cktf.trainer.stored_student import AboutStudent, Student, student_of
from cktf.trial.formats import SUFFIXES, write_student
from cktf.trial.weights import SAFETENSORS


def load_student(
    place: str | os.PathLike[str], *, arm: str | None = None, seed: int | None = None, trial: str | None = None
) -> Student:
    """Return a trained student: a module, in eval mode on the CPU, whose forward maps images to logits.

    Images are (batch, channels, height, width), uint8, or floats from 0 to 1; the module normalises them. Its attribute
    ``about`` has further facts, such as the names of classes.

    Args:
        place: A run directory, or a student's file in one or taken out of one.
        arm: Name of an arm of the run, ``CONTEXT: NAME`` if several contexts have it.
        seed: The replicate.
        trial: Beginning of a trial's id, instead of arm and seed; it may be a teacher's.

    Raises:
        UserError: If there is no such trial, its student is not stored or damaged, or its plug-ins are not there.
    """
    text = os.fspath(place)
    if text.endswith(SAFETENSORS):
        folder, name = os.path.split(text)
        storage = Storage(folder or ".")
        with naming(storage.root):
            content = storage.read(name)
        if content is None:
            raise InputError(f"{text}: there is no such file")
        return _student(content, text)
    study, state = read_run(text)
    found, run = find_trial(state, trial, arm, seed), Storage(text)
    register_stored(run, study.plugins)
    row = found.planned
    own = run.child("teachers") if row.stage == Stage.TEACHER else trial_storage(run, row.trial_id)
    name = f"{row.trial_id}{SAFETENSORS}" if row.stage == Stage.TEACHER else STUDENT
    with naming(run.root):
        content = own.read(name)
        if content is None:
            ids = {path.parent.name for path in map(Path, run.child("trials").names(STUDENT, below=True))}
            rows = [each.planned for key, each in state.trials.items() if key in ids]
            there = few([f"{arm_label(each.arm, each.context)} {each.replicate}" for each in rows]) or "none"
            raise InputError(
                f"{run.root}: the student of {arm_label(row.arm, row.context)}, {row.replicate}, is not stored; "
                f"'keep:' in its study says which are, and these are: {there}"
            )
    return _student(content, own.full(name))


def export_student(
    place: str, to: str, out: str | None, *, arm: str | None = None, seed: int | None = None, trial: str | None = None
) -> str:
    """Write a student in one of `cktf.trial.formats.FORMATS`, and return what was written and how it is used.

    ``out`` is the file; None: one in this folder, named by the trial's id, with the format's suffix. The other
    arguments are those of `load_student`, and errors those of `load_student` and `write_student`.
    """
    student = load_student(place, arm=arm, seed=seed, trial=trial)
    path = Path(out or f"{student.about.config.trial_id}{SUFFIXES[to]}")
    with naming(path):
        path.touch()  # so that an error of the file's name is reported as such
        usage = write_student(student, to, path)
    return f"{path} is written; its logits are the student's on three images, to 1e-5\n{usage}"


def _student(content: bytes, place: str) -> Student:
    with within(place):
        try:
            return student_of(content, AboutStudent.read(content))
        except ValidationError as error:
            said = "; ".join(f"{spelled(where)}: {text}" for where, text in explain(error, TrialConfig))
            raise InputError(f"{said}; of a run with plug-ins, name the run instead of a file") from error
