"""Small ledgers with known effects, written as the driver writes them."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cktf.rows import EndRow, EpochRow, PlannedRow, Row, Stage, Status, StudyRow

EPOCHS = 4


def study_row(**changes: Any) -> StudyRow:
    """Return the study row of a small ablation."""
    values: dict[str, Any] = {
        "study": "digits_ablation",
        "run": "run-1",
        "question": "Which parts of CKTF help a small student read handwritten digits?",
        "design": "one_at_a_time",
        "metric": "validation_accuracy",
        "report_metric": "test_accuracy",
        "maximise": True,
        "baseline_arm_id": "arm-baseline",
        "factors": ["objective.cktf.temperature", "objective.cktf.theta", "objective.cktf.pairing"],
        "git_commit": "0123abcd",
        "versions": {"torch": "2.15.0", "ray": "2.60.0"},
        "machine": "a test, 2 cores",
        "command": "cktf launch digits_ablation.yaml",
        "time": 1_700_000_000.0,
    }
    return StudyRow(**values | changes)


@dataclass
class LedgerWriter:
    """Writes the ledger of a run directory; rows of one segment at a time."""

    run: Path
    number: int = 0
    planned: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, *rows: Row) -> None:
        """Put rows into the segment that is being written."""
        self.lines += [row.to_json() for row in rows]

    def close_segment(self, torn: str = "") -> Path:
        """Write the segment; ``torn`` is what a killed writer left of a last line."""
        self.number += 1
        path = self.run / "ledger" / f"{self.number:06d}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in self.lines) + torn)
        self.lines.clear()
        return path

    def close(self) -> Path:
        """Write the segment and return the run directory."""
        self.close_segment()
        return self.run

    def plan(
        self,
        arm: str,
        seed: int,
        params: dict[str, Any] | None = None,
        stage: Stage = Stage.DESIGN,
        context: str = "",
        teacher_id: str = "",
        aliases: list[dict[str, Any]] | None = None,
        **config: Any,
    ) -> str:
        """Add a planned row and return its trial's id."""
        params = params or {}
        trial_id = hashlib.sha256(f"{context}{arm}{stage}{seed}".encode()).hexdigest()[:16]
        cktf = {"temperature": 0.1, "theta": 0.1, "pairing": "last"}
        cktf |= {path.rpartition(".")[2]: level for path, level in params.items() if path.startswith("objective.cktf")}
        self.add(
            PlannedRow(
                trial_id=trial_id,
                arm_id=f"{context}arm-{arm}",
                arm=arm,
                seed=seed,
                stage=stage,
                number=self.planned,
                params=params,
                config={"seed": seed, "epochs": EPOCHS, "objective": {"cktf": cktf}, **config},
                context=context,
                teacher_id=teacher_id,
                aliases=aliases or [],
                time=1_700_000_000.0 + self.planned,
            )
        )
        self.planned += 1
        return trial_id

    def train(
        self,
        trial_id: str,
        accuracy: float,
        *,
        epochs: int = EPOCHS,
        status: Status | None = Status.COMPLETE,
        reason: str = "",
        tests: bool = True,
        measures: dict[str, float] | None = None,
    ) -> None:
        """Add a trial's epochs, the last one with this accuracy and these measures, and its end."""
        for epoch in range(1, epochs + 1):
            is_last = epoch == max(epochs, EPOCHS) and tests
            now = accuracy - 20.0 * (math.exp(-epoch) - math.exp(-epochs))
            self.add(
                EpochRow(
                    trial_id=trial_id,
                    epoch=epoch,
                    phase="train",
                    learning_rate=0.05,
                    train_loss=2.0 / epoch,
                    train_accuracy=now + 1,
                    validation_loss=1.0 / epoch,
                    validation_accuracy=now,
                    test_loss=1.1 / epoch if is_last else None,
                    test_accuracy=now if is_last else None,
                    test_images=360 if is_last else None,
                    epoch_seconds=0.5,
                    samples_per_second=1000.0,
                    peak_memory_gib=0.4,
                    terms={"cktf.stage1": 3.0 / epoch, "cross_entropy": 1.0 / epoch},
                    measures=measures or {} if epoch == epochs else {},
                    time=1_700_000_100.0 + epoch,
                )
            )
        if status:
            self.add(
                EndRow(
                    trial_id=trial_id,
                    status=status,
                    reason=reason,
                    epochs=epochs,
                    wall_seconds=0.5 * epochs,
                    device="cpu",
                    node="node-1",
                    time=1_700_000_200.0,
                )
            )


ARMS: dict[str, tuple[dict[str, Any], float]] = {
    "baseline": ({}, 0.0),
    "temperature=0.5": ({"objective.cktf.temperature": 0.5}, -3.0),
    "theta=0.0": ({"objective.cktf.theta": 0.0}, -0.2),
    "pairing=first": ({"objective.cktf.pairing": "first"}, 1.0),
    "temperature=0.05": ({"objective.cktf.temperature": 0.05}, 0.6),
}
"""Arm to what it sets and its true effect, in percentage points."""


def write_ablation(
    run: Path, arms: Iterable[str] = ARMS, seeds: int = 5, noise: float = 0.4, **study: Any
) -> LedgerWriter:
    """Write an ablation whose effects are known, seeds shared, all trials complete."""
    ledger = LedgerWriter(run)
    ledger.add(study_row(**study))
    draws = np.random.default_rng(7)
    levels = 90 + 1.5 * draws.standard_normal(seeds)
    planned = [(arm, seed, ledger.plan(arm, seed, ARMS[arm][0])) for arm in arms for seed in range(seeds)]
    for arm, seed, trial_id in planned:
        ledger.train(trial_id, float(levels[seed] + ARMS[arm][1] + noise * draws.standard_normal()))
    return ledger


CONTEXTS: dict[str, tuple[float, dict[str, float]]] = {
    "digits": (90.0, {"baseline": 0.0, "kd": 2.0, "fsp": -1.0}),
    "clothes": (60.0, {"baseline": 0.0, "kd": -4.0}),
}
"""Context to the level of its baseline and its arms' true effects; fsp cannot be built on clothes."""


def write_contexts(run: Path, seeds: int = 4, **study: Any) -> LedgerWriter:
    """Write a comparison in two contexts, with published values of some of its numbers and measured teachers."""
    ledger = LedgerWriter(run)
    ledger.add(
        study_row(
            study="methods",
            design="compare",
            factors=["objective.kd.weight"],
            baseline_arm_id="digitsarm-baseline",
            baselines={context: f"{context}arm-baseline" for context in CONTEXTS},
            **{
                "reference_source": "Some et al. 2023, Table 1",
                "reference_values": {"digits": {"baseline": 89.5, "kd": 91.25}, "clothes": {"kd": 61.0}},
                "reference_teachers": {"digits": 97.5},
            }
            | study,
        )
    )
    draws = np.random.default_rng(11)
    for seed in range(seeds):
        for context, (level, effects) in CONTEXTS.items():
            shared = level + draws.standard_normal()
            for arm, effect in effects.items():
                params = {"objective.kd.weight": 0.9} if arm == "kd" else {}
                trial_id = ledger.plan(arm, seed, params, context=context, teacher_id=f"teacher-{context}")
                ledger.train(trial_id, float(shared + effect + 0.2 * draws.standard_normal()))
    for context, accuracy in (("digits", 96.5), ("clothes", 80.0)):
        record = {"config": {}, "result": {"test_accuracy": accuracy, "test_loss": 0.1}}
        path = run / "teachers" / f"teacher-{context}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
    return ledger


def write_many_contexts(
    run: Path,
    contexts: int,
    effects: dict[str, float] | None = None,
    skipped: Iterable[tuple[str, str]] = (),
    failed: Iterable[tuple[str, str]] = (),
    seeds: int = 3,
) -> Path:
    """Write a comparison in many contexts, of whose (context, arm) some are not planned and some fail at every seed."""
    effects = {"baseline": 0.0, **({"kd": 3.0, "at": 1.0, "sp": -1.0} if effects is None else effects)}
    names = [f"pair {number}" for number in range(contexts)]
    ledger = LedgerWriter(run)
    ledger.add(
        study_row(
            study="methods",
            design="compare",
            factors=["objective.kd.weight"],
            baselines={context: f"{context}arm-baseline" for context in names},
        )
    )
    draws = np.random.default_rng(23)
    for context in names:
        level = 70 + 10 * draws.standard_normal()
        own = {arm: effect + 0.4 * draws.standard_normal() for arm, effect in effects.items()}
        for seed in range(seeds):
            shared = level + draws.standard_normal()
            for arm, effect in own.items():
                noise = 0.3 * draws.standard_normal()
                if (context, arm) in skipped:
                    continue
                trial_id = ledger.plan(arm, seed, {"objective.kd.weight": 0.5}, context=context)
                if (context, arm) in failed:
                    ledger.train(trial_id, 1.0, epochs=1, status=Status.FAILED, reason="nan", tests=False)
                else:
                    ledger.train(trial_id, float(shared + effect + noise))
    return ledger.close()


DEFAULT_LEVELS = {"objective.cktf.temperature": 0.5, "objective.cktf.theta": 0.1, "objective.cktf.pairing": "last"}
"""Factor to the baseline's level, in `write_search`."""


def write_search(run: Path, trials: int = 60, confirm: bool = False) -> LedgerWriter:
    """Write a search in which temperature matters, theta hardly, and some trials are pruned or fail."""
    ledger = LedgerWriter(run)
    ledger.add(
        study_row(
            study="digits_search",
            question="Which temperature and theta suit digits?",
            design="search",
            log_factors=["objective.cktf.temperature"],
            default_levels=DEFAULT_LEVELS,
        )
    )
    draws = np.random.default_rng(3)
    for number in range(trials):
        temperature = float(np.exp(draws.uniform(np.log(0.02), np.log(1.0))))
        params = {
            "objective.cktf.temperature": temperature,
            "objective.cktf.theta": float(draws.uniform(0, 1)),
            "objective.cktf.pairing": str(draws.choice(["first", "last"])),
        }
        trial_id = ledger.plan(f"search-{number}", 0, params, Stage.SEARCH)
        accuracy = 92 - 3 * abs(math.log(temperature / 0.1)) + 0.1 * draws.standard_normal()
        if number % 10 == 9:
            ledger.train(trial_id, accuracy, epochs=2, status=Status.PRUNED, reason="below the median", tests=False)
        elif number % 20 == 5:
            ledger.train(trial_id, accuracy, epochs=1, status=Status.FAILED, reason="loss is NaN", tests=False)
        else:
            ledger.train(trial_id, float(accuracy), tests=False)
    if confirm:
        for arm, effect in (("baseline", 0.0), ("search-1", 0.8)):
            for seed in range(100, 105):
                trial_id = ledger.plan(arm, seed, stage=Stage.CONFIRM)
                ledger.train(trial_id, 91 + effect + 0.3 * float(draws.standard_normal()))
    return ledger


def named(levels: dict[str, Any]) -> str:
    """Return the name of the arm that sets these levels."""
    return ", ".join(f"{path.rpartition('.')[2]}={level}" for path, level in levels.items())


GRID = {"objective.cktf.temperature": [0.1, 0.5, 1.0], "objective.cktf.theta": [0.1, 0.0]}
"""Factor to its levels, that of the baseline first."""


def grid_accuracy(temperature: float, theta: float) -> float:
    """Return an arm's true accuracy: temperature 1 costs 2, theta 0 costs 1, and both together cost nothing."""
    return 90.0 - 2.0 * (temperature == 1.0) - (theta == 0.0) + 3.0 * (temperature == 1.0) * (theta == 0.0)


def write_grid(
    run: Path, seeds: int = 5, noise: float = 0.3, aliases: dict[str, list[dict[str, Any]]] | None = None
) -> LedgerWriter:
    """Write a grid of three by two levels, the baseline one of its arms, all trials complete.

    Args:
        run: Its directory.
        seeds: Of every arm.
        noise: Standard deviation of what is not explained.
        aliases: Arm to its other names, which are not trained.
    """
    ledger = LedgerWriter(run)
    ledger.add(study_row(design="grid", factors=list(GRID)))
    draws = np.random.default_rng(13)
    others = {other["arm"] for names in (aliases or {}).values() for other in names}
    for seed in range(seeds):
        shift = draws.standard_normal()
        for levels in itertools.product(*GRID.values()):
            params = dict(zip(GRID, levels, strict=True))
            arm, sets = ("baseline", {}) if levels == (0.1, 0.1) else (named(params), params)
            accuracy = grid_accuracy(*levels) + shift + noise * draws.standard_normal()
            if arm not in others:
                ledger.train(ledger.plan(arm, seed, sets, aliases=(aliases or {}).get(arm)), accuracy)
    return ledger


FRACTION: dict[str, list[Any]] = {
    "objective.cktf.temperature": [0.1, 0.5],
    "objective.cktf.theta": [0.1, 0.0],
    "objective.cktf.pairing": ["last", "first"],
    "epochs": [4, 2],
}
"""Factor to its two levels, that of the baseline first; the last one follows the product of the others."""


def write_fraction(run: Path, seeds: int = 4, noise: float = 0.3) -> LedgerWriter:
    """Write the half of four factors: temperature 0.5 costs 2, and 1 more where theta is 0; the rest does nothing."""
    ledger = LedgerWriter(run)
    ledger.add(study_row(design="fractional", factors=list(FRACTION)))
    draws = np.random.default_rng(17)
    for seed in range(seeds):
        shift = draws.standard_normal()
        for free in itertools.product((0, 1), repeat=3):
            cell = (*free, sum(free) % 2)
            params = {path: levels[which] for (path, levels), which in zip(FRACTION.items(), cell, strict=True)}
            trial_id = ledger.plan(named(params), seed, params) if any(cell) else ledger.plan("baseline", seed)
            accuracy = 90 + shift - 2 * cell[0] - cell[0] * cell[1]
            ledger.train(trial_id, float(accuracy + noise * draws.standard_normal()))
    return ledger
