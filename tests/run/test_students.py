"""Students taken out of a run, as modules and as files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import cktf
from cktf import models
from cktf.data import load_dataset
from cktf.errors import InputError, UserError
from cktf.rows import EpochRow, PlannedRow
from cktf.run.ledger import read_ledger
from cktf.run.students import export_student
from cktf.storage import Storage
from cktf.study.load import Study
from tests.kinds import MakeSpec
from tests.runs import rows_of

pytestmark = pytest.mark.usefixtures("plain_registries")

NETWORK = """\
from torch import nn
MODELS = {"mine": lambda classes, channels: nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, classes))}
"""


@pytest.fixture(scope="module")
def run(make_spec: MakeSpec, train_without_ray: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of two arms at one seed, of which one alone is stored."""
    place = tmp_path_factory.mktemp("students") / "run"
    train_without_ray(make_spec(seeds=1), Storage(place))
    (student,) = [path for path in place.glob("trials/*/student.safetensors") if "momentum=0" in trial_of(place, path)]
    student.unlink()
    return str(place)


def trial_of(place: Path, student: Path) -> str:
    rows = [row for row in rows_of(str(place), PlannedRow) if row.trial_id == student.parent.name]
    return f"{rows[0].arm}"


def accuracy(student: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    return 100 * float((student(images).argmax(1) == labels).float().mean())


def test_a_loaded_student_scores_what_the_ledger_says(run: str) -> None:
    student = cktf.load_student(run, arm="baseline", seed=0)
    about, dataset = student.about, load_dataset(student.about.config.data)
    last = [row for row in read_ledger(Storage(run)) if isinstance(row, EpochRow)]
    tested = next(row.test_accuracy for row in reversed(last) if row.trial_id == about.config.trial_id)
    assert accuracy(student, dataset.test_images, dataset.test_labels) == pytest.approx(tested, abs=1e-4)
    as_floats = dataset.test_images.float() / 255
    assert torch.allclose(student(as_floats), student(dataset.test_images), atol=1e-4)
    assert (about.study, about.image_shape, about.num_classes) == ("tiny", (1, 8, 8), 10)
    assert about.class_names == tuple("0123456789")
    assert not student.training


def test_the_file_alone_says_all_that_is_needed(run: str) -> None:
    (path,) = Path(run).glob("trials/*/student.safetensors")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert (metadata["format"], metadata["model"], metadata["num_classes"]) == ("pt", "resnet5", "10")
    assert metadata["trial_id"] == path.parent.name
    images = torch.zeros(2, 1, 8, 8)
    of_run, of_file = cktf.load_student(run, trial=path.parent.name[:6]), cktf.load_student(path)
    assert torch.equal(of_file(images), of_run(images))
    assert of_file.about == of_run.about


def test_a_student_that_is_not_stored_is_named_with_those_that_are(run: str) -> None:
    with pytest.raises(InputError, match=r"momentum=0, seed 0, is not stored; 'keep:' .* these are: baseline seed 0"):
        cktf.load_student(run, arm="momentum=0", seed=0)
    with pytest.raises(UserError, match="there is no such file"):
        cktf.load_student(f"{run}/none.safetensors")


def test_a_file_in_the_root_folder_is_not_looked_for_in_the_present_one(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = Path(run).glob("trials/*/student.safetensors")
    monkeypatch.chdir(path.parent)
    assert cktf.load_student(path.name).about.num_classes == 10
    with pytest.raises(UserError, match=f"/{path.name}: there is no such file"):
        cktf.load_student(f"/{path.name}")


def test_a_file_that_is_damaged_or_no_student_s_is_refused(run: str, tmp_path: Path) -> None:
    (path,) = Path(run).glob("trials/*/student.safetensors")
    bare, damaged = tmp_path / "bare.safetensors", tmp_path / "damaged.safetensors"
    save_file(load_file(path), bare, {"config": "{}"})  # as some other programs do
    damaged.write_bytes(path.read_bytes()[:-1])
    (garbage := tmp_path / "garbage.safetensors").write_bytes(b"garbage")
    with pytest.raises(InputError, match="it is no file of a stored student"):
        cktf.load_student(bare)
    for file in (damaged, garbage):
        with pytest.raises(InputError, match=rf"{file.name}: it is no whole file of weights"):
            cktf.load_student(file)


def test_a_plug_in_s_network_comes_with_its_run_and_is_missed_without(
    train_without_ray: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "nets.py").write_text(NETWORK)
    baseline = {
        "data": {"name": "digits"},
        "objective": {"cross_entropy": {}},
        "epochs": 1,
        "student": {"model": "mine"},
    }
    study = Study(baseline=baseline, ablate={"optimizer.momentum": [0]}, seeds=1, plugins=[str(tmp_path / "nets.py")])
    train_without_ray(study, Storage(tmp_path / "run"))
    models.MODELS.pop("mine")
    path = next((tmp_path / "run").glob("trials/*/student.safetensors"))
    with pytest.raises(InputError, match=r"unknown model 'mine'.*name the run instead of a file"):
        cktf.load_student(path)
    said = export_student(str(tmp_path / "run"), "torch", str(tmp_path / "out.pt"), arm="baseline", seed=0)
    assert "# with the plug-in nets.py" in said
    assert torch.load(tmp_path / "out.pt")["1.weight"].shape == (10, 64)
    export_student(str(tmp_path / "run"), "torchscript", str(tmp_path / "out.ts"), arm="baseline", seed=0)
    assert (tmp_path / "out.ts").is_file()
