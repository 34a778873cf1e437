"""Remarks on a folder of images before anything is decoded."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from cktf.data.files.image_layout import layout_of
from cktf.data.sets import image_folder
from cktf.data.sets.image_folder import remarks_on


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of two classes, of which no image is another's."""
    for number, place in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        (tmp_path / place).mkdir(parents=True)
        for shade in range(2):
            Image.new("L", (9, 9), 60 * number + shade).save(tmp_path / place / f"{shade}.bmp")
    return tmp_path


def remarks(root: Path) -> list[str]:
    return list(remarks_on(layout_of(str(root))))


def test_nothing_is_said_where_nothing_is_odd(root: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (root / "train" / "cat" / name).touch()
    assert remarks(root) == []


@pytest.mark.parametrize("name", ["val", "valid", "Train", "unsorted"])
def test_a_part_that_is_not_read_is_named(root: Path, name: str) -> None:
    shutil.copytree(root / "test", root / name)
    (said,) = remarks(root)
    assert f"{root}: {name}/ is not read: " in said
    assert "validated on in train/, and tested on in test/" in said


@pytest.mark.parametrize("name", ["@eaDir", "lost+found", "#recycle", "$RECYCLE.BIN", "__MACOSX", ".ipynb_checkpoints"])
def test_service_folders_are_named(root: Path, name: str) -> None:
    (root / "train" / name).mkdir()
    (root / "test" / "cat" / name).mkdir()
    (said,) = remarks(root)
    assert said.endswith(f"does not end as an image's: train/{name}, test/cat/{name}")


def test_what_lies_at_another_depth_is_named(root: Path) -> None:
    shutil.copy(root / "train" / "cat" / "0.bmp", root / "train" / "0.bmp")
    (root / "train" / "cat" / "more").mkdir()
    (root / "train" / "gone").symlink_to("nowhere")
    (said,) = remarks(root)
    assert said.endswith(": train/0.bmp, train/gone, train/cat/more")


def test_images_of_both_parts_are_counted(root: Path) -> None:
    shutil.copy(root / "train" / "cat" / "1.bmp", root / "test" / "dog" / "copy.bmp")
    shutil.copy(root / "train" / "dog" / "0.bmp", root / "test" / "dog" / "0.bmp")
    (said,) = remarks(root)
    assert "2 of the test images are training images" in said
    assert said.endswith("test/dog/0.bmp is train/dog/0.bmp, test/dog/copy.bmp is train/cat/1.bmp")


def test_what_is_not_compared_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "MOST_COMPARED", 2000)
    for number in range(9):
        Image.new("L", (20, 20), number).save(root / "train" / "cat" / f"large{number}.bmp")
    shutil.copy(root / "train" / "cat" / "large0.bmp", root / "test" / "cat" / "large.bmp")
    monkeypatch.setattr(image_folder, "MOST_COMPARED", 13_000)
    shutil.copy(root / "train" / "dog" / "0.bmp", root / "test" / "dog" / "0.bmp")
    found, said = remarks(root)
    assert found.endswith("test/dog/0.bmp is train/dog/0.bmp"), "those of the smaller size are compared"
    assert "files of equal size have more than 13,000 bytes, and those that have most are not compared" in said
