"""What differs between two arms, or two studies: settings by their dotted paths."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cktf.errors import InputError, shown
from cktf.names import BASELINE, arm_label
from cktf.rows import PlannedRow, Stage
from cktf.run.directory import require_study
from cktf.run.ledger import read_latest
from cktf.storage import Storage
from cktf.study.designs import every_arm
from cktf.study.load import load_study
from cktf.study.paths import differences
from cktf.study.spec import StudySpec
from cktf.trainer.config import TrialConfig

Change = tuple[str, Any, Any]
"""A path, and its value on either side; None where one side lacks it."""


def differing(one: str, other: str | None, arms: Sequence[str]) -> tuple[tuple[str, str], list[Change]]:
    """Return what the two sides of a comparison are called, and what differs between them, seeds left out.

    Args:
        one: A study file or a run directory.
        other: Another one. Without arms the studies as wholes are compared, every default filled in.
        arms: One arm of each side, the first study's baseline taken for the first if there is one study and one arm;
            the same arm of two studies if one is named. Where contexts share a name: ``context: arm``.

    Raises:
        UserError: If a study or run cannot be read, has no such arm, or nothing says what is compared.
    """
    if len(arms) > 2 or (other is None and not arms):
        raise InputError("name two studies or runs, or --arm once or twice: two arms, or one against the baseline")
    if not arms and other is not None:
        return (one, other), differences(_whole(one), _whole(other))
    names = (arms[0] if len(arms) > 1 or other else BASELINE, arms[-1])
    first, second = _arm(one, names[0]), _arm(other or one, names[1])
    titles = (f"{one}: {names[0]}", f"{other}: {names[1]}") if other else names
    return titles, [each for each in differences(first, second) if each[0] != "seed"]


def _study(place: str) -> StudySpec:
    return load_study(place) if "://" not in place and Path(place).is_file() else require_study(Storage(place))


def _whole(place: str) -> dict[str, Any]:
    spec = _study(place)
    values = spec.model_dump(mode="json", by_alias=True, exclude={"name", "baseline", "contexts"})
    configs = {name: config.model_dump(mode="json") for name, config in spec.baseline_configs.items()}
    return values | ({"contexts": configs} if spec.contexts else {"baseline": configs[""]})


def _arm(place: str, name: str) -> dict[str, Any]:
    """Return the configuration of an arm of a design, or of one that a run's search has tried."""
    spec = _study(place)
    arms = {(arm.context, arm.name): arm.config for arm in every_arm(spec)}
    if spec.search and not Path(place).is_file():
        rows = (row for row in read_latest(Storage(place)) if isinstance(row, PlannedRow))
        arms |= {
            (row.context, row.arm): TrialConfig.model_validate(row.config) for row in rows if row.stage != Stage.TEACHER
        }
    found = [config for key, config in arms.items() if name in (key[1], arm_label(key[1], key[0]))]
    if len(found) != 1:
        labels = [arm_label(arm, context) for context, arm in arms]
        more = f", and {len(labels) - 20} more" if len(labels) > 20 else ""
        said = "several contexts have it" if found else "there is none"
        raise InputError(f"{place}: --arm {shown(name)}: {said}; use one of: {', '.join(labels[:20])}{more}")
    return found[0].model_dump(mode="json")
