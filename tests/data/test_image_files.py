"""Images that are decoded from files."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from cktf.data.image_files import image_names, read_image_files
from cktf.data.pixel_file import mapped_images


def write_image(path: Path, mode: str = "RGB", size: tuple[int, int] = (12, 12)) -> Image.Image:
    """Write an image of noise and return it in colour; size is (width, height)."""
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    image = Image.fromarray(np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8), mode)
    image.save(path)
    return image.convert("RGB")


def pixels(image: Image.Image) -> Tensor:
    return functional.pil_to_tensor(image)


def test_an_image_of_the_right_side_keeps_its_pixels(tmp_path: Path) -> None:
    expected = [pixels(write_image(tmp_path / "a.png")), pixels(write_image(tmp_path / "b.bmp"))]
    files = [tmp_path / "a.png", tmp_path / "b.bmp"]
    images = read_image_files("some", files, side=12)
    assert images.dtype == torch.uint8
    assert torch.equal(images, torch.stack(expected))


def test_grey_images_are_read_in_colour(tmp_path: Path) -> None:
    expected = pixels(write_image(tmp_path / "image.png", "L"))
    assert torch.equal(read_image_files("some", [tmp_path / "image.png"], side=12)[0], expected)


@pytest.mark.parametrize("size", [(24, 12), (12, 36)], ids=["wide", "high"])
def test_a_long_image_is_cut_out_of_the_middle(tmp_path: Path, size: tuple[int, int]) -> None:
    image = write_image(tmp_path / "image.png", size=size)
    (result,) = read_image_files("some", [tmp_path / "image.png"], side=12)
    assert torch.equal(result, functional.center_crop(pixels(image), [12, 12]))


def test_a_large_image_is_scaled_with_antialiasing_and_then_cut(tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.png", size=(64, 40))
    (result,) = read_image_files("some", [tmp_path / "image.png"], side=10)
    scaled = functional.resize(pixels(image).float(), [10, 16], antialias=True)
    expected = functional.center_crop(scaled, [10, 10])
    assert (result - expected).abs().max() < 1.01  # PIL rounds after rows and again after columns


def test_a_file_that_changes_is_decoded_again(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "image.png"
    write_image(path)
    before = read_image_files("some", [path], side=12)
    state = path.stat()
    Image.new("RGB", (12, 12), "red").save(path)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    after = read_image_files("some", [path], side=12)
    assert not torch.equal(before, after)
    assert after[0, :, 3, 4].tolist() == [255, 0, 0]
    assert len(list(cache.glob("some-*"))) == 2


@pytest.mark.parametrize("content", [b"", b"no image at all", None], ids=["empty", "text", "cut short"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "damaged.jpg"
    write_image(path, size=(64, 64))
    path.write_bytes(path.read_bytes()[:900] if content is None else content)
    with pytest.raises(ValueError, match=f"data.root: {path} is not an image, or is damaged"):
        read_image_files("some", [path], side=12)


def test_an_image_without_a_stated_range_is_named(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    Image.new("F", (12, 12), 0.5).save(path)
    with pytest.raises(ValueError, match=f"data.root: {path} is a TIFF of PIL's mode F, whose numbers"):
        read_image_files("some", [path], side=12)


def test_pixels_that_an_earlier_version_has_stored_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.new("LA", (12, 12), (0, 0)).save(path)
    state = path.stat()
    source = f"{path.absolute()} {state.st_size} {state.st_mtime_ns}"
    before = mapped_images("some", [source], (1, 3, 12, 12), lambda: iter([torch.zeros(1, 3, 12, 12).byte()]))
    assert not before.any()
    assert (read_image_files("some", [path], side=12) == 255).all()


def test_a_system_that_does_not_tell_a_process_s_cores_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    write_image(tmp_path / "image.png")
    assert read_image_files("some", [tmp_path / "image.png"], side=12).shape == (1, 3, 12, 12)


def test_what_is_no_image_by_its_name_is_passed_over(tmp_path: Path) -> None:
    for name in ("b.JPEG", "a.png", "c.webp", "notes.txt", "only_written.pdf", ".hidden.png", "image"):
        (tmp_path / name).touch()
    assert image_names(tmp_path) == ["a.png", "b.JPEG", "c.webp"]
    assert image_names(tmp_path / "nowhere") == []
