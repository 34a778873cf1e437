"""A fraction of three factors, trained for real without Ray: from the study to its main effects."""

import pytest
import torch

from analysis import load
from cktf.rows import PlannedRow, Status
from cktf.search.ledger import Ledger
from cktf.search.planner import Planner
from cktf.search.run import require_runnable, write_what_was_asked
from cktf.storage import Storage
from cktf.study.designs import plan_arms
from cktf.study.smoke import smoke_study
from cktf.trainer.config import TrialConfig
from cktf.trainer.train import train

FRACTION = {
    "optimizer.momentum": [0.9, 0.0],
    "batch_size": [32, 64],
    "epochs": [2, 1],
}


def test_main_effects_are_those_of_the_trained_arms(make_spec, tmp_path):
    spec = make_spec(fractional=FRACTION, resolution=3, seeds=2)
    require_runnable(spec, plan_arms(spec))
    run, tested = Storage(tmp_path / "run"), {}
    with Ledger(run) as ledger:
        write_what_was_asked(spec, run, ledger)
        planner = Planner(spec, ledger.append)
        while isinstance(row := planner.next_trial(), PlannedRow):
            config = TrialConfig.model_validate(row.config)
            for result in train(config, run=run, read_test=True, device=torch.device("cpu")):
                planner.on_epoch(row.trial_id, result)
            planner.on_end(row.trial_id, Status.COMPLETE)
            cell = config.optimizer.momentum, config.batch_size, config.epochs
            tested.setdefault(cell, []).append(result.test_accuracy)
    assert set(tested) == {(0.9, 32, 2), (0.9, 64, 1), (0.0, 32, 1), (0.0, 64, 2)}

    results = load(run.root)
    assert results.facts.study.design == "fractional"
    table = results.interactions.set_index("factor")
    mean = {cell: sum(scores) / len(scores) for cell, scores in tested.items()}
    for position, factor in enumerate(FRACTION):
        first = [score for cell, score in mean.items() if cell[position] == FRACTION[factor][0]]
        other = [score for cell, score in mean.items() if cell[position] == FRACTION[factor][1]]
        assert table.at[factor, "effect"] == pytest.approx(sum(other) / 2 - sum(first) / 2)
    assert table.at["epochs", "aliases"] == "−optimizer.momentum=0.0 × batch_size=64"
    assert table["n"].unique().tolist() == [8]


def test_a_smoke_run_trains_the_runs_that_differ_in_it(make_spec):
    spec = smoke_study(make_spec(fractional={**FRACTION, "epochs": [20, 30]}, resolution=3))
    assert len(plan_arms(spec)) == 4
    assert {arm.config.epochs for arm in plan_arms(spec)} == {2}
