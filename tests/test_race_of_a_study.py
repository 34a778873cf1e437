"""A race on the digits, trained for real, that is killed in mid-look and goes on to the same looks."""

from typing import Any

import torch

from analysis.statistics.effects import effects
from cktf.epoch_result import EpochResult
from cktf.plan.planner import Planner
from cktf.rows import LookRow, PlannedRow, Row, Status
from cktf.trainer.config import TrialConfig
from cktf.trial.run import run_trial
from tests.kinds import MakeSpec
from tests.planning import ledger

RESULTS: dict[str, list[EpochResult]] = {}
"""Each trial is trained once: it gives the same numbers each time."""


def train(planner: Planner) -> None:
    while isinstance(row := planner.next_trial(), PlannedRow):
        if row.trial_id not in RESULTS:
            options = planner.spec.train_options(read_test=True)
            config = TrialConfig.model_validate(row.config)
            RESULTS[row.trial_id] = [*run_trial(config, options, device=torch.device("cpu"))]
        for result in RESULTS[row.trial_id]:
            planner.on_epoch(row.trial_id, result)
        planner.on_end(row.trial_id, Status.COMPLETE)


def table_of(rows: list[Row]) -> Any:
    import pandas as pd

    found = [row for row in rows if isinstance(row, PlannedRow)]
    return pd.DataFrame(
        {
            "context": "",
            "arm": [row.arm for row in found],
            "arm_id": [row.arm_id for row in found],
            "is_baseline": [row.arm == "baseline" for row in found],
            "seed": [row.seed for row in found],
            "stage": "design",
            "status": "complete",
            "number": [row.number for row in found],
            "test_accuracy": [RESULTS[row.trial_id][-1].test_accuracy for row in found],
        }
    )


def test_it_is_killed_in_mid_look_and_goes_on_to_the_same_looks(make_spec: MakeSpec, rows: list[Row]) -> None:
    spec = make_spec(
        {"epochs": 1},
        ablate={"optimizer.learning_rate": [1e-6], "optimizer.momentum": [0.85]},
        race={"looks": [2, 3], "futility": 0.3},
    )
    train(ledger(spec, rows))
    looks = [row for row in rows if isinstance(row, LookRow)]
    assert [look.seeds for look in looks] == [2, 3][: len(looks)]
    place = rows.index(looks[0])
    for killed in (place - 1, place, place + 1, place + 2):
        again = rows[:killed]
        train(ledger(spec, again))
        assert again == rows
    # The report has the p of the last look of each comparison.
    found = effects(table_of(rows), metric="test_accuracy", looks=[2, 3]).set_index("arm_id")
    for look in looks:
        for each in look.comparisons:
            arm_id = each["arm_id"]
            if found.at[arm_id, "n_looks"] == look.number:
                assert found.at[arm_id, "verdict"] == each["verdict"]
                assert abs(found.at[arm_id, "p"] - each["p"]) < 1e-9
