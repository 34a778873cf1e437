"""Image files of several formats and modes, decoded into tensors of square, upright, 8-bit colour images."""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cktf.data.files.mapped import mapped_images
from cktf.data.files.places import some_of, state_of
from cktf.errors import InputError, visible

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""PIL's names of the formats that are read, whatever the files' suffixes; without EPS, which Ghostscript would run."""

_AT_A_TIME = 1024  # images in memory while files are decoded

BACKGROUND = "white"
"""Background of transparent pixels, whatever colour the file stores in them."""

MADE_BY = f"upright, on {BACKGROUND}, 16 bits to 8"
"""Description of how pixels are converted; it enters the hash by which the file of decoded images is named."""

_DIRECT = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV")
"""Modes of 8 bits a channel or fewer, without transparency, that PIL converts to RGB."""

_WIDE = ("I", "I;16", "I;16L", "I;16B", "I;16N")
"""PIL's modes of 16-bit grey. Mode I also holds signed and 32-bit numbers, which have no stated white."""

_WHITE = {"I": ("PNG", "PPM"), "I;16": ("PNG", "PPM", "JPEG2000", "TIFF")}
"""Wide mode to the formats in which 65,535 is white; the mode of PNG and PPM differs between versions of PIL."""

_UPRIGHT = {
    **{2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"},
    **{6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"},
}
"""EXIF orientation -> the name, in `PIL.Image.Transpose`, of the operation that undoes it."""

_ORIENTATION, _BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 0x0112, 258, 262, 0

_OTHER_KEY = ("L;2", "L;4", "RGB;16B")
"""PNG layouts for which PIL gives the transparent colour at another bit depth than the decoded pixels."""


Encoded = tuple[str, Path | bytes]
"""An image's name, for messages, and its path or its encoded bytes."""


class DamagedImages(InputError):  # noqa: N818  # it names what the user is told
    """Files cannot be read as images; ``found`` has the name of each, as displayed, and what is wrong with it."""

    def __init__(self, found: Sequence[tuple[str, str]]) -> None:
        self.found = tuple(found)
        intro = f"{len(found):,} files cannot be read: " if len(found) > 1 else ""
        super().__init__(f"data.root: {intro}{some_of([' '.join(each) for each in found])}")


def read_image_files(name: str, parts: Mapping[str, Sequence[Path]], side: int) -> list[Tensor]:
    """Return the images of each part, (samples, 3, side, side), uint8, decoded once and mapped from then on.

    Images are converted by `eight_bit_colour`, scaled, and cut out of the middle to squares of ``side`` pixels. A part
    is decoded again when a file's path, size or modification time has changed. Each part has at least one file.

    Raises:
        DamagedImages: If files of any part are no images, are too large, or are of a mode without a stated range.
        ValueError: If the decoded images cannot be written.
    """
    images: list[Tensor] = []
    damaged: list[tuple[str, str]] = []
    for part, files in parts.items():
        sources = [MADE_BY, *map(state_of, files)]
        shape = len(files), 3, side, side
        try:
            make = partial(decoded, [(visible(str(file)), file) for file in files], side)
            images.append(mapped_images(f"{name}-{part}", sources, shape, make))
        except DamagedImages as error:
            damaged += error.found
    if damaged:
        raise DamagedImages(damaged)
    return images


def size_of(image: Encoded) -> int:
    """Return the side of a square image; raise a DamagedImages if it is not square or cannot be read."""
    name, file = image
    with _opened(file, name) as opened:
        width, height = opened.size
    if width != height:
        raise DamagedImages([(name, f"has {width} x {height} pixels; data.side makes squares of them")])
    return width


def decoded(images: Iterable[Encoded], side: int, *, is_exact: bool = False) -> Iterator[Tensor]:
    """Yield batches of images as squares, (some, 3, side, side), uint8; with `is_exact` each must have this side.

    Raises:
        DamagedImages: If some cannot be read; all of these are named.
    """
    # Threads will do, for PIL decodes and scales without Python's lock.
    # Only some systems tell which cores a process may use.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    damaged: list[tuple[str, str]] = []
    with ThreadPoolExecutor(cores) as pool:
        remaining = iter(images)
        while some := list(islice(remaining, _AT_A_TIME)):
            with warnings.catch_warnings(action="ignore"):
                found = list(pool.map(lambda image: _square(image, side, is_exact=is_exact), some))
            damaged += [each for each in found if not isinstance(each, Tensor)]
            if not damaged:  # else the rest is decoded only to name all damaged files at once
                yield torch.stack([image for image in found if isinstance(image, Tensor)])
    if damaged:
        raise DamagedImages(damaged)


def _square(image: Encoded, side: int, *, is_exact: bool) -> Tensor | tuple[str, str]:
    """Return one image, (3, side, side), uint8: scaled bilinearly with antialiasing, cut where it is too long.

    For a file that cannot be read: its name, and what is wrong with it.
    """
    from PIL import Image, ImageOps

    name, file = image
    try:
        with _opened(file, name) as opened:
            colour = eight_bit_colour(opened)
            if is_exact and colour.size != (side, side):
                size = " x ".join(map(str, colour.size))
                return name, f"has {size} pixels, and the first {side} x {side}; data.side scales all to one"
            square = ImageOps.fit(colour, (side, side), Image.Resampling.BILINEAR)
    except DamagedImages as error:
        return error.found[0]
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)  # PIL has the channels last


@contextmanager
def _opened(file: Path | bytes, name: str) -> Iterator["Image.Image"]:
    """Open an image; any error in it, such as exceeding PIL's size limit, becomes a `DamagedImages` that names it."""
    from PIL import Image, UnidentifiedImageError

    source = BytesIO(file) if isinstance(file, bytes) else file
    try:
        Image.init()
        with Image.open(source, formats=[name for name in _FORMATS if name in Image.OPEN]) as image:
            yield image
            return
    except DamagedImages:
        raise
    except InputError as error:
        what = f"is {error}"
    except UnidentifiedImageError:
        what = "is not an image, or is damaged"
    except Exception as error:  # a damaged file raises whatever its bytes lead the decoder to
        what = f"is not an image, or is damaged: {str(error)[:200]}"
    raise DamagedImages([(name, what)])


def eight_bit_colour(image: "Image.Image") -> "Image.Image":
    """Return an opened image as RGB of 8 bits: rotated as its EXIF data ask, transparency laid on `BACKGROUND`.

    Grey of 16 bits is scaled so that its largest value becomes 255.

    Raises:
        InputError: If its pixel values have no stated range, or PIL cannot convert them to RGB.
    """
    from PIL import Image

    tiles = getattr(image, "tile", [])  # only images from a file have it
    is_other = image.format == "PNG" and tiles and str(tiles[0].args) in _OTHER_KEY
    has_other_key = bool(is_other) and "transparency" in image.info
    image.load()  # rotates a TIFF itself, and then drops its orientation
    # Not by `ImageOps.exif_transpose`, which writes the EXIF data anew and fails if any of them is malformed.
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    colour = _in_colour(image, has_other_key=has_other_key)
    return colour.transpose(Image.Transpose[turn]) if turn else colour


def _in_colour(image: "Image.Image", *, has_other_key: bool) -> "Image.Image":
    from PIL import Image

    if image.mode in _WIDE and _is_scaled(image):
        return _from_wide(image)
    if image.has_transparency_data and not has_other_key:
        # La and RGBa, in which colour is multiplied by alpha, can only be converted to LA and RGBA.
        with_alpha = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), with_alpha).convert("RGB")
    if image.mode in _DIRECT and not has_other_key:
        return image.convert("RGB")
    raise InputError(
        f"a {image.format} of PIL's mode {image.mode}, whose numbers have no stated range or are no colours; save it "
        "with 8 bits a channel, or as 16-bit grey"
    )


def _is_scaled(image: "Image.Image") -> bool:
    """Return whether 65,535 is white in an image of a wide mode."""
    tags = getattr(image, "tag_v2", {})
    is_usual = tags.get(_BITS_PER_SAMPLE, (16,))[0] == 16 and tags.get(_PHOTOMETRIC) != _WHITE_IS_ZERO
    return is_usual and image.format in _WHITE[image.mode[:4]]


def _from_wide(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    # PIL's mode states the order of bytes, by which NumPy reads them.
    values = np.asarray(image).astype(np.int32)  # holds 255 * 65,535
    white = 2**16 - 1
    grey = (255 * values + white // 2) // white
    if (key := image.info.get("transparency")) is not None:
        grey = np.where(values == key, 255, grey)
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
