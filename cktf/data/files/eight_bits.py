"""A decoded image of any of PIL's modes as upright 8-bit colour, without clipping what has a wider range."""

from typing import TYPE_CHECKING

import numpy as np

from cktf.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

BACKGROUND = "white"
"""What transparent pixels are laid on; the colour that a file hides under them is seen by nobody."""

MADE_BY = f"upright, on {BACKGROUND}, 16 bits to 8"
"""What is done to the pixels of a file, for those who keep what it comes to."""

_DIRECT = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV")
"""Modes of 8 bits a channel or fewer, without transparency, that PIL converts to RGB."""

_WIDE = ("I", "I;16", "I;16L", "I;16B", "I;16N")
"""Grey of 16 bits; but a file's signed or 32-bit numbers, which have no stated white, are of mode I, too."""

_WHITE = {"I": ("PNG", "PPM"), "I;16": ("PNG", "PPM", "JPEG2000", "TIFF")}
"""Wide mode to the formats of which 65,535 is white; of those a PNG or PPM is of one or the other mode in different
versions of PIL."""

_UPRIGHT = {
    **{2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"},
    **{6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"},
}
"""Orientation in a file's EXIF data to the name of what undoes it in `PIL.Image.Transpose`."""

_ORIENTATION, _BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 0x0112, 258, 262, 0

_KEY_SCALE = {"L;2": 85.0, "L;4": 17.0, "RGB;16B": 1 / 256}
"""Layout of a PNG to the factor from its transparent colour, as written, to 8 bits, as decoded."""


class NoRange(InputError):  # noqa: N818  # it names what an image lacks
    """An image is of a mode whose numbers have no stated range, or no colour."""


def eight_bit_colour(image: "Image.Image") -> "Image.Image":
    """Return an opened image as RGB of 8 bits: rotated as its EXIF data ask, transparency laid on `BACKGROUND`.

    Grey of 16 bits is scaled so that its largest value becomes 255.

    Raises:
        NoRange: If it is of a mode whose numbers have no stated range, or that PIL cannot convert to RGB.
    """
    from PIL import Image

    tiles = getattr(image, "tile", [])  # of what comes from a file
    rawmode = str(tiles[0].args) if image.format == "PNG" and tiles else ""
    image.load()  # turns a TIFF itself, and forgets then that it was to be turned
    turn = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    if image.mode in _WIDE:
        colour = _from_wide(image)
    elif image.has_transparency_data:
        key = image.info.get("transparency")
        if rawmode in _KEY_SCALE and key is not None:
            scale = _KEY_SCALE[rawmode]
            image.info["transparency"] = (
                int(key * scale) if isinstance(key, int) else tuple(int(part * scale) for part in key)
            )
        colour = _flattened(image)
    elif image.mode in _DIRECT:
        colour = image.convert("RGB")
    else:
        raise NoRange(_no_range(image))
    return colour.transpose(Image.Transpose[turn]) if turn else colour


def _from_wide(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if image.format not in _WHITE[image.mode[:4]]:
        raise NoRange(_no_range(image))
    white, is_negative = 2**16 - 1, False
    if tags := getattr(image, "tag_v2", None):
        white = 2 ** tags.get(_BITS_PER_SAMPLE, (16,))[0] - 1  # some have 12
        is_negative = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    # PIL says what bytes come first in a wide mode; NumPy reads them by that.
    values = np.asarray(image).astype(np.int32)  # which hold 255 times the largest
    grey = (255 * values + white // 2) // white
    shown = 255 - grey if is_negative else grey
    if (key := image.info.get("transparency")) is not None:
        shown = np.where(values == key, 255, shown)
    return Image.fromarray(shown.astype(np.uint8)).convert("RGB")


def _flattened(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    # The modes of multiplied colour and alpha, La and RGBa, have a way to the other alone.
    plain = {"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)
    seen = image.convert(plain).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), seen).convert("RGB")


def _no_range(image: "Image.Image") -> str:
    return (
        f"a {image.format} of PIL's mode {image.mode}, whose numbers have no stated range or are no colours; save it "
        "with 8 bits a channel, or as 16-bit grey"
    )
