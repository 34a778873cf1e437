"""Hugging Face's data sets in both forms: scikit-learn's digits as PNGs in columns."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from sklearn.datasets import load_digits
from torch import Tensor

from cktf.data import DataConfig, Dataset, DatasetMissing, load_dataset
from tests.data.generated import png

BUNCH = load_digits()
IMAGES = torch.from_numpy((BUNCH.images * 15).astype(np.uint8))[:, None].expand(-1, 3, -1, -1)
ROWS = {"train": range(200), "test": range(200, 250), "validation": range(250, 260)}


def table(rows: Any, images: Tensor = IMAGES, image: str = "image", label: str = "label", **more: Any) -> pa.Table:
    files = [{"bytes": png(images[row]), "path": f"{row}.png"} for row in rows]
    return pa.table({image: files, label: [int(BUNCH.target[row]) for row in rows], **more})


def as_parquet(root: Path, *, names: str = "data/{}-0000{}-of-00002.parquet", **more: Any) -> None:
    for part, rows in ROWS.items():
        for shard, some in enumerate((rows[:7], rows[7:])):
            path = root / names.format(part, shard)
            path.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(table(some, **more), path, compression="snappy")


def as_saved_to_disk(root: Path) -> None:
    """Write what `DatasetDict.save_to_disk` writes."""
    (root / "dataset_dict.json").write_text(json.dumps({"splits": [*ROWS]}))
    for part, rows in ROWS.items():
        (root / part).mkdir()
        (root / part / "dataset_info.json").write_text("{}")
        (root / part / "state.json").write_text(
            json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]})
        )
        for name, content in (("data-00000-of-00001", table(rows)), ("cache-0123456789", table(rows[:3]))):
            with (
                pa.OSFile(str(root / part / f"{name}.arrow"), "wb") as file,
                pa.ipc.new_stream(file, content.schema) as out,
            ):
                out.write_table(content, max_chunksize=60)


def load(root: Path, **settings: Any) -> Dataset:
    return load_dataset(DataConfig(name="huggingface", root=str(root), **settings))


def is_whole(dataset: Dataset) -> None:
    assert torch.equal(dataset.train_images, IMAGES[:200])
    assert torch.equal(dataset.test_images, IMAGES[200:250])
    assert dataset.train_labels.tolist() == BUNCH.target[:200].tolist()
    assert dataset.test_labels.tolist() == BUNCH.target[200:250].tolist()
    assert dataset.remarks == (
        "data.root: validation is not read: validation is a share of train, and test is tested on",
    )


@pytest.mark.parametrize(
    ("names", "image", "label"),
    [
        ("data/{}-0000{}-of-00002.parquet", "image", "label"),
        ("plain_text/{}-0000{}-of-00002-0123abc.parquet", "img", "label"),
        ("{}/000{}.parquet", "img", "fine_label"),
        ("{}_{}.parquet", "image", "labels"),
    ],
)
def test_parquet_files_of_any_name_are_one_data_set(tmp_path: Path, names: str, image: str, label: str) -> None:
    as_parquet(tmp_path, names=names, image=image, label=label)
    is_whole(load(tmp_path))


def test_what_save_to_disk_writes_is_the_same_data_set(tmp_path: Path) -> None:
    as_saved_to_disk(tmp_path)
    is_whole(load(tmp_path))


def test_bytes_without_a_path_and_other_columns_are_read(tmp_path: Path) -> None:
    for part, rows in ROWS.items():
        files = pa.array([png(IMAGES[row]) for row in rows], pa.binary())
        labels = pa.array([int(BUNCH.target[row]) for row in rows], pa.uint8())
        parquet.write_table(pa.table({"id": [*rows], "image": files, "label": labels}), tmp_path / f"{part}.parquet")
    is_whole(load(tmp_path))


def test_images_of_several_sizes_want_a_side(tmp_path: Path) -> None:
    as_parquet(tmp_path)
    wide = torch.nn.functional.pad(IMAGES, (4, 4))
    path = tmp_path / "data" / "train-00001-of-00002.parquet"
    parquet.write_table(table(ROWS["train"][7:], wide), path)
    with pytest.raises(ValueError, match=r"193 files cannot be read: .*, row 0 has 16 x 8 pixels, and the first 8 x 8"):
        load(tmp_path)
    assert torch.equal(load(tmp_path, side=8).train_images, IMAGES[:200]), "the middle of each"
    parquet.write_table(table(ROWS["train"][:7], wide), path.with_name("train-00000-of-00002.parquet"))
    with pytest.raises(ValueError, match=r"row 0 has 16 x 8 pixels; data\.side makes squares of them"):
        load(tmp_path)


def test_it_is_known_by_its_bytes(tmp_path: Path) -> None:
    as_parquet(tmp_path / "one")
    planned = DataConfig(name="huggingface", root=str(tmp_path / "one")).with_content()
    assert planned.content
    (tmp_path / "one").rename(tmp_path / "other")
    moved = planned.model_copy(update={"root": str(tmp_path / "other")})
    assert moved.model_copy(update={"content": None}).with_content().content == planned.content
    parquet.write_table(table(ROWS["test"]), tmp_path / "other" / "data" / "test-00000-of-00002.parquet")
    with pytest.raises(ValueError, match="does not hold the images that were asked for"):
        load_dataset(moved)


def test_what_is_missing_or_twofold_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing, match=r"huggingface is not there .*no .parquet or .arrow file of a part train"):
        load(tmp_path)
    as_parquet(tmp_path, names="fine/{}-{}.parquet")
    as_parquet(tmp_path, names="coarse/{}-{}.parquet")
    with pytest.raises(ValueError, match=r"several tables of the part test: .*coarse/test.*; set data.root to the fol"):
        load(tmp_path)
    is_whole(load(tmp_path / "fine"))
    for path in (tmp_path / "fine").glob("t*"):
        if path.name.startswith("train"):
            path.unlink()
    with pytest.raises(ValueError, match="a part train and a part test"):
        load(tmp_path / "fine")


def test_a_test_part_whose_labels_are_hidden_gives_way_to_the_validation_part(tmp_path: Path) -> None:
    as_parquet(tmp_path, names="{}-{}.parquet")
    for path in tmp_path.glob("test-*"):
        rows = parquet.read_table(path)
        parquet.write_table(rows.set_column(1, "label", [[-1] * len(rows)]), path)
    dataset = load(tmp_path)
    assert torch.equal(dataset.test_images, IMAGES[250:260])
    assert dataset.remarks == ("data.root: the part test has no labels, all are below 0, so another part is tested on",)


def altered(change: str) -> pa.Table:
    rows = ROWS["train"]
    good = table(rows)
    match change:
        case "no image":
            return good.drop_columns("image")
        case "text":
            return table(rows, label="name").append_column("label", [["seven"] * 200])
        case "null label":
            return good.set_column(1, "label", [[None, *range(199)]])
        case "null image":
            return good.set_column(0, "image", [[None, {"bytes": b"x", "path": ""}] * 100])
        case "path alone":
            return good.set_column(0, "image", [[{"bytes": None, "path": "/etc/passwd"}] * 200])
    return good.slice(0, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("no image", r"has the columns label \(int64\); a column image or img with images' bytes is needed"),
        ("text", r"has the columns .*label \(string\); a column label or labels or fine_label with whole numbers"),
        ("null label", "has rows without a label"),
        ("null image", "train.parquet, row 0 is not an image"),
        ("path alone", r"columns image \(struct<bytes: null, path: string>\), .* with images' bytes"),
        ("empty", "train.parquet has no rows"),
    ],
)
def test_what_is_no_table_of_images_is_refused_by_name(tmp_path: Path, change: str, said: str) -> None:
    parquet.write_table(altered(change), tmp_path / "train.parquet")
    parquet.write_table(table(ROWS["test"]), tmp_path / "test.parquet")
    with pytest.raises(ValueError, match=f"^data.root: .*{said}"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_damaged_files_are_named(tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        as_parquet(tmp_path, names="{}-{}.parquet")
    else:
        as_saved_to_disk(tmp_path)
    path = next(
        path for path in sorted(tmp_path.rglob(f"*.{kind}")) if "test" in str(path) and "cache" not in path.name
    )
    content = path.read_bytes()
    for damaged in (b"", b"text", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"^data.root: {path} is damaged, or is no (Parquet|Arrow) file"):
            load(tmp_path)


@pytest.mark.parametrize("change", ["missing", "of another division"])
def test_a_part_whose_files_are_not_one_division_is_refused(tmp_path: Path, change: str) -> None:
    as_parquet(tmp_path)
    first = tmp_path / "data" / "train-00000-of-00002.parquet"
    if change == "missing":
        first.unlink()
    else:
        (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(first.read_bytes())
    with pytest.raises(ValueError, match=r"data\.root: the part train has the files .*not all of one division"):
        load(tmp_path)
