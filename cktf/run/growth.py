"""Studies that grow: what a larger study must have of the one that a run holds, and what it adds to it."""

from collections.abc import Collection, Iterable
from typing import Any

from cktf.errors import NotExtensible, shown
from cktf.names import BASELINE
from cktf.rows import PlannedRow, Row, Stage
from cktf.run.directory import decided_by
from cktf.storage import Storage
from cktf.study.designs import compared_arms, every_arm, plan_arms
from cktf.study.spec import StudySpec

GROWING = ("plugins", "contexts", "baseline", "skip", "seeds", "resolution", "contrasts")
"""Keys of a design that may say more, beside that of the design itself: its arms say whether they do."""

GROWING_OF_A_SEARCH = ("plugins", "trials", "confirm")

MOST_NAMED = 10
"""Arms, seeds and the like that are named; more are counted."""


def require_grown(spec: StudySpec, stored: StudySpec, run: Storage) -> None:
    """Refuse a study that does not contain the one that a run holds.

    A design contains another if it has all its arms, with the same configurations and under the same baselines, all its
    seeds and all its comparisons.

    Raises:
        NotExtensible: If it does not; the message names what it lacks, and the keys that must be as they were.
    """
    if race := spec.race or stored.race:
        raise NotExtensible(
            f"race: a race does not grow, for its last look, at {race.looks[-1]} seeds, spends what is left of its "
            "level; launch the larger study with another --run-dir"
        )
    grows = {*GROWING_OF_A_SEARCH} if stored.search else {*GROWING, *({spec.kind} & {stored.kind})}
    asked, before = decided_by(spec, stored, with_question=True)
    problems = [
        f"{key}: must be {shown(_plain(before[key]))}, as it was; got {shown(_plain(asked[key]))}"
        for key in asked
        if key not in grows and asked[key] != before[key]
    ]
    if stored.search and not problems:
        problems += _lacking_of_search(spec, stored)
    elif not stored.search:
        arms, compared = _arms(spec), _comparisons(spec)
        if lost := [label for arm, label in _arms(stored).items() if arm not in arms]:
            problems.append(f"{spec.kind}, baseline, contexts: must give {_listed('arm', lost)} as before")
        elif lost := [names for pair, names in _comparisons(stored).items() if pair not in compared]:
            problems.append(f"contrasts: must have {_listed('comparison', lost)} too")
        if seeds := [f"{seed}" for seed in stored.seeds if seed not in spec.seeds]:
            problems.append(f"seeds: must have {_listed('seed', seeds)} too")
    if problems:
        raise NotExtensible(
            f"{run.root}: the new study must contain the one that the run holds: {'; '.join(problems)}. Launch another "
            "study with another --run-dir"
        )


def _lacking_of_search(spec: StudySpec, stored: StudySpec) -> list[str]:
    """Return what a search has less of than before."""
    problems = []
    if spec.trials < stored.trials:
        problems.append(f"trials: must be {stored.trials} or more; got {spec.trials}")
    if spec.confirm != stored.confirm:
        was, new = stored.confirm, spec.confirm
        if was is None or new is None or new.top != was.top or new.seeds < was.seeds:
            wanted = f"top {was.top}, and {was.seeds} seeds or more" if was else "none"
            problems.append(f"confirm: must be {wanted}, as it was")
    return problems


def added_in_words(stored: StudySpec, spec: StudySpec) -> str:
    """Return what a study adds to the one that its run holds, and how many comparisons were planned before."""
    known = {arm.arm_id for arm in every_arm(stored)}
    new = [arm for arm in every_arm(spec) if arm.arm_id not in known]
    had = _comparisons(stored)
    asked = [names for pair, names in _comparisons(spec).items() if pair not in had and known.issuperset(pair)]
    seeds = [f"{seed}" for seed in _seeds(spec) if seed not in _seeds(stored)]
    found = {
        "arm": dict.fromkeys(arm.name for arm in new if arm.context in stored.baselines),
        "context": [context for context in spec.baselines if context not in stored.baselines],
        "comparison": asked,
        "seed": seeds,
    }
    said = [_listed(noun, names) for noun, names in found.items() if names]
    if spec.search and (more := spec.trials - stored.trials):
        said.append(f"{more} more trial{'s' * (more != 1)}")
    if new or asked:
        count = len(compared_arms(stored, plan_arms(stored)))
        said[-1] += f" (until then, {count} comparison{'s were' if count != 1 else ' was'} planned)"
    return "; ".join(said)


def names_of_old_arms(spec: StudySpec, rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Return the arms of a run that a study calls otherwise than their planned rows do.

    An arm is named by as much of its factors' paths as tells them apart, and by all factors of a grid; and a new arm
    that trains like an old one is another name of it.

    Returns:
        Id of an arm to its name and its other names (``arm`` and ``aliases``), as in a `PlannedRow`.
    """
    planned = [row for row in rows if isinstance(row, PlannedRow) and row.stage == Stage.DESIGN]
    arms = plan_arms(spec, {row.arm_id for row in planned}) if planned else ()
    names = {arm.arm_id: {"arm": arm.name, "aliases": [*arm.aliases]} for arm in arms}
    was = {(row.arm_id, repr((row.arm, row.aliases))) for row in planned}
    changed = {arm_id for arm_id, said in was if arm_id in names and said != repr((*names[arm_id].values(),))}
    return {arm_id: names[arm_id] for arm_id in names if arm_id in changed}


def _arms(spec: StudySpec) -> dict[tuple[str, str, bool], str]:
    """Return each arm (context, id, whether it is the baseline) with its label."""
    return {(arm.context, arm.arm_id, arm.name == BASELINE): arm.label for arm in every_arm(spec)}


def _comparisons(spec: StudySpec) -> dict[tuple[str, str], str]:
    pairs = compared_arms(spec, every_arm(spec))
    return {(first.arm_id, second.arm_id): f"{first.label} with {second.name}" for first, second in pairs}


def _seeds(spec: StudySpec) -> tuple[int, ...]:
    return (*spec.seeds, *spec.confirm_seeds)


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _listed(noun: str, names: Collection[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"the {noun}{'s' * (len(names) > 1)} {', '.join([*names][:MOST_NAMED])}{more}"
