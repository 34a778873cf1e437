"""STL-10 from its binary files."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torchvision import datasets
from torchvision.transforms import functional

from cktf.data import Augmentation, DataConfig, Dataset, DatasetMissing, load_dataset
from cktf.data.files.published import STL10, Published
from cktf.data.sets import stl10


@pytest.fixture
def folder(tmp_path: Path, generated: Path) -> Path:
    """Return generated files that a test may damage."""
    return shutil.copytree(generated / "stl10_binary", tmp_path / "stl10_binary")


def load(root: Path, **settings: object) -> Dataset:
    values = {"name": "stl10", "root": str(root), "verify": False, **settings}
    return load_dataset(DataConfig.model_validate(values))


@pytest.fixture
def published(generated: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """Let the checksums of the generated files be the published ones."""
    files = {name: generated / "stl10_binary" / name for name in STL10.sums}
    sums = {name: hashlib.md5(path.read_bytes()).hexdigest() for name, path in files.items()}  # noqa: S324
    published = replace(STL10, sums=sums)
    monkeypatch.setattr(stl10, "STL10", published)
    return published


def test_the_files_are_read_as_torchvision_reads_them(generated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.STL10, "_check_integrity", lambda _: True)  # it knows the real files alone
    dataset = load(generated)
    train, test, unlabelled = (datasets.STL10(generated, split=part) for part in ("train", "test", "unlabeled"))
    for images, theirs in (
        (dataset.train_images, train),
        (dataset.test_images, test),
        (dataset.unlabelled_images, unlabelled),
    ):
        assert images is not None
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
        assert expected is not None
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
@pytest.mark.usefixtures("published")
def test_a_file_of_another_checksum_is_named(folder: Path, name: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    content[5] = content[5] % 9 + 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} is damaged, or of another .* its MD5 sum is .*verify: false"):
        load(folder.parent, verify=True)
    assert len(load(folder.parent).train_images) == 200
    with pytest.raises(ValueError, match=f"{path} is damaged, or of another"):
        load(folder.parent, verify=True)  # the stored pixels are those of files that are not verified


@pytest.mark.usefixtures("published")
def test_the_published_files_are_read(generated: Path) -> None:
    assert len(load(generated, verify=True).test_images) == 50


@pytest.mark.parametrize("name", ["train_X.bin", "test_X.bin"])
def test_a_part_of_an_image_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{path} is damaged: it has .* bytes, and each image 27648"):
        load(folder.parent)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=f"{path} is damaged: it has 0 bytes"):
        load(folder.parent)


@pytest.mark.parametrize(
    ("content", "said"), [(b"\x0b" * 50, "labels other than 1 to 10"), (b"\x01", "1 labels for 50")]
)
def test_labels_that_do_not_go_with_the_images_are_refused(folder: Path, content: bytes, said: str) -> None:
    (folder / "test_y.bin").write_bytes(content)
    with pytest.raises(ValueError, match=rf"test_y\.bin holds {said}"):
        load(folder.parent)


def test_a_download_that_fails_is_a_missing_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    nowhere = replace(STL10, url="http://127.0.0.1:9/stl10_binary.tar.gz")  # nobody listens
    monkeypatch.setattr(stl10, "STL10", nowhere)
    with pytest.raises(DatasetMissing, match="the download failed"):
        load(tmp_path / "data", download=True)


def test_a_fold_is_what_torchvision_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [" ".join(str(row) for row in range(fold, 200, 10)) for fold in range(10)]
    (folder / "fold_indices.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(datasets.STL10, "_check_integrity", lambda _: True)
    for fold in (0, 9):
        theirs = datasets.STL10(folder.parent, split="train", folds=fold)
        dataset = load(folder.parent, fold=fold)
        assert torch.equal(dataset.train_images, torch.from_numpy(theirs.data))
        assert dataset.train_labels.tolist() == theirs.labels.tolist()
        assert len(dataset.test_images) == len(load(folder.parent).test_images)


@pytest.mark.parametrize("line", ["", "0 1 1", "0 200", "0 -1", "0 x", "1e3", "9" * 5000])
def test_a_fold_that_lists_no_rows_is_refused(folder: Path, line: str) -> None:
    with pytest.raises(ValueError, match=r"data\.fold: .*fold_indices\.txt is missing"):
        load(folder.parent, fold=1)
    (folder / "fold_indices.txt").write_text(f"0 1 2\n{line}\n")
    with pytest.raises(ValueError, match=r"fold_indices.txt, line 2: must list different rows of the 200 training"):
        load(folder.parent, fold=1)
