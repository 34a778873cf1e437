"""CIFAR-10 and CIFAR-100 from files in their true format."""

import hashlib
import json
import os
import pickle
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cktf.data import DataConfig, DatasetMissing, load_dataset
from cktf.data.files.published import CIFAR10, CIFAR100, Published
from cktf.data.sets import cifar


@pytest.fixture
def root(tmp_path: Path, generated: Path) -> Path:
    """Return a folder with generated files that a test may damage."""
    shutil.copytree(generated / "cifar-10-batches-py", tmp_path / "root" / "cifar-10-batches-py")
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("name", "train_files", "test_file", "labels"),
    [
        ("cifar10", [f"cifar-10-batches-py/data_batch_{n}" for n in range(1, 6)], "test_batch", "labels"),
        ("cifar100", ["cifar-100-python/train"], "test", "fine_labels"),
    ],
)
def test_the_batches_are_read_channel_by_channel(
    generated: Path, name: str, train_files: list[str], test_file: str, labels: str
) -> None:
    dataset = load_dataset(DataConfig(name=name, root=str(generated), verify=False))
    train = [pickle.loads((generated / file).read_bytes()) for file in train_files]
    test = pickle.loads((generated / train_files[0]).with_name(test_file).read_bytes())
    # A row of the file holds the red plane, then the green, then the blue.
    expected = np.concatenate([batch["data"] for batch in train]).reshape(-1, 3, 32, 32)
    assert np.array_equal(dataset.train_images, expected)
    assert np.array_equal(dataset.test_images, test["data"].reshape(-1, 3, 32, 32))
    assert dataset.train_labels.tolist() == [label for batch in train for label in batch[labels]]
    assert dataset.test_labels.tolist() == test[labels]
    assert dataset.train_images.is_contiguous()
    assert (dataset.train_images.dtype, dataset.train_labels.dtype) == (torch.uint8, torch.int64)


def test_a_missing_data_set_says_where_it_was_looked_for_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing) as caught:
        load_dataset(DataConfig(name="cifar100", root=str(tmp_path)))
    message = str(caught.value)
    assert str(tmp_path / "cifar-100-python") in message
    assert "data.download: true" in message
    assert "cifar-100-python.tar.gz" in message
    assert "download=True" not in message, "torchvision's own argument is of no use to the reader of a study"


def test_every_file_must_have_its_published_checksum(root: Path) -> None:
    path = root / "cifar-10-batches-py" / "data_batch_1"
    with pytest.raises(ValueError, match=f"{path} is damaged, or of another .* MD5 sum is .*data.verify: false"):
        load_dataset(DataConfig(name="cifar10", root=str(root)))


def test_checksums_that_lie_beside_the_files_are_not_believed(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}  # noqa: S324
    (folder / "generated.json").write_text(json.dumps(sums))
    with pytest.raises(ValueError, match="data_batch_1 is damaged, or of another"):
        load_dataset(DataConfig(name="cifar10", root=str(root)))


class Payload:
    """Makes a file where it is unpickled by Python's own reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        """Name the function that makes it."""
        return os.mknod, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("verify", [False, True])
def test_no_code_in_a_batch_is_run(root: Path, monkeypatch: pytest.MonkeyPatch, verify: bool, protocol: int) -> None:
    path = root / "cifar-10-batches-py" / "data_batch_2"
    batch = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps({**batch, "more": Payload(root / "run")}, protocol=protocol))
    monkeypatch.setattr(cifar, "CIFAR10", published(root, CIFAR10))
    with pytest.raises(ValueError, match=f"{path} is not read: it is a pickle that asks for 'posix.mknod'"):
        load_dataset(DataConfig(name="cifar10", root=str(root), verify=verify))
    assert not (root / "run").exists()


@pytest.mark.parametrize("protocol", range(6))
def test_look_alikes_of_any_version_are_read(root: Path, protocol: int) -> None:
    before = load_dataset(DataConfig(name="cifar10", root=str(root), verify=False))
    for path in (root / "cifar-10-batches-py").glob("*_batch*"):
        batch = pickle.loads(path.read_bytes())
        again = {b"data": np.asfortranarray(batch["data"]), b"labels": np.array(batch["labels"])}
        path.write_bytes(pickle.dumps(again, protocol=protocol))
    after = load_dataset(DataConfig(name="cifar10", root=str(root), verify=False))
    assert torch.equal(after.train_images, before.train_images)
    assert torch.equal(after.train_labels, before.train_labels)
    assert torch.equal(after.test_labels, before.test_labels)


@pytest.mark.parametrize(
    "change",
    [
        {"data": np.zeros((40, 3071), dtype=np.uint8)},
        {"data": np.zeros((40, 3072))},
        {"data": [1, 2]},
        {"data": None},
        {"labels": [10] * 40},
        {"labels": [-1] * 40},
        {"labels": [2**70] * 40},
        {"labels": [1]},
        {"labels": [[1], [1, 2]] * 20},
        {"labels": ["1"] * 40},
        {"labels": None},
    ],
)
def test_a_batch_of_another_shape_is_refused(root: Path, change: dict[str, object]) -> None:
    path = root / "cifar-10-batches-py" / "data_batch_4"
    path.write_bytes(pickle.dumps({**pickle.loads(path.read_bytes()), **change}))
    said = (
        "is no batch of this data set: it needs 'data', rows of 3072 .* and 'labels', as many whole numbers from 0 to 9"
    )
    with pytest.raises(ValueError, match=f"{path} {said}"):
        load_dataset(DataConfig(name="cifar10", root=str(root), verify=False))


def test_a_batch_without_labels_is_refused(root: Path) -> None:
    path = root / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(pickle.dumps({"data": np.zeros((1, 3072), dtype=np.uint8)}))
    with pytest.raises(ValueError, match=f"{path} is no batch of this data set"):
        load_dataset(DataConfig(name="cifar10", root=str(root), verify=False))


def test_the_unpacked_folder_itself_may_be_named(root: Path) -> None:
    dataset = load_dataset(DataConfig(name="cifar10", root=str(root / "cifar-10-batches-py"), verify=False))
    assert len(dataset.train_images) == 200


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("data/train-00000.parquet", "Parquet files by data.name: huggingface"),
        ("cifar-100-python.tar.gz", "as unpacked from cifar-100-python.tar.gz, with all of train, test"),
        ("cifar-100-python/test", "with all of train, test"),
    ],
)
def test_what_is_there_instead_is_said(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(DatasetMissing, match=said):
        load_dataset(DataConfig(name="cifar100", root=str(tmp_path)))


def test_a_pipe_and_a_device_are_no_files(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("nowhere")):
        (folder / "data_batch_5").unlink()
        make(folder / "data_batch_5")
        with pytest.raises(DatasetMissing, match="cifar10 is not there"):
            load_dataset(DataConfig(name="cifar10", root=str(root), verify=False))


def test_files_that_are_not_verified_are_known_by_their_bytes(root: Path) -> None:
    settings = DataConfig(name="cifar10", root=str(root), verify=False)
    planned = settings.with_content()
    assert planned.content
    load_dataset(planned)
    path = root / "cifar-10-batches-py" / "test_batch"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    assert settings.with_content().content != planned.content
    with pytest.raises(ValueError, match="does not hold the images that were asked for"):
        load_dataset(planned)
    assert DataConfig(name="cifar10", root=str(root)).with_content().content is None


def published(root: Path, of: Published) -> Published:
    """Return the data set as it would be published if its files were these."""
    files = {name: root / of.folder / name for name in of.sums}
    sums = {name: hashlib.md5(path.read_bytes()).hexdigest() for name, path in files.items()}  # noqa: S324
    return replace(of, sums=sums)


def test_a_download_is_unpacked_below_the_folder_once(
    tmp_path: Path, root: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = root / "cifar-10-batches-py"
    archive = mirror[0] / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(source, source.name)
    checksum = hashlib.md5(archive.read_bytes()).hexdigest()  # noqa: S324
    served = replace(published(root, CIFAR10), url=f"{mirror[1]}/{archive.name}", md5=checksum)
    monkeypatch.setattr(cifar, "CIFAR10", served)
    config = DataConfig(name="cifar10", root=str(tmp_path / "data"), download=True)
    assert len(load_dataset(config).train_images) == 200
    archive.unlink()
    (tmp_path / "data" / archive.name).unlink()
    assert len(load_dataset(config).train_images) == 200


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_binary_version_is_the_same_data_set(tmp_path: Path, generated: Path, name: str) -> None:
    before = load_dataset(DataConfig(name=name, root=str(generated), verify=False))
    folder = tmp_path / ("cifar-10-batches-bin" if name == "cifar10" else "cifar-100-binary")
    folder.mkdir()
    source = generated / ("cifar-10-batches-py" if name == "cifar10" else "cifar-100-python")
    for path in (source / name for name in (CIFAR10 if name == "cifar10" else CIFAR100).sums):
        batch = pickle.loads(path.read_bytes())
        keys = ("labels",) if name == "cifar10" else ("coarse_labels", "fine_labels")
        labels = [np.array(batch[key], dtype=np.uint8)[:, None] for key in keys]
        (folder / f"{path.name}.bin").write_bytes(np.concatenate([*labels, batch["data"]], axis=1).tobytes())
    config = DataConfig(name=name, root=str(tmp_path), verify=False).with_content()
    assert config.content
    for settings in (config, config.model_copy(update={"root": str(folder)})):
        after = load_dataset(settings)
        assert torch.equal(after.train_images, before.train_images)
        assert torch.equal(after.train_labels, before.train_labels)
        assert torch.equal(after.test_images, before.test_images)
        assert torch.equal(after.test_labels, before.test_labels)
        assert after.train_images.is_contiguous()
    with pytest.raises(DatasetMissing, match=r"With data\.verify: false the binary version is read"):
        load_dataset(DataConfig(name=name, root=str(tmp_path)))
    path = next(folder.glob("test*.bin"))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=f"{path} has {len(content) - 1} bytes; each image of it has 307"):
        load_dataset(config.model_copy(update={"content": None}))
    path.write_bytes(b"\xff" * len(content))
    with pytest.raises(ValueError, match=f"{path} holds labels up to 255; they must be 0 to"):
        load_dataset(config.model_copy(update={"content": None}))
