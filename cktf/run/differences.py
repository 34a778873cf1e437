"""Differences between two arms, or two studies: settings by their dotted paths."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cktf.errors import InputError, few, shown
from cktf.names import BASELINE, arm_label
from cktf.rows import PlannedRow, Stage
from cktf.run.directory import require_study
from cktf.run.ledger import read_latest
from cktf.storage import Storage
from cktf.study.designs import arm_for, every_arm
from cktf.study.load import load_study
from cktf.study.paths import differences
from cktf.study.spec import StudySpec


def differing(one: str, other: str | None, arms: Sequence[str]) -> tuple[tuple[str, str], list[tuple[str, Any, Any]]]:
    """Return the names of the two sides, and each path at which they differ, with both values.

    Each side is a study file or a run directory. Without ``arms``, whole studies are compared, defaults included; else
    one arm of each, where one name may stand for both. With one study alone, an arm is compared with the baseline in
    its context.
    """
    if len(arms) > 2 or not (other or arms):
        raise InputError("name two studies or runs, or --arm once or twice: two arms, or one against the baseline")
    if other and not arms:
        return (one, other), differences(_whole(_study(one)), _whole(_study(other)))
    context, second = _arm(other or one, arms[-1])
    names = arms[0] if other or len(arms) == 2 else arm_label(BASELINE, context), arms[-1]
    found = differences(_arm(one, names[0])[1], second)
    return (f"{one}: {names[0]}", f"{other}: {names[1]}") if other else names, found


def _study(place: str) -> StudySpec:
    return load_study(place) if Path(place).is_file() else require_study(Storage(place))


def _whole(spec: StudySpec) -> dict[str, Any]:
    values = spec.model_dump(mode="json", by_alias=True, exclude={"name", "baseline", "contexts"})
    configs = {name: config.model_dump(mode="json") for name, config in spec.baseline_configs.items()}
    return values | ({"contexts": configs} if spec.contexts else {"baseline": configs[""]})


def _arm(place: str, name: str) -> tuple[str, dict[str, Any]]:
    """Return context and configuration of an arm of a study, or of one that a search has tried, without its seed."""
    spec = _study(place)
    arms = {(arm.context, arm.name): arm.config.model_dump(mode="json") for arm in every_arm(spec)}
    tried: dict[str, dict[str, Any]] = {}
    if spec.search and not Path(place).is_file():
        rows = (row for row in read_latest(Storage(place)) if isinstance(row, PlannedRow))
        tried = {row.arm: row.params for row in rows if row.stage != Stage.TEACHER}
    if name in tried:  # the one alone, of thousands; a search has no contexts
        arms["", name] = arm_for(spec, tried[name]).config.model_dump(mode="json")
    found = [(context, arm) for context, arm in arms if name in (arm, arm_label(arm, context))]
    if len(found) != 1:
        said = "several contexts have it" if found else "there is none"
        labels = few([*dict.fromkeys([*(arm_label(arm, context) for context, arm in found or arms), *tried])])
        raise InputError(f"{place}: --arm {shown(name)}: {said}; use one of: {labels}")
    return found[0][0], {**arms[found[0]], "seed": None}
