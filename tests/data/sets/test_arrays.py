"""Images in NumPy's arrays: scikit-learn's digits, written in every form."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from cktf.data import DataConfig, Dataset, DatasetMissing, in_both_parts, load_dataset

Arrays = dict[str, np.ndarray[Any, Any]]


@pytest.fixture
def arrays() -> Arrays:
    """Return 200 digits to train on and 50 to test with, grey, in the layout of MedMNIST."""
    bunch = load_digits()
    images, labels = (bunch.images * 15).astype(np.uint8), bunch.target.reshape(-1, 1)
    return {
        "train_images": images[:200],
        "train_labels": labels[:200],
        "test_images": images[200:250],
        "test_labels": labels[200:250],
    }


def written(root: Path, arrays: Arrays) -> Path:
    given: dict[str, Any] = {**arrays}
    np.savez_compressed(root / "own.npz", **given)
    return root / "own.npz"


def load(root: Path, **settings: Any) -> Dataset:
    return load_dataset(DataConfig(name="arrays", root=str(root), **settings))


def test_an_archive_is_read_as_numpy_reads_it(arrays: Arrays, tmp_path: Path) -> None:
    dataset = load(written(tmp_path, arrays))
    assert np.array_equal(dataset.train_images[:, 0], arrays["train_images"])
    assert np.array_equal(dataset.test_images[:, 0], arrays["test_images"])
    assert dataset.train_labels.tolist() == arrays["train_labels"][:, 0].tolist()
    assert dataset.test_labels.tolist() == arrays["test_labels"][:, 0].tolist()
    assert (dataset.num_classes, dataset.image_shape) == (10, (1, 8, 8))
    values = arrays["train_images"] / 255
    assert dataset.mean.tolist() == pytest.approx([values.mean()])
    assert dataset.std.tolist() == pytest.approx([values.std()])
    assert torch.equal(load(tmp_path).train_images, dataset.train_images), "the folder holds this archive alone"


@pytest.mark.parametrize(
    ("images", "labels"),
    [("{}_images", "{}_labels"), ("x_{}", "y_{}"), ("X_{}", "y_{}"), ("{}_x", "{}_y"), ("{}_data", "{}_labels")],
)
@pytest.mark.parametrize("layout", ["grey", "last", "first", "colour last", "colour first"])
def test_names_layouts_and_files_of_any_kind_are_one_data_set(
    arrays: Arrays, tmp_path: Path, images: str, labels: str, layout: str
) -> None:
    for part in ("train", "test"):
        pixels = arrays[f"{part}_images"]
        if layout != "grey":
            pixels = np.stack([pixels, 255 - pixels, pixels // 2][: 3 if "colour" in layout else 1], axis=1)
        expected = torch.from_numpy(pixels if pixels.ndim == 4 else pixels[:, None])
        pixels = np.ascontiguousarray(np.moveaxis(pixels, 1, 3)) if "last" in layout else pixels
        np.save(tmp_path / f"{images.format(part)}.npy", pixels)
        np.save(tmp_path / f"{labels.format(part)}.npy", arrays[f"{part}_labels"].ravel().astype(">i2"))
        arrays[f"{part}_images"] = expected.numpy()
    dataset = load(tmp_path)
    assert np.array_equal(dataset.train_images, arrays["train_images"])
    assert np.array_equal(dataset.test_images, arrays["test_images"])
    assert dataset.train_images.is_contiguous()
    assert dataset.test_labels.tolist() == arrays["test_labels"].ravel().tolist()


def test_constants_and_crop_are_those_of_images_that_are_scaled(arrays: Arrays, tmp_path: Path) -> None:
    large = {name: value.repeat(4, 1).repeat(4, 2) if "images" in name else value for name, value in arrays.items()}
    noise = np.random.default_rng(0).integers(0, 256, large["train_images"].shape, dtype=np.uint8)
    written(tmp_path, large | {"train_images": noise})
    dataset = load(tmp_path, side=16)
    values = dataset.train_images.numpy() / 255
    assert dataset.image_shape == (1, 16, 16)
    assert dataset.standard_augmentation.crop == 2
    assert load(tmp_path, side=16, crop_from=32).standard_augmentation.crop == 2, "of the side that networks see"
    assert dataset.mean.tolist() == pytest.approx([values.mean()])
    assert dataset.std.tolist() == pytest.approx([values.std()])
    assert values.std() < 0.7 * noise.std() / 255


def test_a_side_takes_the_square_in_the_middle(arrays: Arrays, tmp_path: Path) -> None:
    wide = {name: np.pad(each, ((0, 0), (0, 0), (4, 4))) if "images" in name else each for name, each in arrays.items()}
    assert load(written(tmp_path, wide)).image_shape == (1, 8, 16)
    assert np.array_equal(load(tmp_path, side=8).train_images[:, 0], arrays["train_images"])
    assert load(tmp_path, side=16).image_shape == (1, 16, 16)


def test_val_is_tested_on_where_there_is_no_test_and_else_left_out_with_a_word(arrays: Arrays, tmp_path: Path) -> None:
    more = {**arrays, "val_images": arrays["test_images"][:9], "val_labels": arrays["test_labels"][:9]}
    dataset = load(written(tmp_path, more))
    assert len(dataset.test_images) == 50
    assert dataset.remarks == ("data.root: val is not read: validation is a share of train, and test is tested on",)
    alone = {name: each for name, each in more.items() if not name.startswith("test")}
    assert len(load(written(tmp_path, alone)).test_images) == 9


def test_arrays_are_known_by_their_bytes_wherever_they_lie(arrays: Arrays, tmp_path: Path) -> None:
    planned = DataConfig(name="arrays", root=str(written(tmp_path, arrays))).with_content()
    assert planned.is_own
    (tmp_path / "own.npz").rename(tmp_path / "moved.npz")
    moved = planned.model_copy(update={"root": str(tmp_path / "moved.npz")})
    assert moved.model_copy(update={"content": None}).with_content().content == planned.content
    load_dataset(moved)
    arrays["train_images"][0, 0, 0] += 1
    written(tmp_path, arrays)
    with pytest.raises(ValueError, match="does not hold the images that were asked for: the SHA-256 of its files is"):
        load_dataset(planned)
    assert DataConfig(name="arrays", root=str(tmp_path / "nowhere")).with_content().content is None


def test_images_of_both_parts_are_counted(arrays: Arrays, tmp_path: Path) -> None:
    assert in_both_parts(load(written(tmp_path, arrays))) == ""
    arrays["test_images"][[3, 7]] = arrays["train_images"][[11, 5]]
    said = in_both_parts(load(written(tmp_path, arrays)))
    assert said.startswith("2 of the 50 test images are training images, too")
    assert "test image 3 is training image 11, test image 7 is training image 5" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train_images": np.zeros((200, 8, 8))}, "train_images.npy is of type float64 and .* images are uint8"),
        (
            {"train_images": np.zeros((200, 64), np.uint8)},
            r"type uint8 and shape \(200, 64\); images are uint8, one or more, and \(samples, height, width\)",
        ),
        ({"train_images": np.zeros((200, 8, 8, 4), np.uint8)}, "either the last or the second is of 1 or 3 channels"),
        ({"train_images": np.zeros((200, 3, 8, 3), np.uint8)}, "either the last or the second is of 1 or 3 channels"),
        ({"train_images": np.zeros((0, 8, 8), np.uint8)}, r"shape \(0, 8, 8\); images are uint8, one or more"),
        ({"train_images": np.zeros((9, 8, 8), np.uint8)}, "train_labels.npy holds 200 labels for 9 images"),
        ({"test_images": np.zeros((50, 9, 9), np.uint8)}, r"are \(1, 8, 8\) and of the test part \(1, 9, 9\)"),
        ({"train_labels": np.zeros(200)}, "train_labels.npy is of type float64 and shape .* one whole number for each"),
        ({"train_labels": np.zeros((200, 10), int)}, r"shape \(200, 10\); labels are one whole number"),
        (
            {"train_labels": np.arange(200) % 9 + 1},
            "train_labels.npy has the labels 1, 2, 3 and 6 more; 0, 1, 2, ... are needed",
        ),
        ({"train_labels": np.arange(200) % 9 * 2}, "has the labels 0, 2, 4 and 6 more; 0, 1, 2, ... are"),
        ({"train_labels": np.arange(200) - 1}, "has the labels -1, 0, 1 and 197 more"),
        ({"test_labels": np.full(50, 10)}, "test_labels.npy has labels 10 to 10; those of training are 0 to 9"),
        ({"test_labels": np.full(50, -1)}, "test_labels.npy has labels -1 to -1; those of training are 0 to 9"),
        (
            {"train_labels": np.array([{}] * 200)},
            "train_labels.npy is damaged, or no array of numbers: Object arrays cannot be loaded",
        ),
        (
            {"train_images": np.array([{}] * 200)},
            "train_images.npy is damaged, or no array of numbers: Object arrays cannot be loaded",
        ),
    ],
)
def test_what_is_no_data_set_is_refused_by_name(arrays: Arrays, tmp_path: Path, change: Arrays, said: str) -> None:
    given: dict[str, Any] = {**arrays, **change}
    np.savez(tmp_path / "own.npz", **given)
    with pytest.raises(ValueError, match=f"^data.root: .*{said}"):
        load(tmp_path)


def test_a_missing_part_is_named_with_what_is_there(arrays: Arrays, tmp_path: Path) -> None:
    del arrays["test_labels"]
    with pytest.raises(
        ValueError, match=r"holds test_images, train_images, train_labels; a part train and a part test"
    ):
        load(written(tmp_path, arrays))


def test_what_is_missing_says_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"arrays is not there \(it holds neither .npy files nor one .npz\)"):
        load(tmp_path)
    with pytest.raises(DatasetMissing, match=r"\(no such file or folder is there\).*set data.root to a .npz file"):
        load(tmp_path / "nowhere.npz")


def test_damaged_archives_are_refused(arrays: Arrays, tmp_path: Path) -> None:
    path = written(tmp_path, arrays)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"own\.npz is damaged, or is no .npz file"):
        load(path)
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"shape": (2**24, 8, 8), "fortran_order": False, "descr": "|u1"})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, each in arrays.items():
            member = io.BytesIO()
            np.save(member, each)
            archive.writestr(f"{name}.npy", member.getvalue() if name != "train_images" else stream.getvalue())
    with pytest.raises(ValueError, match=r"train_images.npy is damaged, or no array of numbers: EOF"):
        load(path)


def test_arrays_saved_column_by_column_are_the_same(arrays: Arrays, tmp_path: Path) -> None:
    before = load(written(tmp_path, arrays))
    (tmp_path / "own.npz").unlink()
    for name, each in arrays.items():
        np.save(tmp_path / f"{name}.npy", np.asfortranarray(each))
    assert torch.equal(load(tmp_path).train_images, before.train_images)


def test_nothing_in_an_array_is_unpickled(arrays: Arrays, tmp_path: Path) -> None:
    for name, each in arrays.items():
        np.save(tmp_path / f"{name}.npy", each)
    np.save(tmp_path / "train_labels.npy", np.array([{}] * 200), allow_pickle=True)
    with pytest.raises(
        ValueError, match=r"train_labels.npy is damaged, or no array of numbers: Array can't be memory-m"
    ):
        load(tmp_path)
