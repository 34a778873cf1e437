"""Each operation of a whole batch against that of torchvision on one image."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from cktf.data.augmentation.changes import OPERATIONS, operate

STRENGTHS = {
    "identity": (0.0,),
    "shear_x": (0.1237, -0.3),
    "shear_y": (0.21, -0.087),
    "translate_x": (5.9, -3.2),
    "translate_y": (2.0, -7.99),
    "rotate": (17.3, -30.0, 118.0),
    "brightness": (0.3713, -0.8917, 0.0),
    "color": (0.3713, -0.8917, 0.0),
    "contrast": (0.3713, -0.8917, 0.0),
    "sharpness": (0.3713, -0.8917, 0.0),
    "posterize": (4.0, 7.0, 8.0),
    "solarize": (0.31, 0.0, 1.0),
    "autocontrast": (0.0,),
    "equalize": (0.0,),
}
EXACT = {"identity", "translate_x", "translate_y", "posterize", "solarize", "autocontrast", "equalize"}


def reference(image: Tensor, name: str, strength: float) -> Any:
    """Do one operation to one image, as torchvision's classes call its functions."""
    match name:
        case "identity":
            return image
        case "shear_x" | "shear_y":
            degrees = math.degrees(math.atan(strength))
            shear = [degrees, 0.0] if name == "shear_x" else [0.0, degrees]
            return functional.affine(image, angle=0.0, translate=[0, 0], scale=1.0, shear=shear, center=[0, 0])
        case "translate_x" | "translate_y":
            by = [int(strength), 0] if name == "translate_x" else [0, int(strength)]
            return functional.affine(image, angle=0.0, translate=by, scale=1.0, shear=[0.0, 0.0])
        case "rotate":
            return functional.rotate(image, angle=strength)
        case "brightness":
            return functional.adjust_brightness(image, 1 + strength)
        case "color":
            return functional.adjust_saturation(image, 1 + strength)
        case "contrast":
            return functional.adjust_contrast(image, 1 + strength)
        case "sharpness":
            return functional.adjust_sharpness(image, 1 + strength)
        case "posterize":
            return functional.posterize(image, bits=int(strength))
        case "solarize":
            return functional.solarize(image, threshold=255 * strength)
        case "autocontrast":
            return functional.autocontrast(image)
    assert name == "equalize"
    return functional.equalize(image)


def some_images(shape: tuple[int, int, int]) -> Tensor:
    """Smooth ones, dark ones, noise, and one of a single value, for every operation and strength."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randint(256, (4, *shape), generator=generator).float()
    noise[0] = noise[0] / 8 + torch.linspace(0, 200, shape[2])
    noise[1] = noise[1] / 4 + 20
    noise[2] = 77
    return noise.to(torch.uint8)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 9, 14)], ids=str)
def test_every_operation_is_torchvision_s_in_a_batch_of_all(shape: tuple[int, int, int]) -> None:
    asked = [
        (image, name, strength)
        for image in some_images(shape)
        for name, strengths in STRENGTHS.items()
        for strength in strengths
    ]
    images = torch.stack([image for image, _, _ in asked])
    chosen = torch.tensor([OPERATIONS.index(name) for _, name, _ in asked])
    found = operate(images, chosen, torch.tensor([strength for _, _, strength in asked]))
    for (image, name, strength), one in zip(asked, found, strict=True):
        expected = reference(image, name, strength)
        wrong = (one.int() - expected.int()).abs()
        if name in EXACT or strength == 0:
            assert not wrong.any(), (name, strength)
        elif name in ("shear_x", "shear_y", "rotate"):  # where a pixel is as near as another, rounding decides
            assert (wrong > 0).double().mean() < 0.03, (name, strength)
        else:
            assert wrong.max() <= 1, (name, strength)
            is_flat = bool((image == image[0, 0, 0]).all())  # torchvision's truncation may darken what should stay
            assert is_flat or (wrong > 0).double().mean() < 0.03, (name, strength)
    changed = {name for (image, name, _), one in zip(asked, found, strict=True) if not torch.equal(image, one)}
    idle = {"color"} if shape[0] == 1 else set()  # grey has no colour
    idle |= {"equalize"} if shape[1] * shape[2] < 256 else set()  # fewer pixels than values, as in PIL
    assert changed == {*OPERATIONS[1:]} - idle


def test_what_an_image_becomes_does_not_depend_on_its_batch() -> None:
    images = torch.randint(256, (28, 3, 17, 12), dtype=torch.uint8)
    chosen = torch.arange(28) % len(OPERATIONS)
    strengths = torch.full((28,), 0.3)
    together = operate(images, chosen, strengths)
    alone = [operate(images[i : i + 1], chosen[i : i + 1], strengths[i : i + 1]) for i in range(28)]
    assert torch.equal(torch.cat(alone), together)


def test_an_image_too_small_to_blur_is_left_as_it_is() -> None:
    images = torch.randint(256, (1, 3, 2, 2), dtype=torch.uint8)
    sharpened = operate(images, torch.tensor([OPERATIONS.index("sharpness")]), torch.tensor([-0.5]))
    assert torch.equal(sharpened, functional.adjust_sharpness(images, 0.5))
