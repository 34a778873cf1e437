"""Folders with a folder for each class."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from cktf.data import DataConfig, DataPlace, Dataset, DatasetMissing, load_dataset, look_at_image_folder

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
    with pytest.raises(ValueError, match=r"data\.side: image_folder has images of any size; set the side in pixels"):
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
    "name", ["@eaDir", "lost+found", "#recycle", "$RECYCLE.BIN", "$Recycle.Bin", "__MACOSX", ".ipynb_checkpoints"]
)
def test_folders_of_servers_and_systems_are_no_classes(root: Path, name: str) -> None:
    before = DataConfig(name="image_folder", root=str(root), side=16).with_content().content
    for part in ("train", "val"):
        (root / part / name).mkdir()
        Image.new("RGB", (20, 20)).save(root / part / name / "0.png")
    assert load(root).num_classes == 3
    assert DataConfig(name="image_folder", root=str(root), side=16).with_content().content == before


def test_a_class_that_lies_elsewhere_is_read(root: Path, tmp_path: Path) -> None:
    before = load(root)
    (root / "train" / "red").rename(tmp_path / "elsewhere")
    (root / "train" / "red").symlink_to(tmp_path / "elsewhere")
    assert torch.equal(load(root).train_images, before.train_images)


def not_files(folder: Path) -> None:
    """Put files that are named like images, and are none, into a folder."""
    (folder / "nothing.png").symlink_to("nowhere")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")


def test_what_is_called_like_an_image_and_is_no_file_is_passed_over_with_a_word(root: Path) -> None:
    config = DataConfig(name="image_folder", root=str(root), side=16)
    before = config.with_content()
    not_files(root / "train" / "red")
    not_files(root / "val" / "blue")
    assert config.with_content() == before
    assert len(load_dataset(before).train_images) == 9
    _, remarks = look_at_image_folder(config.place)
    assert any("train/red/folder.png, train/red/loop.png, train/red/nothing.png and 7 more" in e for e in remarks)


@pytest.mark.parametrize("name", ["features.h5", "a.eps", "a.mpg", "a.grib", "a.fits", "a.pcd", "notes.txt", "a.ico"])
def test_files_of_other_formats_are_passed_over_with_a_word(root: Path, name: str) -> None:
    (root / "train" / "red" / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    assert len(load(root).train_images) == 9
    _, remarks = look_at_image_folder(DataPlace(name="image_folder", root=str(root), side=16))
    assert any(f"train/red/{name}" in each for each in remarks)


def test_names_that_are_not_utf_8_are_read(root: Path) -> None:
    before = load(root)
    for part in ("train", "val"):
        (root / part / "red").rename(root / part / os.fsdecode(b"r\xe9d"))
    strange = root / "train" / "blue" / os.fsdecode(b"\xff.png")
    (root / "train" / "blue" / "0.png").rename(strange)
    config = DataConfig(name="image_folder", root=str(root), side=16).with_content()
    assert config.content
    assert torch.equal(load_dataset(config).train_images, before.train_images)
    strange.write_bytes(b"")
    with pytest.raises(ValueError, match=r"train/blue/\\udcff\.png is not an image, or is damaged"):
        load(root)


def test_a_class_of_decomposed_letters_is_the_same(root: Path) -> None:
    before = load(root)
    for part, name in (("train", "caf\u00e9"), ("val", "cafe\u0301")):
        (root / part / "green").rename(root / part / name)
    assert torch.equal(load(root).train_images, before.train_images)
    assert load(root).test_labels.tolist() == [0, 1, 2]
    (root / "train" / "cafe\u0301").mkdir()
    with pytest.raises(ValueError, match=r"(caf\\xe9|cafe\\u0301)' and .* are one name"):
        load(root)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Red", "did you mean 'red'"),
        ("red ", "did you mean 'red'"),
        ("redd", "did you mean 'red'"),
        ("r\u200bed", r"did you mean 'red'"),
        ("white", r"nothing is learnt about it$"),
    ],
)
def test_the_nearest_name_of_a_class_is_offered(root: Path, name: str, said: str) -> None:
    (root / "val" / "red").rename(root / "val" / name)
    with pytest.raises(ValueError, match=f"has no counterpart in {root}/train, so .*{said}"):
        load(root)


def test_what_is_there_instead_of_parts_is_said(root: Path, tmp_path: Path) -> None:
    for place, said in (
        (tmp_path / "nowhere", "nowhere is no folder, or an empty one"),
        (root / "train", "train holds blue/, green/, red/"),
        (root / "train" / "red", r"red holds 0\.png, 1\.png, 2\.png"),
        (root / "train" / "red" / "0.png", r"0\.png is no folder"),
    ):
        with pytest.raises(DatasetMissing, match=said):
            load(place)
    (root / "val").rename(root / "validation")
    with pytest.raises(DatasetMissing, match="root holds train/, validation/"):
        load(root)


def test_all_that_is_damaged_in_both_parts_is_named_at_once(root: Path) -> None:
    damaged = [root / "train" / "red" / "1.png", root / "train" / "blue" / "0.png", root / "val" / "green" / "0.png"]
    for path in damaged:
        path.write_bytes(b"no image")
    with pytest.raises(ValueError, match="3 files cannot be read") as told:
        load(root)
    assert all(str(path) in str(told.value) for path in damaged)


def test_a_look_finds_what_loading_would(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.side: image_folder has images of any size"):
        look_at_image_folder(DataPlace(name="image_folder", root=str(root)))
    num_classes, remarks = look_at_image_folder(DataPlace(name="image_folder", root=str(root), side=16))
    assert num_classes == 3
    assert [said.partition("root: ")[2] for said in remarks] == [
        f"{root}: 3 of the test images are training images, too, so the test accuracy will look better than it is: "
        "val/blue/0.png is train/blue/0.png, val/green/0.png is train/green/0.png, val/red/0.png is train/red/0.png"
    ]
    num_classes, remarks = look_at_image_folder(DataPlace(name="image_folder", root=str(tmp_path / "nowhere"), side=16))
    assert num_classes == 0
    assert "nowhere is not on this machine" in remarks[0]
    (root / "val" / "red" / "0.png").unlink()
    with pytest.raises(ValueError, match="val/red holds no images"):
        look_at_image_folder(DataPlace(name="image_folder", root=str(root), side=16))


def test_valid_is_the_test_part_where_there_is_neither_test_nor_val(root: Path) -> None:
    content = DataConfig(name="image_folder", root=str(root), side=16).with_content().content
    (root / "val").rename(root / "valid")
    assert load(root).test_labels.tolist() == [0, 1, 2]
    assert DataConfig(name="image_folder", root=str(root), side=16).with_content().content not in (content, None)
    (root / "valid").rename(root / "val")
    (root / "valid" / "red").mkdir(parents=True)
    (root / "valid" / "red" / "0.png").write_bytes(b"unread")
    assert load(root).test_labels.tolist() == [0, 1, 2]
    assert DataConfig(name="image_folder", root=str(root), side=16).with_content().content == content


@pytest.mark.parametrize("parts", [("train",), ("val",), ("train", "val")])
def test_images_may_lie_in_a_folder_images_of_their_class(root: Path, parts: tuple[str, ...]) -> None:
    before, contents = load(root), set()
    config = DataConfig(name="image_folder", root=str(root), side=16)
    contents.add(config.with_content().content)
    for part in parts:
        for name in COLOURS:
            inner = root / part / name / "images"
            inner.mkdir()
            for path in (root / part / name).glob("*.png"):
                path.rename(inner / path.name)
    after = load(root)
    assert torch.equal(after.train_images, before.train_images)
    assert torch.equal(after.test_images, before.test_images)
    contents.add(config.with_content().content)
    Image.new("RGB", (9, 9)).save(root / parts[0] / "red" / "images" / "more.png")
    contents.add(config.with_content().content)
    assert len(contents) == 3


def only_train(root: Path, num_images: int = 10) -> DataConfig:
    """Leave train/ alone, with that many images of each class, no two of them alike."""
    for path in (root / "val").rglob("*.png"):
        path.unlink()
    for name in COLOURS:
        (root / "val" / name).rmdir()
        for number in range(num_images):
            Image.new("RGB", (20, 20), (number, *COLOURS[name][:2])).save(root / "train" / name / f"{number}.png")
    (root / "val").rmdir()
    return DataConfig(name="image_folder", root=str(root), side=16)


def test_a_fifth_is_tested_on_where_there_is_train_alone_and_said(root: Path) -> None:
    config = only_train(root).with_content()
    dataset = load_dataset(config)
    assert dataset.train_labels.bincount().tolist() == [8, 8, 8]
    assert dataset.test_labels.bincount().tolist() == [2, 2, 2]
    shades = torch.cat([dataset.train_images[:, 0, 0, 0], dataset.test_images[:, 0, 0, 0]])
    assert shades.sort().values.tolist() == sorted([*range(10)] * 3), "every image is in one part"
    assert torch.equal(load(root).test_images, dataset.test_images)
    _, remarks = look_at_image_folder(config.place)
    assert remarks == [
        f"data.root: {root} has no test/, val/ or valid/: 6 images of train/, 20% of each class, are the test part and "
        "not trained on, chosen by their names and so the same at every seed"
    ]
    # One more image moves one at most.
    Image.new("RGB", (20, 20), (99, 0, 0)).save(root / "train" / "red" / "more.png")
    before, after = dataset.test_images.flatten(1).tolist(), load(root).test_images.flatten(1).tolist()
    assert sum(image not in after for image in before) <= 1


def test_a_class_of_one_image_is_not_drawn_from(root: Path) -> None:
    config = only_train(root)
    for number in range(1, 10):
        (root / "train" / "red" / f"{number}.png").unlink()
    with pytest.raises(ValueError, match=r"train/red holds one image, .*data\.test_classes: any"):
        load(root)
    dataset = load_dataset(config.model_copy(update={"test_classes": "any"}))
    assert dataset.train_labels.bincount().tolist() == [8, 8, 1]
    assert dataset.test_labels.tolist() == [0, 0, 1, 1]


def test_classes_without_test_images_are_accepted_on_request_and_named(root: Path) -> None:
    (root / "val" / "green" / "0.png").unlink()
    (root / "val" / "blue" / "0.png").unlink()
    (root / "val" / "blue").rmdir()
    with pytest.raises(
        ValueError, match=r"val/blue holds no images, nor .*\(data\.test_classes: any does without some"
    ):
        load(root)
    config = DataConfig(name="image_folder", root=str(root), side=16, test_classes="any")
    dataset = load_dataset(config)
    assert (dataset.num_classes, dataset.test_labels.tolist()) == (3, [2])
    _, remarks = look_at_image_folder(config.place)
    assert f"data.root: {root}: classes without test images: blue, green" in remarks
    (root / "val" / "red" / "0.png").unlink()
    with pytest.raises(ValueError, match="holds no images"):
        load_dataset(config)


@pytest.mark.parametrize("setting", [{"fold": 1}, {"test_classes": "any"}])
def test_settings_of_another_data_set_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(setting))}: only (stl10|image_folder) has it"):
        DataConfig.model_validate({"name": "digits", **setting})
