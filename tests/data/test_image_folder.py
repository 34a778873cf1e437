"""Folders with a folder for each class."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from cktf.data import DataConfig, Dataset, DatasetMissing, load_dataset

COLOURS = {"blue": (0, 0, 255), "green": (0, 128, 0), "red": (255, 0, 0)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of plain images of different sizes, in the colour that their class is called by."""
    for part, num_images in (("train", 3), ("val", 1)):
        for colour in COLOURS:
            (tmp_path / "root" / part / colour).mkdir(parents=True)
            for number in range(num_images):
                image = Image.new("RGB", (20 + number, 30), colour)
                image.save(tmp_path / "root" / part / colour / f"{number}.png")
    return tmp_path / "root"


def load(root: Path, side: int | None = 16) -> Dataset:
    return load_dataset(DataConfig(name="image_folder", root=str(root), side=side))


def test_classes_are_numbered_in_the_order_of_their_names(root: Path) -> None:
    dataset = load(root)
    assert dataset.num_classes == 3
    assert dataset.train_labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert dataset.test_labels.tolist() == [0, 1, 2]
    assert dataset.image_shape == (3, 16, 16)
    colours = torch.tensor(list(COLOURS.values()), dtype=torch.uint8)[:, :, None, None]
    assert torch.equal(dataset.train_images, colours[dataset.train_labels].expand(-1, -1, 16, 16))
    assert torch.equal(dataset.test_images, colours[dataset.test_labels].expand(-1, -1, 16, 16))


def test_a_test_folder_comes_before_a_val_folder_unless_it_has_no_classes(root: Path) -> None:
    (root / "test").mkdir()
    Image.new("RGB", (20, 20)).save(root / "test" / "unlabelled.png")
    assert load(root).test_labels.tolist() == [0, 1, 2]
    for colour in COLOURS:
        (root / "test" / colour).mkdir()
        for number in range(2):
            Image.new("RGB", (20, 20), colour).save(root / "test" / colour / f"{number}.jpg")
    assert load(root).test_labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_the_side_must_be_set(root: Path) -> None:
    with pytest.raises(
        ValueError, match=r"data\.side: image_folder has images of any size; set the side in pixels"
    ):
        load(root, side=None)


def test_a_folder_without_classes_is_a_missing_data_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"train/<class>/<image>, and test/ or val/ likewise") as caught:
        load(tmp_path)
    assert str(tmp_path / "train") in str(caught.value)


def test_a_class_without_images_is_named(root: Path) -> None:
    (root / "train" / "green" / "1.png").rename(root / "train" / "green" / "1.txt")
    assert load(root).train_labels.bincount().tolist() == [3, 2, 3]
    for path in (root / "val" / "red").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=f"{root}/val/red holds no images"):
        load(root)


def test_a_class_that_nothing_is_learnt_of_is_refused(root: Path) -> None:
    (root / "val" / "white").mkdir()
    with pytest.raises(ValueError, match=f"{root}/val/white has no counterpart in {root}/train"):
        load(root)


def test_a_folder_is_known_by_its_content_wherever_it_is(root: Path, tmp_path: Path) -> None:
    planned = DataConfig(name="image_folder", root=str(root), side=16).with_content()
    assert planned.content
    moved = DataConfig(name="image_folder", root=str(root.rename(tmp_path / "moved")), side=16)
    assert moved.with_content().content == planned.content
    assert planned.with_content() == planned, "what is planned does not change with the folder"
    assert planned.model_copy(update={"content": None}).with_content().content is None
    load_dataset(moved.with_content())

    Image.new("RGB", (9, 9)).save(tmp_path / "moved" / "train" / "red" / "new.png")
    assert moved.with_content().content != planned.content
    with pytest.raises(ValueError, match=r"data\.root: .*moved does not hold the images that were asked for"):
        load_dataset(moved.model_copy(update={"content": planned.content}))


def test_data_sets_that_everybody_knows_need_no_content() -> None:
    assert DataConfig(name="digits").with_content().content is None
    assert DataConfig(name="image_folder", generated=True, side=16).with_content().content is None


@pytest.mark.parametrize(
    "name", ["@eaDir", "lost+found", "#recycle", "$RECYCLE.BIN", "$Recycle.Bin", "__MACOSX", ".cache"]
)
def test_folders_of_servers_and_systems_are_no_classes(root: Path, name: str) -> None:
    before = DataConfig(name="image_folder", root=str(root), side=16).with_content().content
    for part in ("train", "val"):
        (root / part / name).mkdir()
        Image.new("RGB", (20, 20)).save(root / part / name / "0.png")
    assert load(root).num_classes == 3
    assert DataConfig(name="image_folder", root=str(root), side=16).with_content().content == before


def test_a_class_that_is_a_link_to_another_is_refused(root: Path) -> None:
    for part in ("train", "val"):
        (root / part / "crimson").symlink_to("red")
    with pytest.raises(
        ValueError, match=r"data\.root: .*train/red and .*train/crimson are one and the same folder"
    ):
        load(root)


def test_a_test_part_that_is_a_link_to_the_training_part_is_refused(root: Path) -> None:
    (root / "test").symlink_to("train")
    with pytest.raises(ValueError, match=r"test/blue and .*train/blue are one and the same folder"):
        load(root)


def test_a_class_that_lies_elsewhere_is_read(root: Path, tmp_path: Path) -> None:
    before = load(root)
    (root / "train" / "red").rename(tmp_path / "elsewhere")
    (root / "train" / "red").symlink_to(tmp_path / "elsewhere")
    assert torch.equal(load(root).train_images, before.train_images)
