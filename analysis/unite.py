"""Several runs read together.

Runs of one study, with the same baselines and factors, are parts of it: seeds that were split over machines, or a
study that was launched twice. Their trials are united. A trial that several runs have is counted once: a complete one
before a pruned, a failed, a running and a planned one; of equals, that of the run that is named first. Scores choose
nothing.

Runs of different studies are contexts: each study's arms are compared with its own baseline, and what an arm does in
several studies is summarised as over the contexts of one.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from analysis.load import data_frame
from analysis.results import Facts, Foreign, Results
from cktf.rows import Stage, Status, StudyRow, arm_label

if TYPE_CHECKING:
    import pandas as pd

SEVERAL = "several"
"""Design of what is read together of studies of different designs or factors."""

WINS = [Status.COMPLETE, Status.PRUNED, Status.FAILED, Status.RUNNING, Status.PLANNED]
"""Which of several rows of one trial is counted: the first of these."""


def united(runs: Mapping[str, Results]) -> Results:
    """Return several runs as one.

    Args:
        runs: Place to results, those first that win where a trial is in several.

    Raises:
        ValueError: If they do not agree on the metrics, the direction, delta or on being smoke runs; if those of one
            study do not agree on the workers of a trial; or if one of different studies is a search, whose arms no
            baseline was compared with.
    """
    _require_same(runs, "metric", "report_metric", "maximise", "delta", "is_smoke")
    studies: dict[str, dict[str, Results]] = {}
    places: dict[str, dict[str, Results]] = {}
    for name, (place, results) in zip(_names(runs), runs.items(), strict=True):
        identity = _identity(name, results)
        studies.setdefault(identity, {})[name] = _renamed(results, name)
        places.setdefault(identity, {})[place] = results
    for group in places.values():
        _require_same(
            group, "workers"
        )  # a trial's name does not tell them, and batch-norm sees each one's shard
    if len(studies) == 1:
        return _one_study(next(iter(studies.values())))
    for place, results in runs.items():
        if (results.trials["stage"] == Stage.SEARCH).any():
            raise ValueError(
                f"{place}: a search of another study than {', '.join(other for other in runs if other != place)}; "
                "searches are read together only where they are of one study"
            )
    return _contexts({" + ".join(group): _one_study(group) for group in studies.values()})


def _require_same(runs: Mapping[str, Results], *names: str) -> None:
    """Refuse runs whose numbers cannot stand beside each other."""
    for name in names:
        found = {place: getattr(results.facts.study, name) for place, results in runs.items()}
        if len(set(found.values())) > 1:
            told = "; ".join(f"{value} in {place}" for place, value in found.items())
            raise ValueError(f"runs are read together only where {name} is the same: it is {told}")


def _names(runs: Mapping[str, Results]) -> list[str]:
    """Return a name for each run: its own, with a number where another has it too."""
    names: list[str] = []
    for results in runs.values():
        own, number = results.facts.study.run, 1
        while (name := own if number == 1 else f"{own} ({number})") in names:
            number += 1
        names.append(name)
    return names


def _identity(name: str, results: Results) -> str:
    """Return a text that runs of one study share."""
    study = results.facts.study
    if results.facts.foreign:
        return name  # arms that only have a name are not known to be the same in two places
    baselines = study.baselines or {"": study.baseline_arm_id}
    return json.dumps([study.design, sorted(baselines.items()), sorted(study.factors)])


def _renamed(results: Results, name: str) -> Results:
    """Return a run under the name by which it is known among the others."""
    facts = replace(results.facts, launches=[replace(launch, run=name) for launch in results.facts.launches])
    return replace(results, trials=results.trials.assign(run=name), facts=facts)


def _one_study(runs: dict[str, Results]) -> Results:
    """Return the runs of one study as one run."""
    parts = list(runs.values())
    if len(parts) == 1:
        return parts[0]
    trials = _joined([part.trials for part in parts])
    order = trials["status"].map({status: place for place, status in enumerate(WINS)})
    counted = ~trials.loc[order.sort_values(kind="stable").index].duplicated("trial_id").sort_index()
    trials = trials[counted].reset_index(drop=True)
    owners = trials.set_index("trial_id")["run"]
    epochs = _joined(
        [
            part.epochs[(part.epochs["trial_id"].astype("str").map(owners) == name).to_numpy()].assign(
                run=name
            )
            for name, part in runs.items()
        ]
    )
    asked = replace(
        parts[-1].facts.study,
        run=" + ".join(runs),
        study=_together((part.facts.study.study for part in parts), " + "),
    )
    return Results(
        trials=trials.assign(number=range(len(trials))),
        epochs=epochs,
        facts=_facts(parts, asked),
    )


def _contexts(studies: dict[str, Results]) -> Results:
    """Return different studies as contexts, each under the names of its runs."""
    parts = [_in_context(results, label) for label, results in studies.items()]
    found = [part.facts.study for part in parts]
    designs = {(study.design, tuple(study.factors)) for study in found}
    asked = replace(
        found[-1],
        study=_together((study.study for study in found), " + "),
        run=_together((study.run for study in found), " + "),
        question=_together((study.question for study in found), " "),
        design=found[0].design if len(designs) == 1 else SEVERAL,
        baseline_arm_id=found[0].baseline_arm_id,
        baselines={context: arm for study in found for context, arm in study.baselines.items()},
        factors=list(dict.fromkeys(factor for study in found for factor in study.factors)),
        log_factors=list(dict.fromkeys(factor for study in found for factor in study.log_factors)),
        reference_source=_together((study.reference_source for study in found), "; "),
        reference_values={
            context: values for study in found for context, values in study.reference_values.items()
        },
        reference_teachers={
            context: value for study in found for context, value in study.reference_teachers.items()
        },
    )
    trials = _joined([part.trials for part in parts])
    return Results(
        trials=trials.assign(number=range(len(trials))),
        epochs=_joined([part.epochs for part in parts]),
        facts=_facts(parts, asked),
    )


def _in_context(results: Results, label: str) -> Results:
    """Return a study whose contexts, arms and trials carry its label, so that none is taken for another's."""

    def known(context: str) -> str:
        return arm_label(context, label) if context else label

    def own(frame: "pd.DataFrame") -> "pd.DataFrame":
        ids = {name: f"{label}/" + frame[name].astype("str") for name in ("arm_id", "trial_id")}
        return frame.assign(context=frame["context"].astype("str").map(known), **ids)

    study = results.facts.study
    baselines = study.baselines or {"": study.baseline_arm_id}
    asked = replace(
        study,
        baseline_arm_id=f"{label}/{study.baseline_arm_id}",
        baselines={known(context): f"{label}/{arm_id}" for context, arm_id in baselines.items()},
        reference_values={known(context): values for context, values in study.reference_values.items()},
        reference_teachers={known(context): value for context, value in study.reference_teachers.items()},
    )
    return Results(
        trials=own(results.trials), epochs=own(results.epochs), facts=replace(results.facts, asked=asked)
    )


def _facts(parts: list[Results], asked: StudyRow) -> Facts:
    """Return what holds for several runs together."""
    facts = [part.facts for part in parts]
    foreign = [part.foreign for part in facts if part.foreign]
    return Facts(
        launches=[launch for part in facts for launch in part.launches],
        study_file=_together((part.study_file for part in facts), "\n"),
        torn_lines=sum(part.torn_lines for part in facts),
        ledger=_together((part.ledger for part in facts), " + "),
        asked=asked,
        foreign=Foreign(
            origin=_together((part.origin for part in foreign), "; "),
            cannot_be_vouched_for=list(
                dict.fromkeys(sentence for part in foreign for sentence in part.cannot_be_vouched_for)
            ),
        )
        if foreign
        else None,
    )


def _together(texts: Iterable[str], separator: str) -> str:
    """Return the different ones of some texts as one."""
    return separator.join(dict.fromkeys(text for text in texts if text))


def _joined(frames: "list[pd.DataFrame]") -> "pd.DataFrame":
    """Return frames one under the other; what one of them lacks is missing there.

    A column that holds text in one and numbers in another holds text, numbers as JSON, as within one run.
    """
    tables = [pa.Table.from_pandas(frame, preserve_index=False) for frame in frames]
    texts = {field.name for table in tables for field in table.schema if _is_text(field.type)}
    tables = [
        pa.table(
            {name: _as_text(table[name]) if name in texts else table[name] for name in table.column_names}
        )
        for table in tables
    ]
    return data_frame(pa.concat_tables(tables, promote_options="permissive"))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if _is_text(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    texts = [None if value is None else json.dumps(value) for value in values]
    return pa.chunked_array([pa.array(texts, pa.string())])
