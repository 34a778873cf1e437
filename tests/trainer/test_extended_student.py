"""A student with layers of an objective (SimKD's): it is trained, evaluated, stored and resumed with them."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from cktf.data import evaluation_batches, split
from cktf.models import build_model
from cktf.storage import Storage
from cktf.trainer.assembly import assemble
from cktf.trainer.evaluate import evaluate
from cktf.trainer.health import HealthConfig
from cktf.trainer.stored_student import AboutStudent, student_of
from cktf.trainer.train import TrainOptions
from cktf.trial.held_data import held_dataset
from cktf.trial.run import run_trial
from cktf.trial.teachers import load_teacher
from tests.kinds import MakeTrial
from tests.trainer.interrupted import figures, killed

CPU = torch.device("cpu")


def test_the_projected_student_is_evaluated_and_stored_with_the_teacher_s_classifier(
    tiny: MakeTrial, tmp_path: Path
) -> None:
    config = tiny(objective={"cross_entropy": {"weight": 0}, "simkd": {}}, epochs=2)
    *_, last = run_trial(config, run=Storage(tmp_path))
    weights = load_file(tmp_path / "trials" / config.trial_id / "student.safetensors")
    dataset = held_dataset(config.data, CPU)
    teacher = load_teacher(config.teacher, config.data, CPU, Storage(tmp_path), shown=dataset.constants)
    assert isinstance(teacher.fc, nn.Linear)
    assert torch.equal(weights["classifier.weight"], teacher.fc.weight)
    assert torch.equal(weights["classifier.bias"], teacher.fc.bias)
    parts = split(dataset.train_labels, config.data, config.seed)
    network, _, (main,) = assemble(config, dataset, parts, teacher)
    assert main.student is network
    network.load_state_dict(weights)
    found = evaluate(network, evaluation_batches(dataset, parts.validation_index))
    assert (found.accuracy, found.loss) == (last.validation_accuracy, last.validation_loss)
    assert last.terms.keys() == {"simkd.projection"}
    content = (tmp_path / "trials" / config.trial_id / "student.safetensors").read_bytes()
    about = AboutStudent.read(content)
    assert about is not None
    student, (images, _) = student_of(content, about), next(evaluation_batches(dataset, "test"))
    assert torch.allclose(student(dataset.test_images[: len(images)]), network.eval()(images).logits, atol=1e-5)


def test_its_initial_student_is_that_of_the_other_arms(tiny: MakeTrial) -> None:
    dataset = held_dataset(tiny().data, CPU)
    parts = split(dataset.train_labels, tiny().data, 0)
    teacher = build_model("resnet8", 10, dataset.image_shape).requires_grad_(False).eval()
    objectives: list[dict[str, Any]] = [{"cross_entropy": {}, "kd": {}}, {"simkd": {}}]
    alone, projected = (
        assemble(tiny(objective=objective), dataset, parts, teacher)[0].state_dict() for objective in objectives
    )
    assert all(torch.equal(projected[f"student.{name}"], value) for name, value in alone.items())


def test_a_trial_that_is_resumed_or_measured_is_bit_equal(tiny: MakeTrial, tmp_path: Path) -> None:
    config = tiny(objective={"cross_entropy": {}, "simkd": {}, "catkd": {}}, epochs=2)
    whole = figures(run_trial(config))
    killed(config, Storage(tmp_path))
    assert figures(run_trial(config, run=Storage(tmp_path))) == whole
    measured = figures(run_trial(config, TrainOptions(health=HealthConfig(every=1))))
    health = [row.pop("health") for row in measured]
    assert measured == [{key: value for key, value in row.items() if key != "health"} for row in whole]
    assert {"gradient.simkd.projection", "gradient.catkd.maps", "agreement"} <= health[-1].keys()


def test_an_epoch_is_told_to_objectives_from_one_on(tiny: MakeTrial) -> None:
    config = tiny(objective={"dkd": {"warmup_epochs": 2, "alpha": 0}}, optimizer={"learning_rate": 1e-9}, epochs=3)
    first, second, third = (result.terms["dkd.others"] for result in run_trial(config))
    assert 0.4 < first / second < 0.6
    assert 0.8 < third / second < 1.2


def test_the_methods_of_newer_tables_train_together(tiny: MakeTrial) -> None:
    names = ("kd", "dkd", "dist", "ofd", "reviewkd", "simkd", "catkd")
    (result,) = run_trial(tiny(objective={name: {} for name in names}, epochs=1, student={"model": "wrn_16_1"}))
    assert {term.partition(".")[0] for term in result.terms} == {*names}
