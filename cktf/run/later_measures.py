"""Measures added to a run whose trials have ended, from their stored outputs, without training."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cktf.errors import InputError, StudyDiffers, UserError, naming
from cktf.measures import Measure, OfPredictions
from cktf.measures.registry import built, directions, numbers_of, settings_of, with_settings
from cktf.plan.state import RunState
from cktf.plugins import ORIGINS
from cktf.rows import EpochRow, Status, StudyRow
from cktf.run.directory import provenance, require_study
from cktf.run.ledger import Ledger, read_ledger
from cktf.run.plugins import require_same_code, store
from cktf.storage import Storage
from cktf.study import yaml_text
from cktf.study.named_parts import measure_problems, registered
from cktf.study.problems import StudyError
from cktf.trainer.checkpoint import trial_storage
from cktf.trainer.measuring import LOGITS, stored_predictions


def add_measures(run_dir: str | os.PathLike[str], asked: Sequence[str], plugins: Sequence[str] = ()) -> str:
    """Add measures of stored outputs to the complete trials of a run that lack them, and return what was done.

    A study row is appended, with this session's code and the measures' settings; then each trial's last epoch again,
    with the new numbers. Measures are ``asked`` for as in a study's list: ``ece``, or ``ece: {bins: 10}``. The
    files of ``plugins`` that have some of them are copied into the run.

    Raises:
        UserError: If there is no run, no trial has stored outputs, a measure cannot be taken from them, or the run has
            it with other settings or of other code.
    """
    run = Storage(run_dir)
    require_study(run)
    extra = registered(plugins)
    measures = _of_outputs(asked)
    with naming(run.root):
        ledger = Ledger(run)
    with ledger:
        rows = list(read_ledger(run))
        launches = [row for row in rows if isinstance(row, StudyRow)]
        require_same_code(extra, launches, run)
        require_comparable(measures, launches)
        last = {row.trial_id: row for row in rows if isinstance(row, EpochRow)}
        new: list[EpochRow] = []
        had = without = 0
        trials = RunState(launches[-1].metric, rows).trials if launches else {}  # none after a kill at the first launch
        for trial_id, trial in trials.items():
            if trial.status is not Status.COMPLETE:
                continue
            found = stored_predictions(trial_storage(run, trial_id))
            names = {f"{split}_{name}" for split in found for name in measures}
            known = {name.partition(".")[0] for name in last[trial_id].measures}
            had, without = had + (bool(found) and names <= known), without + (not found)
            if not names <= known:
                numbers = {k: v for split, each in found.items() for k, v in numbers_of(measures, split, each).items()}
                row = last[trial_id]
                new.append(replace(row, measures={**row.measures, **numbers}, time=time.time()))
        if not new and not had:
            raise UserError(
                f"{run.root}: no complete trial has stored outputs ({LOGITS}); 'keep_logits: true' in its "
                "study stores them"
            )
        session = replace(
            launches[-1],
            measures={**launches[-1].measures, **directions(measures)},
            measure_settings={**launches[-1].measure_settings, **settings_of(measures)},
            plugins={**launches[-1].plugins, **{plugin.name: plugin.version for plugin in extra}},
            added="",
            time=time.time(),
            **provenance(),
        )
        with naming(run.root):
            store(extra, run)
            for each in (session, *new) if new else ():
                ledger.append(each)
    told = [f"{', '.join(measures)}: measured in {len(new)} trials"]
    told += [f"{had} had them already"] if had else []
    told += [f"{without} without stored outputs are left out"] if without else []
    return "; ".join(told)


def _of_outputs(asked: Sequence[str]) -> dict[str, OfPredictions]:
    """Return the measures that are asked for; one that needs more than a student's outputs is refused."""
    settings = with_settings([yaml_text.parse(text).value for text in asked])
    if problems := [*measure_problems(settings)]:
        raise StudyError.of(problems)
    found = {}
    for name, measure in built(settings).items():
        if not isinstance(measure, OfPredictions) or measure.needs_teacher:
            what = "the teacher" if isinstance(measure, OfPredictions) else "the network"
            raise InputError(
                f"{name}: reads {what}, and only a student's outputs are stored; name it under 'measures:'"
            )
        found[name] = measure
    return found


def require_comparable(measures: Mapping[str, Measure], launches: Sequence[StudyRow]) -> None:
    """Raise a StudyDiffers if values of other settings or code than in a run's launches would get the same name."""
    before = {name: settings for row in launches for name, settings in row.measure_settings.items()}
    for name, settings in settings_of(measures).items():
        if before.get(name, settings) != settings:
            raise StudyDiffers(f"{name}: the run has it with the settings {before[name]}; got {settings}")
    known = {version for row in launches for version in row.plugins.values()}
    for name in measures.keys() & before.keys():
        origin = ORIGINS.get(("METRICS", name))
        if origin and origin.version not in known:
            raise StudyDiffers(f"{name}: the run has it of other code than plug-in {origin.name}; give it another name")
