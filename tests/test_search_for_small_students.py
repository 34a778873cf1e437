"""A search of accuracy and size, trained for real without Ray, from the study to its Pareto front."""

from pathlib import Path

import torch

from analysis import load
from analysis.report.tables import side_tables
from cktf import driver
from cktf.plan.planner import NoTrial
from cktf.rows import Status
from cktf.run.ledger import Ledger
from cktf.storage import Storage
from cktf.trainer.config import TrialConfig
from cktf.trial.run import run_trial
from tests.kinds import MakeSpec

FLOPS = "measure.flops"
LEVELS = ["param.student.model", "param.student.width"]


def test_students_of_several_widths_and_networks_have_a_front(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(
        {"epochs": 1},
        search={
            "student.width": {"float": [0.25, 0.75], "step": 0.25},
            "student.model": {"choice": ["resnet5", "resnet8"]},
        },
        measures=["flops"],
        metric=["validation_accuracy", "flops"],
        sampler="tpe",
        trials=5,
    )
    run = Storage(str(tmp_path))
    with Ledger(run) as ledger:
        planner = driver._planner(spec, run, ledger, retry_failed=False)
        while not isinstance(row := planner.next_trial(), NoTrial):
            config = TrialConfig.model_validate(row.config)
            for result in run_trial(config, spec.train_options(read_test=False), device=torch.device("cpu")):
                planner.on_epoch(row.trial_id, result)
            planner.on_end(row.trial_id, Status.COMPLETE)
    results = load(tmp_path)
    searched = results.trials
    assert len(searched) == 5
    # Of one network and width all have one size, which grows with the width.
    sizes = searched.groupby(LEVELS)[FLOPS]
    assert (sizes.nunique() == 1).all()
    for _, of_model in sizes.first().groupby(level=0):
        assert of_model.is_monotonic_increasing
        assert of_model.is_unique
    assert len(sizes.first()) > 2, "several arms"
    means = searched.groupby("arm_id")[["validation_accuracy", FLOPS]].mean()
    front = {
        arm
        for arm, own in means.iterrows()
        if not (means.ge(own)["validation_accuracy"] & means.le(own)[FLOPS] & means.ne(own).any(axis=1)).any()
    }
    found = results.pareto
    assert set(found.loc[found["is_on_front"], "arm_id"]) == front
    assert "pareto" in side_tables(results)
