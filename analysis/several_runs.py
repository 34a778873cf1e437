"""Several runs read together.

Runs that share a baseline, in a context of the same name, are parts of one study, and their trials are united; a trial
that several runs have is counted once (`WINS`). Runs without a baseline in common are contexts of one study, each with
its own baseline. Arms named by their factors are renamed, each factor's path shortened as far as it stays unique among
the factors of all runs.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.facts import Facts
from analysis.ledger.columns import data_frame, level_text
from analysis.ledger.other_names import with_other_names
from analysis.results import Results
from cktf.errors import InputError
from cktf.names import arm_label, short_name
from cktf.rows import Stage, Status, StudyRow

SEVERAL = "several"
"""Design of several studies that are read together as contexts, and whose designs or factors differ."""

AROUND_ONE = "around_one_baseline"
"""Design of runs that are read together, and whose designs differ but whose baselines are the same."""

OF_ALL_FACTORS = ("grid", "fractional", "search")
"""Designs whose arms have a level of every factor, so that other factors make another design."""

WINS = [Status.COMPLETE, Status.PRUNED, Status.FAILED, Status.RUNNING, Status.PLANNED]
"""Statuses by precedence: of a trial in several runs, the row with the first of these counts; of equals the first."""


def united(runs: Mapping[str, Results]) -> Results:
    """Return several runs, keyed by their places, as one.

    Raises:
        InputError: If they do not agree on the metrics, the direction, on what is asked (delta, contrasts and the like)
            or on being smoke runs; if foreign ones differ in being unpaired or in the column of clusters; if those of
            one study do not agree on the workers of a trial, on having seeds by context, on the settings of a measure,
            or on the baseline of a context; if different studies share trials; or if one of different studies is a
            search, whose arms are not compared with a baseline.
    """
    _require_same(runs, "metric", "report_metric", "maximise", "further_metrics", "is_smoke")
    _require_same(runs, "delta", "family", "alternative", "margin", "looks", "spending")
    _require_same(runs, "unpaired", "cluster")
    factors = dict.fromkeys(factor for results in runs.values() for factor in results.facts.study.factors)
    named = {
        place: _renamed(results, name, list(factors))
        for name, (place, results) in zip(_names(runs), runs.items(), strict=True)
    }
    _require_same(named, "contrasts")  # whose arms have their new names
    studies = _studies(named)
    for group in studies:
        # Trial ids contain neither the number of workers, which changes batch norm, nor whether seeds vary by context,
        # nor the settings of measures.
        _require_same(group, "workers", "seeds_by_context")
        _require_same_measures(group)
    if len(studies) == 1:
        return _one_study(studies[0])
    for place, results in runs.items():
        if (results.trials["stage"] == Stage.SEARCH).any():
            raise InputError(
                f"{place}: a search of another study than {', '.join(other for other in runs if other != place)}; "
                "searches are read together only where they are of one study"
            )
    _refuse_shared_trials(studies)
    return _contexts([_one_study(group) for group in studies])


def _require_same(runs: Mapping[str, Results], *names: str) -> None:
    """Raise an InputError if runs differ in one of these fields of their study row, or foreign ones of their origin."""
    for name in names:
        of_all = {place: results.facts for place, results in runs.items()}
        found = {place: getattr(of.study, name, getattr(of.foreign, name, None)) for place, of in of_all.items()}
        if len({*map(repr, found.values())}) > 1:
            told = "; ".join(f"{value} in {place}" for place, value in found.items())
            raise InputError(f"runs are read together only where {name} is the same: it is {told}")


def _require_same_measures(runs: Mapping[str, Results]) -> None:
    """Raise an InputError if runs have a measure with different settings: its numbers stand in one column."""
    first: dict[str, tuple[str, str]] = {}
    for place, results in runs.items():
        for launch in results.facts.launches:
            for name, settings in launch.measure_settings.items():
                other, before = first.setdefault(name, (place, settings))
                if settings != before:
                    raise InputError(
                        f"runs of one study are read together only where measure {name} has the same settings: they "
                        f"are {before} in {other}; {settings} in {place}"
                    )


def _names(runs: Mapping[str, Results]) -> list[str]:
    """Return a name for each run: its own, with a number where another has it too."""
    names: list[str] = []
    for results in runs.values():
        own, number = results.facts.study.run, 1
        while (name := own if number == 1 else f"{own} ({number})") in names:
            number += 1
        names.append(name)
    return names


def _studies(runs: Mapping[str, Results]) -> list[dict[str, Results]]:
    """Return the runs grouped by study: those that share a baseline, directly or through others, are one."""
    groups: list[tuple[set[object], dict[str, Results]]] = []
    for place, results in runs.items():
        study, members = results.facts.study, {place: results}
        baselines = sorted(_baselines(study).items())
        marks: set[object] = {("search", *baselines, *sorted(study.factors))}
        if results.facts.foreign:
            marks = {place}  # arms known by name alone may differ between two places
        elif study.design != "search":
            marks = set(baselines)
        for other in [group for group in groups if group[0] & marks]:
            groups.remove(other)
            marks, members = other[0] | marks, other[1] | members
        groups.append((marks, members))
    order = list(runs)
    return sorted((members for _, members in groups), key=lambda members: min(map(order.index, members)))


def _baselines(study: StudyRow) -> dict[str, str]:
    return study.baselines or {"": study.baseline_arm_id}


def _refuse_shared_trials(studies: list[dict[str, Results]]) -> None:
    """Refuse studies that share trials: one training cannot stand in two contexts."""
    places: dict[str, str] = {}
    for study in studies:
        own: dict[str, str] = {}
        for place, results in study.items():
            if results.facts.foreign:
                continue
            trials = results.trials
            if (is_shared := trials["trial_id"].isin(places)).any():
                trial_id, arm = trials.loc[is_shared, ["trial_id", "arm"]].iloc[0]
                raise InputError(
                    f"{place}: holds trials of arm {arm!r} that {places[trial_id]} holds, and no baseline in a context "
                    "of the same name; such studies cannot be read together"
                )
            own |= dict.fromkeys(trials["trial_id"], place)
        places |= own


def _renamed(results: Results, name: str, factors: list[str]) -> Results:
    """Return a run under a new name, with its arms named by the factors of all runs."""
    facts = results.facts
    own = [] if facts.foreign else facts.study.factors
    new = {short_name(factor, own): short_name(factor, factors) for factor in own}
    is_named = re.compile(rf"(^|, )({'|'.join(map(re.escape, new))})=")

    def called(arm: str) -> str:
        return is_named.sub(lambda found: f"{found[1]}{new[found[2]]}=", arm) if new else arm

    def renamed(frame: pd.DataFrame) -> pd.DataFrame:
        arms = frame["arm"].astype("str")
        frame = frame.assign(run=name, arm=arms.map({arm: called(arm) for arm in arms.unique()}))
        return with_other_names(frame, called)

    def renamed_study(study: StudyRow) -> StudyRow:
        values = {
            context: {called(arm): value for arm, value in of_arms.items()}
            for context, of_arms in study.reference_values.items()
        }
        contrasts = [[called(arm) for arm in names] for names in study.contrasts]
        return replace(study, run=name, reference_values=values, contrasts=contrasts)

    launches, asked = [renamed_study(launch) for launch in facts.launches], facts.asked and renamed_study(facts.asked)
    facts = replace(facts, launches=launches, asked=asked)
    return Results(trials=renamed(results.trials), epochs=renamed(results.epochs), facts=facts)


def _one_study(runs: dict[str, Results]) -> Results:
    """Return the runs of one study as one run."""
    parts = list(runs.values())
    if len(parts) == 1:
        return parts[0]
    studies = {place: results.facts.study for place, results in runs.items()}
    if raced := [place for place, study in studies.items() if study.looks]:
        raise InputError(f"{raced[0]}: is a race, whose looks are at its own seeds; it is not united with other runs")
    baselines: dict[str, str] = {}
    for place, study in studies.items():
        for context, arm_id in _baselines(study).items():
            if baselines.setdefault(context, arm_id) != arm_id:
                raise InputError(f"{place}: context {context!r} has another baseline than in the other runs")
    designs = {
        (study.design, *(sorted(study.factors) if study.design in OF_ALL_FACTORS else ())) for study in studies.values()
    }
    last = list(studies.values())[-1]
    asked = replace(
        _asked([*studies.values()]), baselines=baselines, design=last.design if len(designs) == 1 else AROUND_ONE
    )
    trials = _joined([_with_levels(part.trials, asked.factors) for part in parts])
    order = trials["status"].map({status: place for place, status in enumerate(WINS)})
    counted = ~trials.loc[order.sort_values(kind="stable").index].duplicated("trial_id").sort_index()
    num_repeated = int((trials["trial_id"].value_counts() > 1).sum())
    trials = trials[counted].reset_index(drop=True)
    trials = trials.assign(number=range(len(trials)), arm=trials["arm_id"].map(_names_of_arms(trials)))
    owners = trials.set_index("trial_id")["run"]
    epochs = _joined(
        [
            part.epochs[(part.epochs["trial_id"].astype("str").map(owners) == part.facts.study.run).to_numpy()]
            for part in parts
        ]
    )
    arms = trials.drop_duplicates("arm_id").set_index("arm_id")["arm"]
    return Results(
        trials=trials,
        epochs=epochs.assign(arm=epochs["arm_id"].astype("str").map(arms)),
        facts=replace(_facts(parts, asked), num_repeated=num_repeated),
    )


def _asked(studies: list[StudyRow]) -> StudyRow:
    """Return one study row for several: that of the last one, with the names, factors and references of all."""
    values: dict[str, dict[str, float | list[float]]] = {}
    teachers: dict[str, float] = {}
    for study in studies:
        teachers |= study.reference_teachers
        for context, of_arms in study.reference_values.items():
            values[context] = values.get(context, {}) | of_arms
    return replace(
        studies[-1],
        run=_together((study.run for study in studies), " + "),
        study=_together((study.study for study in studies), " + "),
        factors=list(dict.fromkeys(name for study in studies for name in study.factors)),
        log_factors=list(dict.fromkeys(name for study in studies for name in study.log_factors)),
        reference_source=_together((study.reference_source for study in studies), "; "),
        reference_values=values,
        reference_teachers=teachers,
    )


def _with_levels(trials: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """Return trials with a level of each factor; for one that they do not vary, the value in their configuration."""
    missing = [name for name in factors if f"param.{name}" not in trials and f"config.{name}" in trials]
    return trials.assign(**{f"param.{name}": trials[f"config.{name}"] for name in missing})


def _names_of_arms(trials: pd.DataFrame) -> "pd.Series[str]":
    """Return arm id -> first name of the arm, with its run if another arm of the context has the same name."""
    arms = trials.drop_duplicates("arm_id").set_index("arm_id")
    return arms["arm"].where(~arms.duplicated(["context", "arm"]), arms["arm"] + " (" + arms["run"] + ")")


def _contexts(parts: list[Results]) -> Results:
    """Return the results of different studies as one, each study a context named after its run."""
    parts = [_in_context(results, results.facts.study.run) for results in parts]
    found = [part.facts.study for part in parts]
    designs = {(study.design, *study.factors) for study in found}
    asked = replace(
        _asked(found),
        question=_together((study.question for study in found), " "),
        design=found[0].design if len(designs) == 1 else SEVERAL,
        baseline_arm_id=found[0].baseline_arm_id,
        baselines={context: arm for study in found for context, arm in study.baselines.items()},
    )
    trials = _joined([part.trials for part in parts])
    return Results(
        trials=trials.assign(number=range(len(trials))),
        epochs=_joined([part.epochs for part in parts]),
        facts=_facts(parts, asked),
    )


def _in_context(results: Results, label: str) -> Results:
    """Return a study whose names of contexts and ids of arms and trials are made unique by its label."""

    def context_name(context: str) -> str:
        return arm_label(context, label) if context else label

    def own(frame: pd.DataFrame) -> pd.DataFrame:
        ids = {name: f"{label}/" + frame[name].astype("str") for name in ("arm_id", "trial_id")}
        return frame.assign(context=frame["context"].astype("str").map(context_name), **ids)

    study = results.facts.study
    asked = replace(
        study,
        baseline_arm_id=f"{label}/{study.baseline_arm_id}",
        baselines={context_name(context): f"{label}/{arm_id}" for context, arm_id in _baselines(study).items()},
        reference_values={context_name(context): values for context, values in study.reference_values.items()},
        reference_teachers={context_name(context): value for context, value in study.reference_teachers.items()},
    )
    looks = [
        replace(look, out={f"{label}/{arm_id}": why for arm_id, why in look.out.items()})
        for look in results.facts.looks
    ]
    facts = replace(results.facts, asked=asked, looks=looks)
    return Results(trials=own(results.trials), epochs=own(results.epochs), facts=facts)


def _facts(parts: list[Results], asked: StudyRow) -> Facts:
    """Return the facts of several runs that are read together."""
    facts = [part.facts for part in parts]
    foreign = [part.foreign for part in facts if part.foreign]
    caveats = dict.fromkeys(sentence for part in foreign for sentence in part.cannot_be_vouched_for)
    origin = _together((part.origin for part in foreign), "; ")
    return Facts(
        launches=[launch for part in facts for launch in part.launches],
        study_file=_together((part.study_file for part in facts), "\n"),
        torn_lines=sum(part.torn_lines for part in facts),
        teachers=list({row.teacher_id: row for part in reversed(facts) for row in part.teachers}.values()),
        looks=[look for part in facts for look in part.looks],
        num_repeated=sum(part.num_repeated for part in facts),
        ledger=_together((part.ledger for part in facts), " + "),
        asked=asked,
        foreign=replace(foreign[0], origin=origin, cannot_be_vouched_for=list(caveats)) if foreign else None,
    )


def _together(texts: Iterable[str], separator: str) -> str:
    """Return texts joined, each once."""
    return separator.join(dict.fromkeys(text for text in texts if text))


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return frames concatenated; a column that one of them lacks has missing values in its rows.

    A column of several kinds (texts, numbers, truth values) becomes text, as within one run.
    """
    tables = [pa.Table.from_pandas(frame, preserve_index=False) for frame in frames]
    types = [(field.name, field.type) for table in tables for field in table.schema]
    numbers = {name for name, kind in types if pa.types.is_integer(kind) or pa.types.is_floating(kind)}
    texts = {name for name, kind in types if _is_text(kind) or (pa.types.is_boolean(kind) and name in numbers)}
    tables = [
        pa.table({name: _as_text(table[name]) if name in texts else table[name] for name in table.column_names})
        for table in tables
    ]
    return data_frame(pa.concat_tables(tables, promote_options="permissive"))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if _is_text(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    texts = [None if value is None else level_text(value) for value in values]
    return pa.chunked_array([pa.array(texts, pa.string())])
