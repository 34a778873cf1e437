"""Images of every mode as upright 8-bit colour, against what each mode means."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from cktf.data.files.image_files import eight_bit_colour
from cktf.errors import InputError

WIDE = np.array([[0, 128, 257, 5000], [32768, 40000, 65407, 65535]], np.uint16)
"""Grey of 16 bits."""


def colours(path: Path, image: Image.Image, **options: Any) -> np.ndarray:
    """Return the pixels (height, width, 3) that an image has after it was saved and read."""
    image.save(path, **options)
    with Image.open(path) as opened:
        return np.asarray(eight_bit_colour(opened))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm", "a.jp2"])
def test_grey_of_16_bits_is_scaled_and_not_clipped(tmp_path: Path, name: str) -> None:
    found = colours(tmp_path / name, Image.fromarray(WIDE))
    expected = np.array([[round(int(value) * 255 / 65535) for value in row] for row in WIDE])
    assert np.array_equal(found, np.repeat(expected[..., None], 3, axis=2))
    assert expected[0, 0] == 0
    assert expected[-1, -1] == 255


def test_the_order_of_bytes_of_16_bits_does_not_matter(tmp_path: Path) -> None:
    big = colours(tmp_path / "big.tif", Image.fromarray(WIDE.astype(">u2")))
    little = colours(tmp_path / "little.tif", Image.fromarray(WIDE), compression="tiff_lzw")
    assert np.array_equal(big, little)


def test_16_bits_of_which_0_is_white_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a TIFF of PIL's mode I;16"):
        colours(tmp_path / "a.tif", Image.fromarray(WIDE), tiffinfo={262: 0})


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (Image.fromarray(WIDE.astype(np.int32)), "I"),
        (Image.fromarray(WIDE.astype(np.float32) / 65535), "F"),
        (Image.new("LAB", (4, 2), (100, 0, 0)), "LAB"),
    ],
)
def test_a_mode_without_a_stated_range_or_colour_is_refused_by_name(
    tmp_path: Path, image: Image.Image, mode: str
) -> None:
    with pytest.raises(InputError, match=rf"a TIFF of PIL's mode {mode}, whose numbers .* 8 bits a channel"):
        colours(tmp_path / "a.tif", image)


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    checks = np.array([[True, False], [False, True]])
    found = colours(tmp_path / "a.png", Image.fromarray(checks))
    assert np.array_equal(found, np.repeat(255 * checks[..., None], 3, axis=2))


def palette() -> Image.Image:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    return image


HIDDEN: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "rgba.png": (Image.new("RGBA", (4, 2), (255, 0, 0, 0)), {}),
    "rgba.tif": (Image.new("RGBA", (4, 2), (255, 0, 0, 0)), {}),
    "rgba.webp": (Image.new("RGBA", (4, 2), (255, 0, 0, 0)), {"lossless": True}),
    "la.png": (Image.new("LA", (4, 2), (0, 0)), {}),
    "palette.png": (palette(), {"transparency": 0}),
    "palette.gif": (palette(), {"transparency": 0}),
    "rgb.png": (Image.new("RGB", (4, 2), (9, 8, 7)), {"transparency": (9, 8, 7)}),
    "grey.png": (Image.new("L", (4, 2), 9), {"transparency": 9}),
    "grey_16.png": (Image.fromarray(np.full((2, 4), 9, np.uint16)), {"transparency": 9}),
}
"""File to an image whose every pixel is transparent, and how it is saved."""


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_transparent_is_white_and_its_hidden_colour_is_not_seen(tmp_path: Path, name: str) -> None:
    image, options = HIDDEN[name]
    assert (colours(tmp_path / name, image, **options) == 255).all()


def test_what_is_half_transparent_is_mixed_with_white(tmp_path: Path) -> None:
    red = Image.new("RGBA", (4, 2), (255, 0, 0, 128))
    assert (colours(tmp_path / "a.png", red) == (255, 127, 127)).all()
    assert (np.asarray(eight_bit_colour(red.convert("RGBa"))) == (255, 127, 127)).all()
    grey = Image.new("L", (4, 2), 0)
    grey.putalpha(128)
    assert (np.asarray(eight_bit_colour(grey)) == 127).all()
    indexed = Image.new("PA", (4, 2), (0, 128))
    indexed.putpalette([255, 0, 0])
    assert (np.asarray(eight_bit_colour(indexed)) == (255, 127, 127)).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_inks_become_colours(tmp_path: Path, name: str) -> None:
    found = colours(tmp_path / name, Image.new("CMYK", (8, 8), (0, 255, 255, 0))).astype(int)
    assert abs(found - (255, 0, 0)).max() <= 2


def test_a_photo_with_malformed_exif_data_is_turned_too(tmp_path: Path) -> None:
    entries = [(0x0112, 3, 6), (0x0128, 4, 70_000)]  # the unit of a resolution should be a number of 16 bits
    fields = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + fields + bytes(4)
    found = colours(tmp_path / "a.jpg", Image.new("RGB", (24, 16)), exif=exif)
    assert found.shape == (24, 16, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
def test_images_are_turned_as_they_ask(tmp_path: Path, orientation: int, suffix: str) -> None:
    marked = np.zeros((16, 24, 3), np.uint8)
    marked[:8, :8], marked[:8, 16:] = 200, 100
    exif = Image.Exif()
    exif[0x0112] = orientation
    of_suffix: dict[str, dict[str, Any]] = {"webp": {"lossless": True}, "jpg": {"quality": 100}}
    options = of_suffix.get(suffix, {})
    found = colours(tmp_path / f"a.{suffix}", Image.fromarray(marked), exif=exif, **options)
    with Image.open(tmp_path / f"a.{suffix}") as opened:
        assert np.array_equal(found, np.asarray(ImageOps.exif_transpose(opened).convert("RGB")))
    # Which corner the brightest square is in, by the standard's words: "row 0 is ..., column 0 is ...".
    corner = [None, (0, 0), (0, -1), (-1, -1), (-1, 0), (0, 0), (0, -1), (-1, -1), (-1, 0)][orientation]
    assert found[corner][0] >= 198
    assert found.shape[:2] == ((16, 24) if orientation < 5 else (24, 16))


def test_grey_of_16_bits_is_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # row 0 is the right side
    found = colours(tmp_path / "a.png", Image.fromarray(WIDE), exif=exif)
    assert found[:, -1, 0].tolist() == [0, 0, 1, 19]
