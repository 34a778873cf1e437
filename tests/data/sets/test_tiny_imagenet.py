"""Tiny-ImageNet from folders as its authors laid them out."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
import torch
from torchvision.transforms import functional

from cktf.data import Augmentation, DataConfig, Dataset, DatasetMissing, load_dataset
from cktf.data.sets import tiny_imagenet


@pytest.fixture
def folder(tmp_path: Path, generated: Path) -> Path:
    """Return generated files that a test may damage."""
    return shutil.copytree(generated / "tiny-imagenet-200", tmp_path / "tiny-imagenet-200")


def load(root: Path, **settings: object) -> Dataset:
    return load_dataset(DataConfig.model_validate({"name": "tiny_imagenet", "root": str(root), **settings}))


def decoded(path: Path) -> torch.Tensor:
    from PIL import Image

    image: torch.Tensor = functional.pil_to_tensor(Image.open(path))
    return image


def test_images_have_the_labels_of_their_folders_and_annotations(generated: Path) -> None:
    dataset = load(generated)
    folder = generated / "tiny-imagenet-200"
    classes = sorted((folder / "wnids.txt").read_text().split())
    for label in (0, 7, 199):
        files = sorted((folder / "train" / classes[label] / "images").iterdir())
        images = dataset.train_images[dataset.train_labels == label]
        assert torch.equal(images, torch.stack([decoded(file) for file in files]))
    lines = (folder / "val" / "val_annotations.txt").read_text().splitlines()
    assert len(lines) == len(dataset.test_labels)
    for row in (0, 50, 199):
        name, wnid, *_ = lines[row].split()
        assert dataset.test_labels[row] == classes.index(wnid)
        assert torch.equal(dataset.test_images[row], decoded(folder / "val" / "images" / name))


def test_classes_are_numbered_by_their_sorted_ids(folder: Path) -> None:
    before = load(folder)
    (folder / "wnids.txt").write_text("\n".join(reversed((folder / "wnids.txt").read_text().split())))
    after = load(folder)
    assert torch.equal(before.train_labels, after.train_labels)
    assert torch.equal(before.test_labels, after.test_labels)


def test_a_missing_data_set_says_where_it_was_looked_for_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "tiny-imagenet-200") in message
    assert "data.download: true" in message
    assert tiny_imagenet.ARCHIVE in message


def test_a_short_list_of_classes_is_refused(folder: Path) -> None:
    (folder / "wnids.txt").write_text("n90000000\nn90000001\n")
    with pytest.raises(ValueError, match=r"wnids.txt names 2 classes; there must be 200"):
        load(folder)


@pytest.mark.parametrize("whole", [True, False], ids=["class", "image"])
def test_a_part_that_was_not_unpacked_is_named(folder: Path, whole: bool) -> None:
    images = folder / "train" / "n90000003" / "images"
    if whole:
        shutil.rmtree(images)
    else:
        next(images.iterdir()).unlink()
    with pytest.raises(ValueError, match=f"{images.parent} holds {0 if whole else 3} images and other classes 4"):
        load(folder)


def test_training_images_that_are_all_missing_are_told(folder: Path) -> None:
    shutil.rmtree(folder / "train")
    with pytest.raises(ValueError, match=f"{folder / 'train'}/n90000000 holds 0 images and other"):
        load(folder)


def test_annotations_must_be_there_and_name_files_and_classes(folder: Path) -> None:
    path = folder / "val" / "val_annotations.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], "val_4.JPEG\tn00000001\t0\t0\t63\t63"]))
    with pytest.raises(ValueError, match=r"val_annotations.txt, line 5: 'val_4.JPEG.*' does not name a file and its"):
        load(folder)
    path.write_text("")
    with pytest.raises(ValueError, match=r"val_annotations\.txt names no images"):
        load(folder)
    path.unlink()
    with pytest.raises(ValueError, match=r"val_annotations\.txt is missing, or is no file"):
        load(folder)


def test_constants_and_augmentation_are_those_of_the_published_code(generated: Path) -> None:
    dataset = load(generated)
    assert dataset.standard_augmentation == Augmentation(crop=0, flip=True, resized_crop=True)
    assert dataset.mean.tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert dataset.std.tolist() == pytest.approx([0.229, 0.224, 0.225])


def test_an_annotated_image_that_is_missing_is_named(folder: Path) -> None:
    (folder / "val" / "images" / "val_11.JPEG").unlink()
    with pytest.raises(ValueError, match=r"val_11\.JPEG, which .*val_annotations\.txt names, is missing"):
        load(folder)


def test_a_download_is_unpacked_below_the_folder_once(
    tmp_path: Path, generated: Path, mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Path(shutil.make_archive(str(mirror[0] / "tiny-imagenet-200"), "zip", generated, "tiny-imagenet-200"))
    monkeypatch.setattr(tiny_imagenet, "ARCHIVE", f"{mirror[1]}/{archive.name}")
    with pytest.raises(DatasetMissing, match=r"the download failed: .*corrupted"):
        load(tmp_path / "data", download=True)
    checksum = hashlib.md5(archive.read_bytes()).hexdigest()  # noqa: S324
    monkeypatch.setattr(tiny_imagenet, "ARCHIVE_MD5", checksum)
    first = load(tmp_path / "data", download=True)
    archive.unlink()
    (tmp_path / "data" / archive.name).unlink()
    assert torch.equal(load(tmp_path / "data", download=True).train_images, first.train_images)


@pytest.mark.parametrize("name", ["wnids.txt", "val/val_annotations.txt"])
def test_lists_of_names_are_small_texts(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=f"{path}(, line 1:| names 1 classes)"):
        load(folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match=f"(tiny_imagenet is not there|{path} is missing, or is no file)"):
        load(folder)


def test_annotations_name_no_files_elsewhere(folder: Path) -> None:
    path = folder / "val" / "val_annotations.txt"
    path.write_text(path.read_text().replace("val_3.JPEG", "../images/val_3.JPEG"))
    with pytest.raises(ValueError, match=r"images/\.\./images/val_3\.JPEG, which .* names, is missing"):
        load(folder)


@pytest.mark.parametrize("deeper", [True, False])
@pytest.mark.parametrize("is_annotated", [True, False])
def test_a_rearranged_test_part_is_read_as_the_published_one(folder: Path, deeper: bool, is_annotated: bool) -> None:
    before = load(folder)
    annotations = folder / "val" / "val_annotations.txt"
    for line in annotations.read_text().splitlines():
        name, wnid, *_ = line.split("\t")
        place = folder / "val" / wnid / ("images" if deeper else "")
        place.mkdir(parents=True, exist_ok=True)
        (folder / "val" / "images" / name).rename(place / name)
    if not is_annotated:
        annotations.unlink()
        (folder / "val" / "images").rmdir()
    if not deeper:
        for images in (folder / "train").glob("*/images"):
            for path in images.iterdir():
                path.rename(images.parent / path.name)
            images.rmdir()
    after = load(folder)
    assert torch.equal(after.train_images, before.train_images)
    assert after.test_labels.tolist() == list(range(200))
    assert torch.equal(after.test_images, before.test_images[before.test_labels.argsort()])
    next((folder / "val").glob("n90000003/**/*.JPEG")).unlink()
    with pytest.raises(ValueError, match=r"val/n90000003.* holds 0 images and other classes 1"):
        load(folder)
