"""CIFAR-10 and CIFAR-100 from files in their true format."""

import hashlib
import json
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from cktf.data import DataConfig, DatasetMissing, load_dataset


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
    dataset = load_dataset(DataConfig(name=name, root=str(generated)))
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


def test_a_damaged_batch_is_not_read(root: Path) -> None:
    path = root / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetMissing, match="corrupted"):
        load_dataset(DataConfig(name="cifar10", root=str(root)))


def test_files_without_checksums_of_their_own_must_have_the_published_ones(root: Path) -> None:
    (root / "cifar-10-batches-py" / "generated.json").unlink()
    with pytest.raises(DatasetMissing, match="corrupted"):
        load_dataset(DataConfig(name="cifar10", root=str(root)))


def test_a_damaged_list_of_checksums_is_named(root: Path) -> None:
    path = root / "cifar-10-batches-py" / "generated.json"
    path.write_text('{"data_batch_1": "0"}')
    with pytest.raises(ValueError, match=f"{path} is damaged: KeyError"):
        load_dataset(DataConfig(name="cifar10", root=str(root)))


def test_generated_files_are_not_replaced_by_a_download(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/")  # nobody listens
    assert len(load_dataset(DataConfig(name="cifar10", root=str(root), download=True)).train_images) == 200


def test_a_download_is_unpacked_below_the_folder(
    tmp_path: Path, root: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = root / "cifar-10-batches-py"
    published = json.loads((source / "generated.json").read_text())
    (source / "generated.json").unlink()
    archive = mirror[0] / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(source, source.name)
    for part in ("train_list", "test_list"):
        names = [name for name, _ in getattr(datasets.CIFAR10, part)]
        monkeypatch.setattr(datasets.CIFAR10, part, [[name, published[name]] for name in names])
    monkeypatch.setitem(datasets.CIFAR10.meta, "md5", published["batches.meta"])
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{mirror[1]}/{archive.name}")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())  # noqa: S324
    dataset = load_dataset(DataConfig(name="cifar10", root=str(tmp_path / "data"), download=True))
    assert len(dataset.train_images) == 200
