"""The study of a run directory: written with its provenance, read back, and checks whether a study may run in it."""

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from cktf.credentials import masked
from cktf.errors import InputError, RunNotFound, StudyDiffers, naming, visible
from cktf.measures.registry import directions, settings_of
from cktf.names import BASELINE
from cktf.rows import PlannedRow, Row, Scalar, Stage, StudyRow
from cktf.run.ledger import FOLDER as LEDGER
from cktf.run.ledger import LOCK, Ledger
from cktf.run.plugins import FOLDER as PLUGINS
from cktf.run.plugins import store, stored_plugin
from cktf.storage import Storage
from cktf.study.designs import every_arm, plan_arms
from cktf.study.load import dump_study, read_study
from cktf.study.paths import spelled, value_at
from cktf.study.problems import StudyError, explain
from cktf.study.sections import Published
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig
from cktf.trial.content import contents_of

STUDY = "study.yaml"
PROVENANCE = "provenance.json"
PACKAGES = ("cktf", "torch", "torchvision", "ray", "optuna", "numpy", "pyarrow")

ASKED = {"delta", "contrasts", "family", "alternative", "margin", "expect_sd"}
"""Keys that change only the statistics of the results."""

HOW_ONLY = ASKED | {
    *("name", "question", "reference", "resources", "health", "keep", "measures", "keep_logits"),
    *("max_failures", "max_failures_in_a_row", "storage_patience", "checkpoint_seconds", "deterministic"),
    *("stall", "stall_seconds", "step"),
}
"""Keys that affect only execution and reporting; they may change between launches, except ``resources.workers``,
because by default batch-norm sees each worker's shard alone, and the settings of a measure, whose values would not
compare.

The ledger stores the question of every launch (delta, contrasts, ...), and the report says if it was changed when
results may have been seen.
"""


def write_what_was_asked(spec: StudySpec, run: Storage, ledger: Ledger, **grown: Any) -> None:
    """Write the study and its provenance, as files and as a `StudyRow`, which has ``grown`` as further columns."""
    here = provenance()
    baselines = {arm.context: arm.arm_id for arm in every_arm(spec) if arm.name == BASELINE}
    reference = spec.reference
    text = dump_study(spec).encode()
    store(spec.plugins, run)

    def write_files() -> None:
        run.write(STUDY, text)
        run.write(PROVENANCE, json.dumps(here, indent=1).encode())

    if not (is_later := run.exists(STUDY)):
        write_files()
    ledger.append(
        StudyRow(
            study=spec.name,
            run=Path(run.path).name,
            question=spec.question,
            design=spec.design,
            metric=spec.columns[0],
            report_metric=spec.columns[1],
            maximise=spec.maximise,
            further_metrics=dict([*spec.directions.items()][1:]),
            baseline_arm_id=next(iter(baselines.values())),
            baselines=baselines,
            delta=spec.delta,
            contrasts=[[*names] for names in spec.contrasts],
            family=spec.family,
            alternative=spec.alternative,
            margin=spec.margin or 0.0,
            looks=list(spec.race.looks) if spec.race else [],
            spending=spec.race.spending if spec.race else "",
            measures=directions(spec.built_measures),
            measure_settings=settings_of(spec.built_measures),
            factors=list(spec.factors),
            log_factors=list(spec.log_factors),
            default_levels=_default_levels(spec),
            sampler=spec.sampler if spec.search else "",
            pruner=spec.prune if spec.search and spec.prune != "none" else "",
            is_smoke=spec.smoke,
            teacher_once=spec.teacher_once,
            workers=spec.resources.workers,
            stall_seconds=spec.stall_seconds,
            seeds_by_context=spec.seeds_by_context,
            plugins={plugin.name: plugin.version for plugin in spec.plugins},
            asked={STUDY: sha256(text).hexdigest(), **_digests(spec)},
            reference_source=reference.source if reference else "",
            reference_values=_reference_values(spec),
            reference_teachers=reference.teachers() if reference else {},
            time=time.time(),
            **here,
            **grown,
        )
    )
    if is_later:  # the row first: if the driver is killed, the files are of a launch that the ledger has
        ledger.flush()
        write_files()


def _default_levels(spec: StudySpec) -> dict[str, Scalar]:
    found = {name: value_at(every_arm(spec)[0].config.model_dump(mode="json"), name) for name in spec.search or ()}
    return {name: value for name, value in found.items() if isinstance(value, bool | int | float | str)}


def _what_decides(spec: StudySpec, mode: Literal["python", "json"] = "python") -> dict[str, Any]:
    """Return the keys of a study that affect its results; in a race also `ASKED`, which decides who gets more seeds."""
    others = HOW_ONLY - (ASKED - {"expect_sd"}) if spec.race else HOW_ONLY
    return {**spec.model_dump(mode=mode, exclude=others), "resources.workers": spec.resources.workers}


def _digests(spec: StudySpec) -> dict[str, str]:
    values = _what_decides(spec, "json").items()
    return {key: sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16] for key, value in values}


def require_unedited(run: Storage, rows: Iterable[Row]) -> None:
    """Raise a StudyDiffers if a run's ``study.yaml`` was edited by hand in a way that changes results."""
    text, launches = run.read(STUDY), [row for row in rows if isinstance(row, StudyRow) and row.asked]
    if text is None or not launches or sha256(text).hexdigest() in {row.asked[STUDY] for row in launches}:
        return
    stored, before = stored_study(run), launches[-1].asked
    found = _digests(stored) if stored else {}
    if differing := [key for key in found if found[key] != before.get(key, found[key])]:
        raise StudyDiffers(
            f"{run.full(STUDY)}: was changed since the last launch, in: {', '.join(differing)}; put back what it said, "
            f"use 'cktf extend {shlex.quote(run.root)} --study FILE' to add to the study, or launch the changed one "
            "with another --run-dir"
        )


def _reference_values(spec: StudySpec) -> dict[str, dict[str, float | list[float]]]:
    """Return context to arm to published value, or [value, sd, n]; a value of an alias is also its arm's."""
    published = spec.reference.by_context() if spec.reference else {}
    values = {
        context: {
            arm: [each.value, each.sd, each.n] if isinstance(each, Published) else each for arm, each in own.items()
        }
        for context, own in published.items()
    }
    for arm in plan_arms(spec) if values else ():
        own = values.get(arm.context, {})
        for name in arm.names:
            if name in own:
                own.setdefault(arm.name, own[name])
    return values


def require_own(run: Storage) -> None:
    """Raise an InputError if a folder holds files that are not of a run."""
    own = {STUDY, PROVENANCE, LEDGER, LOCK, PLUGINS, "teachers", "trials", "report", "afterthought"}
    with naming(run.root):
        names = [path.name for path in Path(run.path).glob("*")] if run.is_local else []
    if others := sorted(name for name in names if name not in own and not name.startswith(".")):
        raise InputError(f"{run.root}: holds no run, but {others[0]}; choose a folder that is new or empty")


def stored_study(run: Storage) -> StudySpec | None:
    """Return the study of a run; None if there is no run."""
    with naming(run.root):
        text = run.read(STUDY)
    try:
        return None if text is None else read_study(text.decode(), run.full(STUDY), find=partial(stored_plugin, run))
    except UnicodeDecodeError:
        raise StudyError(f"{run.full(STUDY)}: is not UTF-8 text") from None


def require_study(run: Storage) -> StudySpec:
    """Return the study of a run; raise a RunNotFound if there is none."""
    spec = stored_study(run)
    if spec is None:
        raise RunNotFound(f"{run.root}: there is no run; 'cktf launch' starts one")
    return spec


def require_same(spec: StudySpec, stored: StudySpec, run: Storage) -> None:
    """Raise a StudyDiffers if a run is of another study: one in which a key outside `HOW_ONLY` differs."""
    asked, before = decided_by(spec, stored)
    if differing := [key for key in asked if asked[key] != before[key]]:
        raise StudyDiffers(
            f"{run.root}: holds a run of a study that differs in: {', '.join(differing)}; choose another --run-dir, "
            f"use 'cktf resume {shlex.quote(run.root)}' to go on with what it holds, or "
            f"'cktf extend {shlex.quote(run.root)} --study FILE' to add arms, levels, contexts or seeds to it"
        )


def decided_by(spec: StudySpec, stored: StudySpec, *, with_question: bool = False) -> list[dict[str, Any]]:
    """Return for each of two studies the settings that decide its results, and those measures that both have.

    With ``with_question``, settings that change only the statistics are included.
    """
    both = spec.measures.keys() & stored.measures.keys()
    question = ASKED - {"expect_sd", "contrasts"} if with_question else set()
    return [
        {
            **_what_decides(study),
            **study.model_dump(mode="json", include=question),
            "measures": {name: each for name, each in study.built_measures.items() if name in both},
        }
        for study in (spec, stored)
    ]


def require_same_contents(rows: Iterable[Row], run: Storage) -> None:
    """Raise a StudyDiffers if a teacher file or image folder has changed, or has become readable or unreadable.

    Trials of one arm would be trained with different inputs.
    """
    # Without the trials of teachers, whose files are in the configurations of their students.
    planned = [row for row in rows if isinstance(row, PlannedRow) and row.stage != Stage.TEACHER]
    different = {repr({**row.config, "seed": None}): row for row in planned}
    named = set()
    for row in different.values():
        try:
            named |= {*contents_of(TrialConfig.model_validate(row.config))}
        except ValidationError as error:
            where, said = explain(error, TrialConfig)[0]
            raise InputError(
                f"{visible(run.full(LEDGER))}: the configuration of trial {visible(row.trial_id)} is none that this "
                f"code knows: {spelled(where)}: {said}"
            ) from error
    for content in sorted(named):
        if (found := content.here()) != content.digest:
            raise StudyDiffers(
                f"{run.root}: {content.key}: {content.place} has changed since trials were planned with it: its "
                f"SHA-256 was {content.digest or 'not to be read'}, and is {found or 'not to be read'}; put that one "
                "back, or choose another --run-dir"
            )


def forget(run: Storage, ledger: Ledger) -> None:
    """Delete the ledger, study and provenance of a run in which nothing was trained."""
    with naming(run.root):
        ledger.close()
        run.child(LEDGER).clear()
        run.child(PLUGINS).clear()
        run.delete(STUDY, PROVENANCE)


def provenance() -> dict[str, Any]:
    """Return the provenance of this process, as columns of `StudyRow`.

    ``git_commit`` ends with ``+dirty`` if files were changed and is empty outside a checkout. Secrets in ``command``
    are masked.
    """
    return {
        "git_commit": _git_commit(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "machine": f"{platform.node()}, {platform.platform()}, {os.cpu_count()} cores",
        "command": shlex.join([Path(sys.argv[0]).name, *map(masked, sys.argv[1:])]),
    }


def _git_commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # A repository around an installed package may be of another project.
        commit = git("rev-parse", "HEAD") if git("ls-files", "--", Path(__file__).name) else ""
        return f"{commit}+dirty" if commit and git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout: an installed package
        return ""
