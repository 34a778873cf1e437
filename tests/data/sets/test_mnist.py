"""MNIST and Fashion-MNIST from files in their true format."""

import gzip
import hashlib
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from cktf.data import DataConfig, DatasetMissing, load_dataset
from cktf.data.sets import mnist

NUM_TRAIN, NUM_TEST = 30, 10


def idx(values: np.ndarray) -> bytes:
    """Return an IDX file: two zeros, the type (8: unsigned byte), the number of dimensions, their sizes."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def write_files(folder: Path, *, compress: bool) -> dict[str, np.ndarray]:
    """Write the four files into ``folder`` and return what is in them."""
    generator = np.random.default_rng(0)
    content = {}
    folder.mkdir(parents=True)
    for part, count in (("train", NUM_TRAIN), ("t10k", NUM_TEST)):
        content[f"{part}-images-idx3-ubyte"] = generator.integers(256, size=(count, 28, 28), dtype=np.uint8)
        content[f"{part}-labels-idx1-ubyte"] = generator.integers(10, size=count, dtype=np.uint8)
    for name, values in content.items():
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
        else:
            (folder / name).write_bytes(idx(values))
    return content


def assert_loaded(config: DataConfig, content: dict[str, np.ndarray]) -> None:
    dataset = load_dataset(config)
    assert dataset.train_images.dtype == torch.uint8
    assert dataset.train_labels.dtype == torch.int64
    assert np.array_equal(dataset.train_images, content["train-images-idx3-ubyte"][:, None])
    assert np.array_equal(dataset.train_labels, content["train-labels-idx1-ubyte"])
    assert np.array_equal(dataset.test_images, content["t10k-images-idx3-ubyte"][:, None])
    assert np.array_equal(dataset.test_labels, content["t10k-labels-idx1-ubyte"])


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_a_folder_that_holds_the_files_is_read(tmp_path: Path, name: str, compress: bool) -> None:
    content = write_files(tmp_path / "files", compress=compress)
    assert_loaded(DataConfig(name=name, root=str(tmp_path / "files")), content)


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_torchvisions_layout_is_read_below_the_folder_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folder: str
) -> None:
    content = write_files(tmp_path / folder / "raw", compress=False)
    monkeypatch.setenv("CKTF_DATA", str(tmp_path))
    assert_loaded(DataConfig(name=name), content)


def test_a_missing_data_set_says_where_it_was_looked_for_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetMissing) as caught:
        load_dataset(DataConfig(name="fashion_mnist", root=str(tmp_path)))
    message = str(caught.value)
    assert str(tmp_path / "FashionMNIST" / "raw") in message
    assert "data.download: true" in message
    assert "dataset-fashion-mnist" in message
    assert str(mnist.DEBIAN_FASHION_MNIST) not in message, "a root that is named is the only place"


def test_one_file_of_four_missing_is_a_missing_data_set(tmp_path: Path) -> None:
    write_files(tmp_path / "files", compress=True)
    (tmp_path / "files" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetMissing):
        load_dataset(DataConfig(name="mnist", root=str(tmp_path / "files")))


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_a_damaged_file_is_named(tmp_path: Path, compress: bool) -> None:
    write_files(tmp_path / "files", compress=compress)
    path = tmp_path / "files" / ("train-images-idx3-ubyte" + (".gz" if compress else ""))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        load_dataset(DataConfig(name="mnist", root=str(tmp_path / "files")))


def test_images_without_a_label_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path / "files", compress=False)
    path = tmp_path / "files" / "t10k-labels-idx1-ubyte"
    path.write_bytes(idx(np.zeros(9, dtype=np.uint8)))
    with pytest.raises(ValueError, match=f"{path} holds 9 labels and .*t10k-images-idx3-ubyte 10 images"):
        load_dataset(DataConfig(name="mnist", root=str(tmp_path / "files")))


def bomb(path: Path, stated: tuple[int, ...], unpacked: int) -> None:
    """Write a gzipped file of zeros whose header states a shape."""
    header = struct.pack(f">HBB{len(stated)}I", 0, 8, len(stated), *stated)
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(header)
        for _ in range(unpacked // 2**20):
            stream.write(bytes(2**20))


@pytest.mark.parametrize(
    ("stated", "unpacked", "said"),
    [
        ((NUM_TRAIN, 28, 28), 2**28, f"its header states {784 * NUM_TRAIN:,} bytes, and it holds more"),
        ((2**31, 28, 28), 0, "its header states 1,683,627,180,032 bytes;"),
        ((2**31, 0, 28), 0, "its header states 0 bytes, and it holds 0"),
    ],
)
def test_a_file_that_unpacks_to_far_too_much_is_refused(
    tmp_path: Path, stated: tuple[int, ...], unpacked: int, said: str
) -> None:
    write_files(tmp_path / "files", compress=True)
    path = tmp_path / "files" / "train-images-idx3-ubyte.gz"
    bomb(path, stated, unpacked)
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"{path} is damaged, or is not an IDX file: {said}"):
        load_dataset(DataConfig(name="mnist", root=str(tmp_path / "files")))
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


@pytest.mark.parametrize("size", [15, 17 + NUM_TRAIN * 28 * 28])
def test_a_plain_file_has_as_many_bytes_as_its_header_states(tmp_path: Path, size: int) -> None:
    write_files(tmp_path / "files", compress=False)
    path = tmp_path / "files" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes().ljust(size, b"x")[:size])
    with pytest.raises(ValueError, match=f"{path} is damaged, or is not an IDX file"):
        load_dataset(DataConfig(name="mnist", root=str(tmp_path / "files")))


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"])
def test_a_pipe_and_a_device_are_no_files(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "files"
    write_files(folder, compress=name.endswith(".gz"))
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        (folder / name).unlink()
        make(folder / name)
        with pytest.raises(DatasetMissing, match="mnist is not there"):
            load_dataset(DataConfig(name="mnist", root=str(folder)))


def test_labels_of_another_data_set_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path / "files", compress=True)
    path = tmp_path / "files" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.arange(NUM_TRAIN, dtype=np.uint8) % 27)))
    with pytest.raises(ValueError, match=f"{path} holds labels up to 26; .* 10 classes, labels 0 to 9"):
        load_dataset(DataConfig(name="mnist", root=str(tmp_path / "files")))


@pytest.fixture
def served(mirror: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Let torchvision find MNIST on this machine, and return what is in it."""
    source, url = mirror[0] / "mnist", f"{mirror[1]}/mnist/"
    content = write_files(source, compress=True)
    sums = [(path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in source.iterdir()]  # noqa: S324
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [url])
    return content


def test_a_download_is_fetched_once(
    tmp_path: Path, served: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DataConfig(name="mnist", root=str(tmp_path / "data"), download=True)
    assert_loaded(config, served)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [])
    assert_loaded(config, served)


@pytest.mark.parametrize("suffix", ["", ".gz"], ids=["unpacking", "fetching"])
def test_the_remedy_for_a_killed_download_works(tmp_path: Path, served: dict[str, np.ndarray], suffix: str) -> None:
    config = DataConfig(name="mnist", root=str(tmp_path / "data"), download=True)
    assert_loaded(config, served)
    unpacked = tmp_path / "data" / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    if suffix:
        unpacked.unlink()
    half_written = Path(f"{unpacked}{suffix}")
    half_written.write_bytes(half_written.read_bytes()[:12])
    with pytest.raises(ValueError, match=rf"{half_written} is damaged.*delete this file.*data\.download: true"):
        load_dataset(config)
    half_written.unlink()
    assert_loaded(config, served)


def test_a_download_that_fails_is_a_missing_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])  # nobody listens
    with pytest.raises(DatasetMissing, match="the download failed"):
        load_dataset(DataConfig(name="mnist", root=str(tmp_path / "data"), download=True))


@pytest.mark.skipif(not mnist.DEBIAN_FASHION_MNIST.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_debians_fashion_mnist_is_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CKTF_DATA", str(tmp_path))
    fashion = load_dataset(DataConfig(name="fashion_mnist"))
    assert fashion.train_images.shape == (60_000, 1, 28, 28)
    assert fashion.train_labels.bincount().tolist() == [6_000] * 10
    assert fashion.test_labels.bincount().tolist() == [1_000] * 10
    # The published constants are those of these images.
    scaled = fashion.train_images.float() / 255
    assert fashion.mean.item() == pytest.approx(scaled.mean().item(), abs=1e-4)
    assert fashion.std.item() == pytest.approx(scaled.std().item(), abs=1e-4)
