"""Students as files of other programs: read back by these programs alone, their logits are the student's."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from cktf.data import load_dataset
from cktf.errors import InputError
from cktf.trainer.assembly import built_student
from cktf.trainer.config import TrialConfig
from cktf.trainer.stored_student import AboutStudent, Student, student_of
from cktf.trial import formats
from cktf.trial.formats import write_student


def student(model: str = "resnet5", **changes: Any) -> Student:
    """Return a student of random weights for small images, as its file gives it."""
    values = {"data": {"name": "cifar10", "generated": True}, "student": {"model": model}}
    config = TrialConfig.model_validate({**values, "objective": {"cross_entropy": {}}, **changes})
    dataset = load_dataset(config.data)
    plain, probe, _ = built_student(config, dataset.image_shape, (10, 10), torch.zeros(0, dtype=torch.int64), None)
    network = probe or plain
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.fill_(0.1)  # as no new network has them
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return student_of(save(weights), AboutStudent.of(config, dataset, 10))


IMAGES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_torchscript_needs_nothing_of_this_package(tmp_path: Path) -> None:
    path, own = tmp_path / "x.torchscript", student()
    assert str(path) in write_student(own, "torchscript", path)
    with pytest.warns(FutureWarning, match="deprecated"):
        loaded = torch.jit.load(path)  # type: ignore[no-untyped-call]
    assert torch.allclose(loaded(IMAGES), own(IMAGES), atol=1e-5)
    as_stored = (255 * IMAGES).round().to(torch.uint8)
    assert torch.allclose(loaded(as_stored), own(as_stored / 255), atol=1e-5)


@pytest.mark.parametrize("model", ["resnet5", "torchvision/shufflenet_v2_x0_5", "timm/resnet10t"])
def test_the_program_that_is_told_loads_a_state_dict_into_the_library_s_own_network(model: str, tmp_path: Path) -> None:
    if model.startswith("timm"):
        pytest.importorskip("timm")
    path, own = tmp_path / "x.pt", student(model)
    scope: dict[str, Any] = {"images": IMAGES}
    exec(write_student(own, "torch", path), scope)  # noqa: S102
    assert not type(scope["network"]).__module__.startswith("cktf") or model == "resnet5"
    assert torch.allclose(scope["logits"], own(IMAGES), atol=1e-5)


def test_a_state_dict_of_a_narrower_network_is_loaded_by_the_program_that_is_told(tmp_path: Path) -> None:
    own, scope = student(student={"model": "resnet8", "width": 0.5}), {"images": IMAGES}
    exec(write_student(own, "torch", tmp_path / "x.pt"), scope)  # noqa: S102
    assert torch.allclose(scope["logits"], own(IMAGES), atol=1e-5)


def test_a_network_of_torchvision_is_given_grey_images_as_it_was(tmp_path: Path) -> None:
    grey = {"data": {"name": "digits", "generated": True, "side": 32}}
    told = write_student(student("torchvision/shufflenet_v2_x0_5", **grey), "torch", tmp_path / "x.pt")
    assert "network(((images - mean) / std).expand(-1, 3, -1, -1))" in told


def test_onnx_runs_in_onnx_runtime_on_batches_of_any_size(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    path, own = tmp_path / "x.onnx", student()
    write_student(own, "onnx", path)
    session = runtime.InferenceSession(path)
    for count in (1, 4):
        (logits,) = session.run(None, {"images": IMAGES[:count].numpy()})
        assert np.allclose(logits, own(IMAGES[:count]), atol=1e-5)
    names = session.get_modelmeta().custom_metadata_map["class_names"]
    assert json.loads(names)[:2] == ["airplane", "automobile"]


def test_a_file_whose_outputs_differ_is_deleted_and_one_that_was_there_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(_: Student, path: Path) -> Any:
        path.write_bytes(b"else")
        return lambda images: torch.zeros(len(images), 10), ""

    monkeypatch.setitem(formats.FORMATS, "torchscript", wrong)
    with pytest.raises(InputError, match="logits of the file differ from the student's by"):
        write_student(student(), "torchscript", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    (tmp_path / "x").write_bytes(b"of another student")
    with pytest.raises(InputError):
        write_student(student(), "torchscript", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"of another student"


def test_a_probe_has_no_library_s_network(tmp_path: Path) -> None:
    transfer: dict[str, Any] = {
        "task": "transfer",
        "source": {"name": "cifar10", "generated": True},
        "teacher": {"model": "resnet5", "epochs": 1},
        "objective": {"cktf": {}},
        "probe": {"epochs": 1},
    }
    (tmp_path / "y").write_bytes(b"of another student")
    with pytest.raises(InputError, match="--to torch: this student has a probe"):
        write_student(student(**transfer), "torch", tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == b"of another student"
    write_student(student(**transfer), "torchscript", tmp_path / "x")
