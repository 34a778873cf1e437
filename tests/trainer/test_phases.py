"""Phases: a method's own training comes before the student's, in the rows and in the checkpoint."""

import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cktf.data import split
from cktf.models import build_model, measure_shapes
from cktf.objectives import OBJECTIVES, BuildContext, Objective, TwoPhaseSettings
from cktf.objectives.ab import AB
from cktf.objectives.contrastive.settings import ContrastiveSettings
from cktf.objectives.fsp import FSP
from cktf.storage import Storage
from cktf.trainer.assembly import assemble
from cktf.trainer.config import TrialConfig
from cktf.trainer.phases import InitialStudent
from cktf.trial.held_data import held_dataset
from cktf.trial.run import run_trial
from tests.kinds import MakeTrial
from tests.trainer.interrupted import assert_equal_states, checkpoint_of, figures, killed, killed_after_each_epoch

OBJECTIVE = {
    "cross_entropy": {},
    "ab": {"initial_epochs": 2, "initial_learning_rate": 0.02},
    "ft": {"initial_epochs": 1},
}
EVERY_OBJECTIVE = {
    name: {"initial_epochs": 1}
    if issubclass(method.Config, TwoPhaseSettings)
    else {"negatives": 32}
    if issubclass(method.Config, ContrastiveSettings)
    else {}
    for name, method in OBJECTIVES.items()
    if name != "simkd"  # does not go together with initial phases
}


@pytest.fixture
def two_phased(tiny: MakeTrial) -> TrialConfig:
    return tiny(objective=OBJECTIVE, epochs=2)


def test_initial_phases_come_first_each_with_its_epochs_rate_and_terms(two_phased: TrialConfig) -> None:
    assert two_phased.total_epochs == 5
    results = list(run_trial(two_phased))
    assert [(r.epoch, r.phase) for r in results] == [
        (1, "ab"), (2, "ab"), (3, "ft"), (4, "train"), (5, "train"),
    ]  # fmt: skip
    assert [r.learning_rate for r in results] == [0.02, 0.02, 0.01, 0.05, pytest.approx(0.05 * 0.1)]
    assert {name.partition(".")[0] for name in results[0].terms} == {"ab"}
    assert set(results[2].terms) == {"ft.reconstruction"}
    assert set(results[3].terms) == {"cross_entropy.logits", "ft.last_stage"}


def test_an_initial_phase_is_not_scored_for_no_classifier_has_learnt_yet(two_phased: TrialConfig) -> None:
    scores = [(r.train_accuracy, r.validation_loss, r.validation_accuracy) for r in run_trial(two_phased)]
    assert scores[:3] == [(None, None, None)] * 3
    assert all(None not in values for values in scores[3:])
    assert two_phased.scored_epochs == 2


def test_the_teacher_runs_as_long_as_an_objective_reads_it(tiny: MakeTrial) -> None:
    def teachers(objective: dict[str, Any]) -> list[Any]:
        config = tiny(objective=objective)
        dataset = held_dataset(config.data, torch.device("cpu"))
        parts = split(dataset.train_labels, config.data, config.seed)
        teacher = build_model("resnet8", 10, dataset.image_shape)
        return [phase.teacher is not None for phase in assemble(config, dataset, parts, teacher)[2]]

    assert teachers({"cross_entropy": {}, "ab": {}}) == [True, False]
    assert teachers({"cross_entropy": {}, "ab": {}, "kd": {}}) == [True, True]
    assert teachers({"cross_entropy": {}, "ft": {}}) == [True, True]


def test_a_run_killed_after_any_epoch_of_any_phase_and_resumed_is_bit_equal(tiny: MakeTrial, tmp_path: Path) -> None:
    config = tiny(objective=EVERY_OBJECTIVE, epochs=2, optimizer={"learning_rate": 1e-3})
    whole, broken = Storage(tmp_path / "whole"), Storage(tmp_path / "broken")
    uninterrupted = figures(run_trial(config, run=whole))
    assert figures(killed_after_each_epoch(config, broken)) == uninterrupted
    assert_equal_states(checkpoint_of(whole, config), checkpoint_of(broken, config), "student", "objective")


def test_what_an_initial_phase_has_trained_is_frozen_afterwards(two_phased: TrialConfig, tmp_path: Path) -> None:
    run = Storage(tmp_path)
    paraphrasers = []
    for epoch in range(1, 6):
        *_, result = killed(two_phased, run, after=epoch)
        found = checkpoint_of(run, two_phased)
        paraphrasers.append({key: value for key, value in found.objective.items() if "paraphraser" in key})
        assert paraphrasers[-1], result.phase

    def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
        return any(not torch.equal(value, after[key]) for key, value in before.items())

    assert [moved(*pair) for pair in pairwise(paraphrasers)] == [
        False, True, False, False,
    ]  # fmt: skip


def test_the_student_s_own_phase_draws_what_it_draws_without_others(tiny: MakeTrial) -> None:
    # The paraphraser's phase leaves the student alone, and a factor of next to nothing changes none of its digits.
    alone = list(run_trial(tiny(objective={"cross_entropy": {}}, epochs=1)))
    after = list(
        run_trial(tiny(objective={"cross_entropy": {}, "ft": {"weight": 1e-30, "initial_epochs": 1}}, epochs=1))
    )
    assert after[-1].train_accuracy == alone[-1].train_accuracy
    assert after[-1].validation_loss == pytest.approx(alone[-1].validation_loss, rel=1e-6)


def test_a_method_that_ends_with_its_initial_phase_needs_another_to_go_on(tiny: MakeTrial) -> None:
    with pytest.raises(ValueError, match="objective: ab ends with its initial phase; after it another"):
        tiny(objective={"ab": {}})


IMAGES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def students(model: str, method: type[Objective]) -> tuple[Any, ...]:
    network = build_model(model, 5, IMAGES.shape[1:])
    shapes = measure_shapes(network, IMAGES.shape[1:])
    given = BuildContext(shapes, shapes, labels=torch.arange(5), seed=0)
    initial = method(method.Config(), given).initial
    assert initial is not None
    before = copy.deepcopy(network)
    return InitialStudent(network, initial), network, before


@pytest.mark.parametrize("method", [AB, FSP])
def test_behind_the_stages_of_a_wide_resnet_nothing_moves(method: type[Objective]) -> None:
    initial, network, before = students("wrn_16_1", method)
    assert {id(p) for p in network.parameters()} - {id(p) for p in initial.trained} == {
        id(p) for module in (network.bn1, network.fc) for p in module.parameters()
    }
    initial.train()
    assert network.conv1.training
    assert not network.bn1.training
    initial(IMAGES)
    assert torch.equal(network.bn1.running_mean, before.bn1.running_mean)
    assert not torch.equal(network.block1.layer[0].bn1.running_mean, before.block1.layer[0].bn1.running_mean)


def test_the_batch_norms_of_preactivations_move_twice_a_step() -> None:
    initial, network, _ = students("wrn_16_1", AB)
    initial.train()
    found = initial(IMAGES)
    norm = network.block2.layer[0].bn1
    mean = found.stages[0][-1].mean(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_mean, (1 - 0.9**2) * mean, rtol=1e-4, atol=1e-6)
    assert network.block1.layer[0].bn1.num_batches_tracked == 1


def test_the_whole_of_another_student_is_trained() -> None:
    initial, network, _ = students("resnet8", AB)
    initial.train()
    assert network.bn1.training
    assert len(initial.trained) == len(list(network.parameters()))
