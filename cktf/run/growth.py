"""Studies that grow: the check that a larger study contains the one of its run, and what it adds to that."""

from collections.abc import Collection, Iterable
from typing import Any

from cktf.errors import NotExtensible, few, shown
from cktf.names import BASELINE
from cktf.rows import PlannedRow, Row, Stage
from cktf.run.directory import decided_by
from cktf.storage import Storage
from cktf.study.designs import compared_arms, every_arm, plan_arms
from cktf.study.domains import Domain
from cktf.study.spec import StudySpec
from cktf.study.yaml_text import in_one_line

GROWING = {"plugins", "contexts", "baseline", "skip", "seeds", "resolution"}
"""Keys that may differ in a larger design, beside the design's own key; arms and seeds are compared instead."""

MOST_NAMED = 10
"""Largest number of arms, seeds, ... that a message names; further ones are counted."""


def require_grown(spec: StudySpec, stored: StudySpec, run: Storage) -> None:
    """Raise a NotExtensible if a study does not contain the one that a run holds."""
    if race := spec.race or stored.race:
        raise NotExtensible(
            f"race: a race does not grow, for its last look, at {race.looks[-1]} seeds, spends what is left of its "
            "level; launch the larger study with another --run-dir"
        )
    grows = ({"plugins", "trials"} if stored.search else GROWING) | ({spec.kind} & {stored.kind})
    was, new = stored.confirm, spec.confirm
    if was and new and new.seeds >= was.seeds and new.top == was.top:
        grows.add("confirm")
    asked, before = decided_by(spec, stored, with_question=True)
    problems = [
        f"{key}: must be {shown(before[key])}, as it was; got {shown(asked[key])}"
        for key in asked
        if key not in grows and asked[key] != before[key]
    ]
    # Their parts would be trained by other code under the names, and the ids, of the run.
    code = {of for plugin in spec.plugins for of in (plugin.name, plugin.version)}
    if lost := [plugin.name for plugin in stored.plugins if code.isdisjoint({plugin.name, plugin.version})]:
        problems.append(f"plugins: must have {_listed('file or module', lost)} too")
    if stored.search and spec.trials < stored.trials:
        problems.append(f"trials: must be {stored.trials} or more; got {spec.trials}")
    for path, (old, wide) in _changed_domains(spec, stored).items():
        if old is None:
            problems.append(f"search.{path}: was no factor of the search")
        elif wide is None or not wide.contains(old):
            said, got = (
                in_one_line(each and each.model_dump(mode="json", by_alias=True, exclude_unset=True))
                for each in (old, wide)
            )
            problems.append(f"search.{path}: must contain {said}, with its scale and conditions; got {got}")
    if not stored.search:
        arms, compared = _arms(spec), _comparisons(spec)
        if lost := [label for arm, label in _arms(stored).items() if arm not in arms]:
            problems.append(f"{spec.kind}, baseline, contexts: must give {_listed('arm', lost)} as before")
        elif lost := [names for pair, names in _comparisons(stored).items() if pair not in compared]:
            problems.append(f"contrasts: must have {_listed('comparison', lost)} too")
        if seeds := [f"{seed}" for seed in stored.seeds if seed not in spec.seeds]:
            problems.append(f"seeds: must have {_listed('seed', seeds)} too")
    if problems:
        said = "; ".join(problems)
        raise NotExtensible(
            f"{run.root}: the new study must contain the one of the run, or have a run of its own: {said}"
        )


def added_in_words(stored: StudySpec, spec: StudySpec) -> str:
    """Return what a study adds to the one that its run holds, and how many comparisons were planned before."""
    known, had = {arm.arm_id for arm in every_arm(stored)}, _comparisons(stored)
    new = [arm for arm in every_arm(spec) if arm.arm_id not in known]
    asked = [names for pair, names in _comparisons(spec).items() if pair not in had and known.issuperset(pair)]
    seeds = {*stored.seeds, *stored.confirm_seeds}
    found: dict[str, Collection[str]] = {
        "wider domain": list(_changed_domains(spec, stored)),
        "arm": dict.fromkeys(arm.name for arm in new if arm.context in stored.baselines),
        "context": [context for context in spec.baselines if context not in stored.baselines],
        "comparison": asked,
        "seed": [f"{seed}" for seed in (*spec.seeds, *spec.confirm_seeds) if seed not in seeds],
    }
    said = [_listed(noun, names) for noun, names in found.items() if names]
    if spec.search and (more := spec.trials - stored.trials):
        said.append(f"{more} more trial{'s' * (more != 1)}")
    if new or asked:
        count = len(compared_arms(stored, plan_arms(stored)))
        said[-1] += f" (until then, {count} comparison{'s were' if count != 1 else ' was'} planned)"
    return "; ".join(said)


def names_of_old_arms(spec: StudySpec, rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Return the arms whose names in a study differ from those in their planned rows, for `StudyRow.renamed`.

    Further factors make names longer, and a new arm that trains like an old one is another name of it.
    """
    planned = [row for row in rows if isinstance(row, PlannedRow) and row.stage == Stage.DESIGN]
    arms = plan_arms(spec, {row.arm_id for row in planned}) if planned else ()
    names = {arm.arm_id: {"arm": arm.name, "aliases": [*arm.aliases]} for arm in arms}
    was = {(row.arm_id, repr({"arm": row.arm, "aliases": row.aliases})) for row in planned}
    return {arm_id: names[arm_id] for arm_id, said in was if arm_id in names and said != repr(names[arm_id])}


def _arms(spec: StudySpec) -> dict[tuple[str, str, bool], str]:
    """Return each arm (context, id, whether it is the baseline) with its label."""
    return {(arm.context, arm.arm_id, arm.name == BASELINE): arm.label for arm in every_arm(spec)}


def _comparisons(spec: StudySpec) -> dict[tuple[str, str], str]:
    pairs = compared_arms(spec, every_arm(spec))
    return {(first.arm_id, second.arm_id): f"{first.label} with {second.name}" for first, second in pairs}


def _changed_domains(spec: StudySpec, stored: StudySpec) -> dict[str, tuple[Domain | None, Domain | None]]:
    """Return path to old and new domain of a search's factors, where these differ; None: there is no such factor."""
    if stored.search is None or spec.search is None:
        return {}
    old, new = stored.search, spec.search
    return {path: (old.get(path), new.get(path)) for path in {**old, **new} if old.get(path) != new.get(path)}


def _listed(noun: str, names: Collection[str]) -> str:
    return f"the {noun}{'s' * (len(names) > 1)} {few([*names], MOST_NAMED)}"
