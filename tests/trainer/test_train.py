import gc
import math
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import load_file
from torch import Tensor, nn
from torch._dynamo.utils import counters

from cktf.data import Dataset, evaluation_batches
from cktf.models import build_model
from cktf.models.resnet import ResNet
from cktf.models.wide_resnet import WideResNet
from cktf.plan.planner import Planner
from cktf.rows import EpochRow, Row
from cktf.seeding import derive
from cktf.storage import Storage
from cktf.trainer.checkpoint import CHECKPOINT, STUDENT, Checkpoint, load_checkpoint, trial_storage
from cktf.trainer.evaluate import evaluate
from cktf.trainer.train import TrainingFailed, TrainOptions, _network_stream
from cktf.trial.held_data import held_dataset
from cktf.trial.run import run_trial
from tests.kinds import MakeSpec, MakeTrial
from tests.planning import next_row
from tests.trainer.interrupted import assert_equal_states, checkpoint_of, figures, killed, killed_after_each_epoch


def test_a_student_learns_digits(tiny: MakeTrial) -> None:
    config = tiny(objective={"cross_entropy": {}}, teacher=None, epochs=4, data={"name": "digits"})
    results = list(run_trial(config))
    assert [result.epoch for result in results] == [1, 2, 3, 4]
    assert results[-1].validation_accuracy is not None
    assert results[-1].validation_accuracy > 80
    assert results[-1].train_loss < results[0].train_loss


def test_the_test_split_is_read_once_at_the_last_epoch_and_only_where_allowed(tiny: MakeTrial) -> None:
    allowed = list(run_trial(tiny(epochs=2), TrainOptions(read_test=True)))
    assert [result.test_accuracy is None for result in allowed] == [True, False]
    assert allowed[0].test_images is None
    assert allowed[1].test_images is not None
    assert allowed[1].test_images > 100
    assert allowed[1].test_accuracy is not None
    right = allowed[1].test_accuracy / 100 * allowed[1].test_images
    assert right == pytest.approx(round(right), abs=1e-6)
    assert all(result.test_accuracy is None for result in run_trial(tiny(epochs=2)))


@pytest.mark.parametrize(
    "contrast",
    [
        {},
        {"source": "queue"},
        {"source": "shared", "bank_precision": "bfloat16"},
        {
            "weight": {"from": 0.5, "to": 1, "over": [0, 0.5]},
            "theta": {"from": 1, "to": 0, "over": [0, 1]},
            "estimator": "infonce",
            "temperature": {"learn": True, "start": 0.1, "min": 0.05, "max": 100},
            "positives": "class",
            "hardness": 0.5,
            "teacher_threshold": 0.8,
            "head": "mlp",
            "depth": 3,
            "width": 32,
            "norm": "batch",
        },
    ],
)
def test_a_run_killed_after_any_epoch_and_resumed_is_bit_equal(
    tiny: MakeTrial, tmp_path: Path, contrast: dict[str, Any]
) -> None:
    config = tiny(
        objective={"cross_entropy": {}, "cktf": {"negatives": 50, **contrast}},
        optimizer={"learning_rate": 0.05, "schedule": "cosine"},
    )
    whole, broken = Storage(tmp_path / "whole"), Storage(tmp_path / "broken")
    uninterrupted = figures(run_trial(config, run=whole))
    resumed = killed_after_each_epoch(config, broken)
    assert figures(resumed) == uninterrupted
    one = checkpoint_of(whole, config)
    assert_equal_states(one, checkpoint_of(broken, config), "student", "objective")
    if "temperature" in contrast:
        learned = [result.health["learned.cktf.temperature"] for result in resumed]
        assert len({0.1, *learned}) == 4, "it is learned in each epoch, and told after it"
    assert len(one.objective) > 10, "heads, banks and Z of five pairs are in the checkpoint"


def test_epochs_after_the_last_checkpoint_are_trained_again_to_the_same_rows_which_the_ledger_has_once(
    tiny: MakeTrial, make_spec: MakeSpec, tmp_path: Path
) -> None:
    config = tiny(epochs=4, teacher=None, objective={"cross_entropy": {}})
    whole = figures(run_trial(config))
    run, rows, told = Storage(tmp_path), list[Row](), []
    trial_id = config.trial_id
    planner = Planner(make_spec(seeds=1), rows.append)
    planned = replace(next_row(planner), trial_id=trial_id, epochs=4, config=config.model_dump())
    planner = Planner(make_spec(seeds=1), rows.append, [planned])
    rows.clear()
    # Killed after the first epoch, which has a checkpoint; after the third, which has none; then not any more.
    for seconds, epochs in ((0, 1), (1000, 3), (1000, 4)):
        for result in killed(config, run, after=epochs, checkpoint_seconds=seconds):
            told.append(result)
            planner.on_epoch(trial_id, result)
        assert len(checkpoint_of(run, config).history) == (4 if epochs == 4 else 1)
    assert figures(told) == [*whole[:1], *whole[:3], *whole]
    assert told[0].checkpoint_seconds > 0 == told[2].checkpoint_seconds < told[-1].checkpoint_seconds
    assert told[1].epoch_seconds == told[0].epoch_seconds, "told from the checkpoint"
    epoch_rows = [row for row in rows if isinstance(row, EpochRow)]
    assert epoch_rows == rows
    assert [row.epoch for row in epoch_rows] == [1, 2, 3, 4]


def test_a_short_trial_writes_its_state_once_and_one_with_two_phases_twice(
    tiny: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = Storage.write

    def counted(place: Storage, name: str, content: bytes) -> None:
        if name == CHECKPOINT:
            written.append(len(content))
        write(place, name, content)

    monkeypatch.setattr(Storage, "write", counted)
    plain = tiny(teacher=None, objective={"cross_entropy": {}})
    list(run_trial(plain, TrainOptions(checkpoint_seconds=0), run=Storage(tmp_path / "each epoch")))
    assert len(written) == 3
    each_epoch = sum(written)
    written.clear()
    list(run_trial(plain, run=Storage(tmp_path / "seldom")))
    assert len(written) == 1
    assert sum(written) < 0.4 * each_epoch
    written.clear()
    list(run_trial(tiny(objective={"ab": {"initial_epochs": 2}, "kd": {}}), run=Storage(tmp_path / "phases")))
    assert len(written) == 2


def test_a_training_holds_no_state_of_the_checkpoint_that_it_goes_on_from(tiny: MakeTrial, tmp_path: Path) -> None:
    config, run = tiny(epochs=3), Storage(tmp_path)
    killed(config, run)
    held = []

    def load(place: Storage, *workers: Any) -> Checkpoint | None:
        found = load_checkpoint(place, *workers)
        assert found is not None
        tensors = (value for value in found.objective.values() if isinstance(value, Tensor))
        held.append(weakref.ref(max(tensors, key=Tensor.numel)))  # a bank
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cktf.trial.run.load_checkpoint", load)
        training = run_trial(config, run=run)
        next(training)
        assert held[0]() is not None
        next(training)
        gc.collect()
        assert held[0]() is None


def test_only_deterministic_algorithms_train_where_that_is_asked_for_and_settings_of_the_process_come_back(
    tiny: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    seen = []
    pass_on = ResNet.forward

    def forward(network: ResNet, images: Tensor) -> Any:
        if network.training:
            seen.append((torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark))
        return pass_on(network, images)

    monkeypatch.setattr(ResNet, "forward", forward)
    found = []
    for deterministic in (False, True):
        training = run_trial(tiny(epochs=1), TrainOptions(deterministic=deterministic))
        found += figures([next(training)])
        assert not torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
        assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) is deterministic
        assert set(seen) == {(deterministic, not deterministic)}
        seen.clear()
    assert found[0] == found[1], "on a CPU"
    assert found[0]["precision"] == "float32"


def test_a_network_s_own_randomness_is_addressed_too(tmp_path: Path, tiny: MakeTrial) -> None:
    # Dropout draws from PyTorch's global stream, whatever trials this process has trained before.
    config = tiny(student={"model": "wrn_16_1"}, objective={"cross_entropy": {}}, teacher=None, epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cktf.models.wide_resnet.WideResNet.forward", _with_dropout(WideResNet.forward))
        whole = figures(run_trial(config))
        torch.rand(7)
        run = Storage(tmp_path / "run")
        killed(config, run)
        torch.rand(3)
        assert figures(run_trial(config, run=run)) == whole


def test_accuracies_are_counted_in_float32_whatever_the_training_s_precision(tiny: MakeTrial, tmp_path: Path) -> None:
    config = tiny(epochs=1, objective={"cross_entropy": {}}, teacher=None, precision="bfloat16")
    run = Storage(tmp_path)
    *_, last = run_trial(config, TrainOptions(read_test=True), run=run)
    dataset = held_dataset(config.data, torch.device("cpu"))
    network = build_model(config.student, dataset.num_classes, dataset.image_shape)
    content = trial_storage(run, config.trial_id).read(STUDENT)
    assert content is not None
    network.load_state_dict(load_safetensors(content))
    network.to(memory_format=torch.channels_last)
    found = evaluate(network, evaluation_batches(dataset, "test"))
    assert last.test_accuracy == found.accuracy
    assert last.test_loss == pytest.approx(found.loss, rel=1e-6)


def test_a_warm_worker_compiles_the_networks_of_every_trial(tiny: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="eager"))
    with torch._dynamo.config.patch(recompile_limit=8):  # PyTorch's own, to be put back afterwards
        torch.compiler.reset()
        compiled = []
        for model in ("resnet5", "resnet8", "resnet14", "resnet20"):
            before = counters["stats"]["unique_graphs"]
            changes = {"student": {"model": model}, "objective": {"cross_entropy": {}}, "teacher": None}
            list(run_trial(tiny(epochs=1, compile=True, **changes)))
            compiled.append(counters["stats"]["unique_graphs"] - before)
    # The first also learns that batches differ in size.
    assert compiled[0] > compiled[1] == compiled[2] == compiled[3] > 0


def _with_dropout(forward: Any) -> Any:
    def dropped(self: Any, images: Tensor) -> Any:
        return forward(self, torch.nn.functional.dropout(images, 0.3, self.training))

    return dropped


def test_on_a_gpu_a_network_s_own_randomness_is_that_of_the_trial_s_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    current, seeded, restored = [0], [], []

    @contextmanager
    def on(device: torch.device) -> Iterator[None]:
        before, current[0] = current[0], device.index
        yield
        current[0] = before

    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "manual_seed", lambda key: seeded.append((current[0], key)))
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: f"state of {device}")
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: restored.append((state, device)))
    device = torch.device("cuda:1")
    with _network_stream(device, seed=3, epoch=2, rank=0):
        assert torch.initial_seed() == derive(3, "network", 2, 0)
    assert seeded == [(1, derive(3, "network", 2, 0))]
    assert restored == [("state of cuda:1", device)]


def test_on_a_gpu_the_peak_memory_is_without_the_teacher_s_training(
    tiny: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    cpu_dataset = held_dataset(tiny().data, torch.device("cpu"))
    monkeypatch.setattr(Dataset, "device", property(lambda _: torch.device("cuda")))
    monkeypatch.setattr("cktf.trial.run.held_dataset", lambda *_: cpu_dataset)
    monkeypatch.setattr("cktf.trial.run.load_teacher", lambda *_, **__: calls.append("teacher"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: calls.append("reset"))
    monkeypatch.setattr("cktf.trainer.train.assemble", Mock(side_effect=RuntimeError("far enough")))
    with pytest.raises(RuntimeError, match="far enough"):
        next(run_trial(tiny(), device=torch.device("cuda")))
    assert calls == ["teacher", "reset"]


def test_a_finished_trial_yields_its_history_again_and_trains_nothing(tiny: MakeTrial, tmp_path: Path) -> None:
    run = Storage(tmp_path)
    config = tiny(epochs=1)
    (first,) = run_trial(config, run=run)
    (again,) = run_trial(config, run=run)
    assert again == replace(first, checkpoint_seconds=0), "wall times included: nothing was trained"


def test_the_same_seed_gives_the_same_results_and_another_seed_others(tiny: MakeTrial) -> None:
    config = tiny(epochs=1)
    (one,), (same,), (other,) = (figures(run_trial(each)) for each in (config, config, config.with_seed(1)))
    assert one == same
    assert one["train_loss"] != other["train_loss"]


def test_global_randomness_is_neither_read_nor_moved(tiny: MakeTrial) -> None:
    config = tiny(epochs=1)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = figures(run_trial(config))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert figures(run_trial(config)) == one


def test_an_objective_that_cannot_matter_leaves_the_student_alone(tiny: MakeTrial) -> None:
    # Paired by construction: a term of vanishing weight draws numbers of its own and shifts nobody else's.
    alone = list(run_trial(tiny(objective={"cross_entropy": {}}, epochs=1)))
    beside = list(run_trial(tiny(objective={"cross_entropy": {}, "crd": {"weight": 1e-30, "negatives": 32}}, epochs=1)))
    assert beside[0].validation_loss == pytest.approx(alone[0].validation_loss, rel=1e-6)
    assert beside[0].train_accuracy == alone[0].train_accuracy


def test_a_loss_that_is_not_finite_fails_the_trial_and_leaves_no_checkpoint_of_it(
    tiny: MakeTrial, tmp_path: Path
) -> None:
    run = Storage(tmp_path)
    config = tiny(optimizer={"learning_rate": 1e18, "momentum": 0.0}, epochs=5)
    with pytest.raises(TrainingFailed, match=r"loss is (nan|inf) (in|after) epoch \d"):
        list(run_trial(config, run=run))
    checkpoint = load_checkpoint(trial_storage(run, config.trial_id))
    assert checkpoint is None or all(tensor.isfinite().all() for tensor in checkpoint.student.values())


def test_a_last_step_that_destroys_the_student_fails_the_trial(tiny: MakeTrial) -> None:
    # One batch, so that the training loss was taken before the only step.
    config = tiny(
        objective={"cross_entropy": {}}, teacher=None, batch_size=1000, epochs=1, optimizer={"learning_rate": 1e30}
    )
    with pytest.raises(TrainingFailed, match="the validation loss is nan after epoch 1"):
        list(run_trial(config))


def test_the_finished_student_s_weights_are_those_of_the_checkpoint(tiny: MakeTrial, tmp_path: Path) -> None:
    config = tiny(epochs=1)
    list(run_trial(config, run=Storage(tmp_path)))
    weights = load_file(tmp_path / "trials" / config.trial_id / "student.safetensors")
    checkpoint = load_checkpoint(trial_storage(Storage(tmp_path), config.trial_id))
    assert checkpoint is not None
    assert weights.keys() == checkpoint.student.keys()
    assert all(torch.equal(weights[name], checkpoint.student[name]) for name in weights)


def test_the_terms_of_every_objective_are_in_the_result(tiny: MakeTrial) -> None:
    (result,) = run_trial(tiny(epochs=1))
    assert any(name.startswith("cktf.") for name in result.terms)
    assert any(name.startswith("cross_entropy") for name in result.terms)
    assert all(math.isfinite(value) for value in result.terms.values())
