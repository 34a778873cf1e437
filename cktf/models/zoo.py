"""The networks of torchvision and timm by name, and their published weights."""

import difflib
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from cktf.errors import InputError, shown

TORCHVISION_PREFIX = "torchvision/"
TIMM_PREFIX = "timm/"
PREFIXES = (TORCHVISION_PREFIX, TIMM_PREFIX)
"""Prefixes of the names of other libraries' networks."""


def _timm() -> Any:
    try:
        import timm  # optional, and slow to import
    except ImportError as error:
        raise InputError(f"{TIMM_PREFIX} needs the package timm: pip install 'cktf[timm]' ({error})") from error
    return timm


def require_in_zoo(model: str) -> None:
    """Raise an InputError if the library has no network of this name whose output is logits alone, or is missing."""
    name = model.partition("/")[2]
    if model.startswith(TIMM_PREFIX):
        timm = _timm()
        if timm.is_model(name):
            return
        known = timm.list_models()
    else:
        from torchvision import models  # slow to import, and needed for these networks alone

        known = [each for each in models.list_models(module=models) if each not in {"googlenet", "inception_v3"}]
        if name in known:
            return
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {shown(model.removesuffix(name) + close[0])}?)" if close else ""
    library = "timm" if model.startswith(TIMM_PREFIX) else "torchvision.models"
    raise InputError(f"unknown model {shown(model)}{hint}; {library}.list_models() lists all")


@cache
def zoo_layers(model: str) -> tuple[str, ...]:
    """Return the names of all layers of a network; the global random stream is left unchanged."""
    # Not on the meta device: some networks compute their widths with tensors.
    with torch.random.fork_rng(devices=[]):
        return tuple(layer for layer, _ in build_from_zoo(model, num_classes=2).named_modules())


def build_from_zoo(
    model: str, num_classes: int, image_shape: Sequence[int] | None = None, *, is_pretrained: bool = False
) -> nn.Module:
    """Return the network with a prefixed name, for images of (channels, height, width); None: of its usual shape.

    Position embeddings are made for that size; torchvision's networks read a grey image as three equal channels. With
    ``is_pretrained`` a timm network has its published weights, and a new classifier for another number of classes;
    else nothing is downloaded.

    Raises:
        ValueError: If it cannot be built for such images, or its weights cannot be had.
    """
    library, _, name = model.partition("/")
    timm = _timm() if library == "timm" else None
    options: dict[str, Any] = {"num_classes": num_classes}
    try:
        if timm is None:
            from torchvision import models

            if image_shape and name.startswith("vit_"):
                options["image_size"] = image_shape[-1]
            network: nn.Module = models.get_model(name, weights=None, **options)
            if image_shape and image_shape[0] == 1:
                network.register_forward_pre_hook(_repeat_grey)
            return network
        if image_shape:
            options |= {"in_chans": image_shape[0], "img_size": tuple(image_shape[1:])}
        try:
            network = timm.create_model(name, pretrained=is_pretrained, **options)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            del options["img_size"]
            network = timm.create_model(name, pretrained=is_pretrained, **options)
    except Exception as error:
        if is_pretrained:
            build_from_zoo(model, num_classes, image_shape)  # which raises its own error if the images are the cause
            raise _unavailable(error) from error
        shape = tuple(image_shape or ())
        raise InputError(f"cannot read images of shape {shape}; data.side sets another: {error}") from error
    return network


def _repeat_grey(_: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    return inputs[0].expand(-1, 3, -1, -1)


def torchvision_weights(model: str, side: int) -> dict[str, Tensor]:
    """Return the weights that torchvision publishes for a network with a prefixed name, cached or downloaded.

    A ViT's position embeddings are interpolated to images of ``side`` pixels.
    """
    from torchvision import models
    from torchvision.models.vision_transformer import interpolate_embeddings

    name = model.removeprefix(TORCHVISION_PREFIX)
    try:
        weights = models.get_model_weights(name)["DEFAULT"].get_state_dict(progress=False, check_hash=True)
    except Exception as error:
        raise _unavailable(error) from error
    if name.startswith("densenet"):  # their files have an older version's keys, which torchvision renames like this
        renamed = (re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", key) for key in weights)
        weights = dict(zip(renamed, weights.values(), strict=True))
    if name.startswith("vit_"):
        weights = interpolate_embeddings(side, int(name.rpartition("_")[2]), weights)
    return dict(weights)


def _unavailable(error: Exception) -> InputError:
    return InputError(
        "weights: default: they are not on this machine and cannot be loaded from the network; name a file of them "
        f"under weights ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
    )
