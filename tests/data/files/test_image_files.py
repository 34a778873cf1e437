"""Images that are decoded from files."""

import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from cktf.data.files.image_files import DamagedImages, read_image_files
from cktf.data.files.mapped import mapped_images


def write_image(path: Path, mode: str = "RGB", size: tuple[int, int] = (12, 12)) -> Image.Image:
    """Write an image of noise and return it in colour; size is (width, height)."""
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    image = Image.fromarray(np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8), mode)
    image.save(path)
    return image.convert("RGB")


def read(name: str, files: list[Path], side: int) -> Tensor:
    (images,) = read_image_files(name, {"part": files}, side)
    return images


def pixels(image: Image.Image) -> Tensor:
    decoded: Tensor = functional.pil_to_tensor(image)
    return decoded


def test_an_image_of_the_right_side_keeps_its_pixels(tmp_path: Path) -> None:
    expected = [pixels(write_image(tmp_path / "a.png")), pixels(write_image(tmp_path / "b.bmp"))]
    files = [tmp_path / "a.png", tmp_path / "b.bmp"]
    images = read("some", files, side=12)
    assert images.dtype == torch.uint8
    assert torch.equal(images, torch.stack(expected))


def test_grey_images_are_read_in_colour(tmp_path: Path) -> None:
    expected = pixels(write_image(tmp_path / "image.png", "L"))
    assert torch.equal(read("some", [tmp_path / "image.png"], side=12)[0], expected)


@pytest.mark.parametrize("size", [(24, 12), (12, 36)], ids=["wide", "high"])
def test_a_long_image_is_cut_out_of_the_middle(tmp_path: Path, size: tuple[int, int]) -> None:
    image = write_image(tmp_path / "image.png", size=size)
    (result,) = read("some", [tmp_path / "image.png"], side=12)
    assert torch.equal(result, functional.center_crop(pixels(image), [12, 12]))


def test_a_large_image_is_scaled_with_antialiasing_and_then_cut(tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.png", size=(64, 40))
    (result,) = read("some", [tmp_path / "image.png"], side=10)
    scaled = functional.resize(pixels(image).float(), [10, 16], antialias=True)
    expected = functional.center_crop(scaled, [10, 10])
    assert (result - expected).abs().max() < 1.01  # PIL rounds after rows and again after columns


def test_a_file_that_changes_is_decoded_again(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "image.png"
    write_image(path)
    before = read("some", [path], side=12)
    state = path.stat()
    Image.new("RGB", (12, 12), "red").save(path)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    after = read("some", [path], side=12)
    assert not torch.equal(before, after)
    assert after[0, :, 3, 4].tolist() == [255, 0, 0]
    assert len(list(cache.glob("some-*"))) == 2


@pytest.mark.parametrize("content", [b"", b"no image at all", None], ids=["empty", "text", "cut short"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "damaged.jpg"
    write_image(path, size=(64, 64))
    path.write_bytes(path.read_bytes()[:900] if content is None else content)
    with pytest.raises(ValueError, match=f"data.root: {path} is not an image, or is damaged"):
        read("some", [path], side=12)


def test_an_image_without_a_stated_range_is_named(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    Image.new("F", (12, 12), 0.5).save(path)
    with pytest.raises(ValueError, match=f"data.root: {path} is a TIFF of PIL's mode F, whose numbers"):
        read("some", [path], side=12)


def test_pixels_that_an_earlier_version_has_stored_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.new("LA", (12, 12), (0, 0)).save(path)
    state = path.stat()
    source = f"{path.absolute()} {state.st_size} {state.st_mtime_ns}"
    before = mapped_images("some", [source], (1, 3, 12, 12), lambda: iter([torch.zeros(1, 3, 12, 12).byte()]))
    assert not before.any()
    assert (read("some", [path], side=12) == 255).all()


def test_a_system_that_does_not_tell_a_process_s_cores_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    write_image(tmp_path / "image.png")
    assert read("some", [tmp_path / "image.png"], side=12).shape == (1, 3, 12, 12)


def png_of_zeros(path: Path, width: int, height: int) -> None:
    """Write a small file that unpacks to a black image of any size, without ever having it in memory."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)


def test_an_image_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    png_of_zeros(path, 30_000, 8192)
    with warnings.catch_warnings(record=True) as caught, pytest.raises(ValueError, match=f"{path} .*exceeds limit"):
        read("some", [path], side=12)
    assert caught == []


def test_the_largest_image_is_read(tmp_path: Path) -> None:
    png_of_zeros(tmp_path / "large.png", 8192, 8192)
    assert not read("some", [tmp_path / "large.png"], side=8).any()


def test_all_damaged_files_of_all_parts_are_named_at_once(tmp_path: Path, cache: Path) -> None:
    parts = {"train": [tmp_path / f"train_{n}.png" for n in range(9)], "test": [tmp_path / "test.png"]}
    for file in [*parts["train"], *parts["test"]]:
        write_image(file)
    parts["train"][0].write_bytes(b"")
    for file in (*parts["train"][2:8], *parts["test"]):
        file.write_bytes(b"no image")
    whole = parts["train"][1].read_bytes()
    parts["train"][1].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedImages) as told:
        read_image_files("some", parts, side=12)
    assert sorted(file for file, _ in told.value.found) == [
        str(file) for file in sorted([*parts["train"][:8], *parts["test"]])
    ]
    message = str(told.value)
    assert "9 files cannot be read" in message
    assert all(f"{file} is not an image, or is damaged" in message for file in parts["train"][:3])
    assert message.endswith(" and 6 more")
    assert list(cache.glob("some-*")) == [], "nothing half-made is left"


def test_what_a_file_is_called_does_not_hand_it_to_another_program(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(ValueError, match=r"image\.png is not an image, or is damaged"):
        read("some", [path], side=12)


def test_a_file_whose_name_is_not_utf_8_is_read_and_named(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    expected = pixels(write_image(path))
    assert torch.equal(read("some", [path], side=12)[0], expected)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"caf\\udce9\.png is not an image"):
        read("some", [path], side=12)
