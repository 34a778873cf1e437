"""Plug-ins beside the built-in parts: they may be named, are part of identities, and are kept to their contracts."""

from importlib import resources
from typing import Any

import pytest
import torch

from cktf.data import AugmentationConfig, TrainLoader, load_dataset
from cktf.data.augmentation.config import AUGMENTATIONS
from cktf.errors import InputError
from cktf.models import MODELS
from cktf.plugins import ORIGINS, Plugin, file_plugin
from cktf.trainer.config import TrialConfig
from cktf.trainer.registration import register
from cktf.trial.held_data import held_dataset
from cktf.trial.reading_files import batches_of, digest_of
from cktf.trial.run import run_trial

TRIAL: dict[str, Any] = {
    "data": {"name": "digits", "train_fraction": 0.1},
    "student": {"model": "resnet5"},
    "objective": {"cross_entropy": {}},
    "epochs": 1,
}


pytestmark = pytest.mark.usefixtures("plain_registries")


def template(kind: str, change: tuple[str, str] = ("", "")) -> Plugin:
    text = (resources.files("cktf.templates") / f"{kind}.py").read_text()
    return file_plugin(f"{kind}.py", text.replace(*change, 1).encode())


USES: dict[str, dict[str, Any]] = {
    "objective": {"objective": {"cross_entropy": {}, "directions": {"power": 1}}, "teacher": {"model": "resnet8"}},
    "model": {"student": {"model": "tiny"}},
    "dataset": {"data": {"name": "stripes"}},
    "augmentation": {"augmentation": {"erase": {"side": 3}}},
}
"""Kind of template to the settings that use what it has."""


@pytest.mark.parametrize("kind", USES)
def test_a_template_works_once_it_is_registered(kind: str) -> None:
    with pytest.raises(ValueError, match=r"unknown|[Ee]xtra"):
        TrialConfig.model_validate({**TRIAL, **USES[kind]})
    register([template(kind)])
    config = TrialConfig.model_validate({**TRIAL, **USES[kind], "teacher": None} | USES[kind])
    if config.teacher:
        config = config.model_copy(update={"teacher": config.teacher.model_copy(update={"epochs": 1})})
    (result,) = run_trial(config)
    assert result.validation_accuracy is not None
    if kind == "objective":
        assert result.terms["directions.cosines"] > 0


def test_a_data_set_can_be_learnt() -> None:
    register([template("dataset")])
    trial = {**TRIAL, "data": {"name": "stripes"}, "epochs": 2, "optimizer": {"learning_rate": 0.1}, "batch_size": 16}
    *_, last = run_trial(TrialConfig.model_validate(trial))
    assert last.validation_accuracy is not None
    assert last.validation_accuracy > 80


def test_settings_of_a_plugin_are_checked_like_any() -> None:
    register([template("objective"), template("augmentation")])
    with pytest.raises(ValueError, match=r"objective\.directions\.powr"):
        TrialConfig.model_validate({**TRIAL, "objective": {"directions": {"powr": 1}}})
    with pytest.raises(ValueError, match=r"augmentation\.erase\.side"):
        TrialConfig.model_validate({**TRIAL, "augmentation": {"erase": {"side": 0}}})


def test_an_augmentation_depends_on_seed_epoch_and_sample_alone() -> None:
    register([template("augmentation")])
    erase = AUGMENTATIONS["erase"]()
    images, index = torch.full((6, 1, 8, 8), 255, dtype=torch.uint8), torch.arange(6)
    changed = erase(images, index, seed=0, epoch=1)
    assert ((changed == 0).sum(dim=(1, 2, 3)) == 4).all()
    assert torch.equal(changed[3:], erase(images[3:], index[3:], seed=0, epoch=1))
    assert not torch.equal(changed, erase(images, index, seed=0, epoch=2))
    assert not torch.equal(changed, erase(images, index, seed=1, epoch=1))


@pytest.mark.parametrize("kind", USES)
def test_its_code_is_part_of_the_identity_of_trials_that_use_it_and_of_no_other(kind: str) -> None:
    plain = TrialConfig.model_validate(TRIAL)
    before = plain.trial_id, plain.arm_id
    ids = []
    for change in (("", ""), ('"""', '"""Anew. ')):
        register([template(kind, change)])
        uses = TrialConfig.model_validate({**TRIAL, **USES[kind]})
        ids += [uses.trial_id, uses.arm_id]
        other = TrialConfig.model_validate(TRIAL)
        assert (other.trial_id, other.arm_id) == before
    assert len({*ids, *before}) == 6


def test_what_was_loaded_by_replaced_code_is_loaded_anew() -> None:
    register([template("dataset")])
    data = TrialConfig.model_validate({**TRIAL, "data": {"name": "stripes"}}).data
    before = held_dataset(data, torch.device("cpu"))
    register([template("dataset")])
    assert held_dataset(data, torch.device("cpu")) is before
    register([template("dataset", ("_stripes(400,", "_stripes(300,"))])
    assert len(held_dataset(data, torch.device("cpu")).train_labels) == 300


def test_teacher_s_outputs_are_shared_by_batches_of_equal_augmentation_alone() -> None:
    register([template("augmentation")])
    data = load_dataset(TrialConfig.model_validate(TRIAL).data)
    names = set()
    for settings in ({}, {"erase": {"side": 2}}, {"erase": {"side": 3}}):
        augmentation = AugmentationConfig.model_validate(settings)
        names.add(digest_of(batches_of(TrainLoader(data, torch.arange(64), augmentation, batch_size=32, seed=0))))
    assert len(names) == 3


def test_a_teacher_s_network_is_part_of_the_identity_too() -> None:
    ids = set()
    for change in (("", ""), ('"""', '"""Anew. ')):
        register([template("model", change)])
        ids.add(TrialConfig.model_validate({**TRIAL, "teacher": {"model": "tiny"}}).trial_id)
    assert len(ids) == 2


def test_a_place_is_part_of_the_identity_of_a_plugin_s_data() -> None:
    register([template("dataset")])
    here, there = (TrialConfig.model_validate({**TRIAL, "data": {"name": "stripes", "root": place}}) for place in "ab")
    assert here.trial_id != there.trial_id
    assert load_dataset(here.data).num_classes == 2


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("MODELS = {'resnet8': lambda classes, channels: None}", "MODELS: 'resnet8' is the name of a built-in model"),
        ("MODELS = {'net': 3}", "MODELS: net: must be a function of the numbers of classes and of channels"),
        ("DATASETS = {'mine': 3}", "DATASETS: mine: must be a function of a cktf.data.DataPlace"),
        ("OBJECTIVES = {'mine': dict}", "OBJECTIVES: mine: must be a subclass of cktf.objectives.Objective"),
        (
            "from cktf.objectives import Objective\nclass A(Objective): Config = dict\nOBJECTIVES = {'mine': A}",
            "OBJECTIVES: mine: must be .* whose Config is a subclass of cktf.objectives.ObjectiveSettings",
        ),
        ("AUGMENTATIONS = {'mine': dict}", "AUGMENTATIONS: mine: must be a subclass of cktf.data.ImageChange"),
        ("AUGMENTATIONS = {'crop': dict}", "AUGMENTATIONS: 'crop' is the name of a built-in augmentation"),
    ],
)
def test_what_does_not_keep_to_its_contract_is_refused_and_nothing_is_registered(source: str, said: str) -> None:
    before = dict(MODELS), dict(ORIGINS)
    with pytest.raises(InputError, match=f"mine.py: {said}"):
        register([file_plugin("mine.py", source.encode())])
    assert before == (dict(MODELS), dict(ORIGINS))
