"""STL-10 from its binary files."""

import shutil
from pathlib import Path

import pytest
import torch
from torchvision import datasets
from torchvision.transforms import functional

from cktf.data import Augmentation, DataConfig, Dataset, DatasetMissing, load_dataset


@pytest.fixture
def folder(tmp_path: Path, generated: Path) -> Path:
    """Return generated files that a test may damage."""
    return shutil.copytree(generated / "stl10_binary", tmp_path / "stl10_binary")


def load(root: Path, **settings: object) -> Dataset:
    return load_dataset(DataConfig.model_validate({"name": "stl10", "root": str(root), **settings}))


def test_the_files_are_read_as_torchvision_reads_them(
    generated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.STL10, "_check_integrity", lambda _: True)  # it knows the real files alone
    dataset = load(generated)
    train, test, unlabelled = (
        datasets.STL10(generated, split=part) for part in ("train", "test", "unlabeled")
    )
    for images, theirs in (
        (dataset.train_images, train),
        (dataset.test_images, test),
        (dataset.unlabelled_images, unlabelled),
    ):
        assert torch.equal(images, torch.from_numpy(theirs.data))
    assert dataset.train_labels.tolist() == train.labels.tolist()
    assert dataset.test_labels.tolist() == test.labels.tolist()
    assert dataset.train_labels.dtype == torch.int64


def test_a_file_holds_its_images_column_by_column(generated: Path) -> None:
    pixels = (generated / "stl10_binary" / "test_X.bin").read_bytes()
    # Image 2, green (1), row 5, column 60.
    assert load(generated).test_images[2, 1, 5, 60] == pixels[2 * 3 * 96 * 96 + 1 * 96 * 96 + 60 * 96 + 5]


def test_the_papers_side_is_half_of_what_is_scaled_with_antialiasing(generated: Path) -> None:
    whole, scaled = load(generated), load(generated, side=64)
    for images, expected in (
        (scaled.train_images, whole.train_images),
        (scaled.unlabelled_images, whole.unlabelled_images),
    ):
        assert images is not None
        assert images.shape[1:] == (3, 64, 64)
        reference = functional.resize(expected.float(), [64, 64], antialias=True)
        assert (images - reference).abs().max() < 1.01  # rounded after rows and again after columns


def test_the_papers_augmentation_is_the_standard(generated: Path) -> None:
    assert load(generated).standard_augmentation == Augmentation(crop=0, flip=True, resized_crop=True)


def test_the_folder_of_the_files_itself_may_be_named(generated: Path) -> None:
    assert len(load(generated / "stl10_binary").train_images) == 200


def test_one_file_of_five_missing_is_a_missing_data_set(folder: Path) -> None:
    (folder / "unlabeled_X.bin").unlink()
    with pytest.raises(DatasetMissing) as caught:
        load(folder.parent)
    message = str(caught.value)
    assert str(folder) in message
    assert "data.download: true" in message
    assert "stl10_binary.tar.gz" in message


@pytest.mark.parametrize("name", ["train_X.bin", "test_y.bin", "unlabeled_X.bin"])
def test_a_damaged_file_is_named(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{path} is damaged: its checksum is not the published one"):
        load(folder.parent)


def test_files_without_checksums_of_their_own_must_have_the_published_ones(folder: Path) -> None:
    (folder / "generated.json").unlink()
    with pytest.raises(ValueError, match=r"train_X\.bin is damaged: its checksum is not the published one"):
        load(folder.parent)


def test_a_download_that_fails_is_a_missing_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(datasets.STL10, "url", "http://127.0.0.1:9/stl10_binary.tar.gz")  # nobody listens
    with pytest.raises(DatasetMissing, match="the download failed"):
        load(tmp_path / "data", download=True)
