"""Prints what identities the running code gives: `python -m tests.trainer.identities [LEDGER STUDY]`.

Of a ledger and a study it prints, too, which arms of the study a resumed run would plan anew.

A script, so that a test can ask another version of the package, in another process, and compare.
"""

import json
import sys
from pathlib import Path

from cktf.ledger_lines import parse_row
from cktf.plan.planner import Planner
from cktf.rows import PlannedRow, Row
from cktf.study.designs import every_arm
from cktf.study.load import load_study
from cktf.trial.teachers import teacher_trial

STUDIES = Path(__file__).parents[2] / "search_spaces"
PINNED = {
    "digits_ablation": ("baseline", "kd.weight=0", "pairing=first", "temperature=0.5"),
    "digits_methods": ("baseline", "kd", "crd", "cktf+kd"),
    "digits_transfer": ("baseline", "cktf", "fine-tuned", "scratch"),
    "fashion_mnist_ablation": ("baseline", "theta=0", "pairing=smallest", "negatives=64"),
    "cifar100_table1": tuple(f"WRN-40-2/WRN-16-2: {arm}" for arm in ("baseline", "kd", "ft", "rkd", "cktf")),
}
"""Shipped study to those of its arms whose identities are pinned."""


def identities() -> dict[str, dict[str, str]]:
    """Return study to arm to the identities of its trial at seed 1, of itself and of its teacher."""
    found: dict[str, dict[str, str]] = {}
    for study, labels in PINNED.items():
        arms = {arm.label: arm.config for arm in every_arm(load_study(STUDIES / f"{study}.yaml"))}
        for label in labels:
            config = arms[label]
            teacher = teacher_trial(config.teacher, config.teacher_data).trial_id if config.teacher else ""
            of_arm = f"{config.with_seed(1).trial_id} {config.arm_id} {teacher}"
            found.setdefault(study, {})[label] = of_arm
    return found


def planned_anew(ledger: Path, study: Path) -> list[str]:
    """Return the arms of the trials that a resumed run plans beside those of its ledger."""
    rows = [parse_row(line) for line in ledger.read_text().splitlines()]
    new: list[str] = []

    def note(row: Row) -> None:
        assert isinstance(row, PlannedRow)
        new.append(row.arm)

    Planner(load_study(study), note, rows)
    return new


if __name__ == "__main__":
    said = [identities(), planned_anew(*map(Path, sys.argv[1:]))] if sys.argv[1:] else identities()
    sys.stdout.write(json.dumps(said, indent=1, ensure_ascii=False) + "\n")
