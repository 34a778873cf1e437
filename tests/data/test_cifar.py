"""CIFAR-10 and CIFAR-100 from files in their true format."""

import hashlib
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from cktf.data import DataConfig, DatasetMissing, load_dataset

SAMPLES_OF_A_FILE = 6
CLASSES = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}
LABELS = {"cifar10": "labels", "cifar100": "fine_labels"}


def write_files(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Write the pickled batches and tell torchvision their checksums, instead of those of the real files."""
    torchvision_class = CLASSES[name]
    folder = root / torchvision_class.base_folder
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    batches: dict[str, dict[str, Any]] = {}
    for attribute in ("train_list", "test_list"):
        checksums = []
        for file, _ in getattr(torchvision_class, attribute):
            batches[file] = {
                "data": generator.integers(256, size=(SAMPLES_OF_A_FILE, 3 * 32 * 32), dtype=np.uint8),
                LABELS[name]: generator.integers(10, size=SAMPLES_OF_A_FILE).tolist(),
            }
            checksums.append([file, write_pickle(folder / file, batches[file])])
        monkeypatch.setattr(torchvision_class, attribute, checksums)
    meta = torchvision_class.meta
    checksum = write_pickle(folder / meta["filename"], {meta["key"]: [str(number) for number in range(10)]})
    monkeypatch.setattr(torchvision_class, "meta", {**meta, "md5": checksum})
    return batches


def write_pickle(path: Path, content: dict[str, Any]) -> str:
    path.write_bytes(pickle.dumps(content, protocol=2))
    return hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324


@pytest.mark.parametrize(("name", "num_classes"), [("cifar10", 10), ("cifar100", 100)])
def test_the_batches_are_read_channel_by_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, num_classes: int
) -> None:
    batches = write_files(tmp_path, name, monkeypatch)
    dataset = load_dataset(DataConfig(name=name, root=str(tmp_path)))
    train = [batch for file, batch in batches.items() if "test" not in file]
    (test,) = (batch for file, batch in batches.items() if "test" in file)
    # A row of the file holds the red plane, then the green, then the blue.
    expected = np.concatenate([batch["data"] for batch in train]).reshape(-1, 3, 32, 32)
    assert np.array_equal(dataset.train_images, expected)
    assert np.array_equal(dataset.test_images, test["data"].reshape(-1, 3, 32, 32))
    assert dataset.train_labels.tolist() == [label for batch in train for label in batch[LABELS[name]]]
    assert dataset.test_labels.tolist() == test[LABELS[name]]
    assert dataset.train_images.is_contiguous()
    assert (dataset.train_images.dtype, dataset.train_labels.dtype) == (torch.uint8, torch.int64)
    assert dataset.num_classes == num_classes
    assert dataset.mean.shape == dataset.std.shape == (3,)


def test_a_missing_data_set_says_where_it_was_looked_for_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing) as caught:
        load_dataset(DataConfig(name="cifar100", root=str(tmp_path)))
    message = str(caught.value)
    assert str(tmp_path / "cifar-100-python") in message
    assert "data.download: true" in message
    assert "cifar-100-python.tar.gz" in message
    assert "download=True" not in message, "torchvision's own argument is of no use to the reader of a study"


def test_a_damaged_batch_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, "cifar10", monkeypatch)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DatasetMissing, match="corrupted"):
        load_dataset(DataConfig(name="cifar10", root=str(tmp_path)))


def test_a_download_is_unpacked_below_the_folder(
    tmp_path: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path / "source", "cifar10", monkeypatch)
    archive = mirror[0] / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(tmp_path / "source" / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{mirror[1]}/{archive.name}")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())  # noqa: S324
    dataset = load_dataset(DataConfig(name="cifar10", root=str(tmp_path / "data"), download=True))
    assert len(dataset.train_images) == 5 * SAMPLES_OF_A_FILE
