"""Settings of a network, the networks by name, and how one is built."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from cktf.batch import Activations, Shapes
from cktf.errors import InputError, shown
from cktf.models.adapter import (
    TORCHVISION_PREFIX,
    Adapter,
    build_torchvision,
    require_layers,
    torchvision_layers,
    torchvision_names,
)
from cktf.models.imagenet_resnet import BasicBlock, Bottleneck, ImageNetResNet
from cktf.models.mobilenet import MobileNetV2
from cktf.models.resnet import ResNet, SingleBlock
from cktf.models.shufflenet import ShuffleNet, ShuffleNetV2
from cktf.models.vgg import VGG, rename_numbered_layers
from cktf.models.wide_resnet import WideResNet
from cktf.settings import Settings

_TIMES_4 = (32, 64, 128, 256)

MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "resnet8": partial(ResNet, depth=8),
    "resnet14": partial(ResNet, depth=14),
    "resnet20": partial(ResNet, depth=20),
    "resnet32": partial(ResNet, depth=32),
    "resnet44": partial(ResNet, depth=44),
    "resnet56": partial(ResNet, depth=56),
    "resnet110": partial(ResNet, depth=110),
    "resnet8x4": partial(ResNet, depth=8, widths=_TIMES_4),
    "resnet32x4": partial(ResNet, depth=32, widths=_TIMES_4),
    "resnet5": partial(ResNet, depth=5, block=SingleBlock),
    "resnet5x4": partial(ResNet, depth=5, widths=_TIMES_4, block=SingleBlock),
    "resnet17x4": partial(ResNet, depth=17, widths=_TIMES_4, block=SingleBlock),
    "wrn_16_1": partial(WideResNet, depth=16, width=1),
    "wrn_16_2": partial(WideResNet, depth=16, width=2),
    "wrn_40_1": partial(WideResNet, depth=40, width=1),
    "wrn_40_2": partial(WideResNet, depth=40, width=2),
    "vgg8": partial(VGG, num_convolutions=(1, 1, 1, 1, 1)),
    "vgg11": partial(VGG, num_convolutions=(1, 1, 2, 2, 2)),
    "vgg13": partial(VGG, num_convolutions=(2, 2, 2, 2, 2)),
    "vgg16": partial(VGG, num_convolutions=(2, 2, 3, 3, 3)),
    "vgg19": partial(VGG, num_convolutions=(2, 2, 4, 4, 4)),
    "MobileNetV2": MobileNetV2,
    "ShuffleV1": ShuffleNet,
    "ShuffleV2": ShuffleNetV2,
    "ResNet10": partial(ImageNetResNet, num_blocks=(1, 1, 1, 1), block=BasicBlock),
    "ResNet18": partial(ImageNetResNet, num_blocks=(2, 2, 2, 2), block=BasicBlock),
    "ResNet34": partial(ImageNetResNet, num_blocks=(3, 4, 6, 3), block=BasicBlock),
    "ResNet50": partial(ImageNetResNet, num_blocks=(3, 4, 6, 3), block=Bottleneck),
    "ResNet101": partial(ImageNetResNet, num_blocks=(3, 4, 23, 3), block=Bottleneck),
    "ResNet152": partial(ImageNetResNet, num_blocks=(3, 8, 36, 3), block=Bottleneck),
}
"""Name, as the distillation papers write it, to the constructor that takes (num_classes, in_channels)."""


class ModelConfig(Settings):
    """The network and, for one of torchvision's, the layers that are its representations."""

    model: str
    """A name of `MODELS`, or `torchvision/` and the name of a classification network of torchvision."""

    stem: str | None = None
    """For `torchvision/`: the layer before the first stage."""

    stages: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] | None = None
    """For `torchvision/`: for each stage the layers that are its blocks, from the input to the output."""

    penultimate: str | None = None
    """For `torchvision/`: the layer whose output, flattened, the classifier reads."""

    @field_validator("model")
    @classmethod
    def _require_known(cls, model: str) -> str:
        if model in MODELS:
            return model
        known = torchvision_names() if model.startswith(TORCHVISION_PREFIX) else tuple(MODELS)
        if model not in known:
            close = difflib.get_close_matches(model, known, n=1)
            suggestion = f" (did you mean {shown(close[0])}?)" if close else ""
            raise InputError(f"unknown model {shown(model)}{suggestion}; known: {', '.join(known)}")
        return model

    @model_validator(mode="after")
    def _require_layers_of_torchvision(self) -> Self:
        layers = {
            "stem": [self.stem] if self.stem else [],
            "stages": [name for blocks in self.stages or () for name in blocks],
            "penultimate": [self.penultimate] if self.penultimate else [],
        }
        if self.model in MODELS:
            given = [field for field, names in layers.items() if names]
            if given:
                raise InputError(f"{', '.join(given)}: for {TORCHVISION_PREFIX} only, {self.model} has its own")
            return self
        for field, names in layers.items():
            if not names:
                raise InputError(f"{field}: {self.model} needs the names of its layers that are representations")
            try:
                require_layers(names, torchvision_layers(self.model))
            except InputError as error:
                raise InputError(f"{field}: {error}") from error
        return self


def build_model(model: ModelConfig | str, num_classes: int, image_shape: Sequence[int]) -> nn.Module:
    """Build a network on the CPU whose forward maps images of (channels, height, width) to `Activations`.

    Initial parameters come from PyTorch's global stream: build inside `cktf.seeding.initialisation`.

    Raises:
        ValueError: If the name is unknown, or the network cannot read images of this shape.
    """
    config = ModelConfig(model=model) if isinstance(model, str) else model
    if config.model in MODELS:
        network = MODELS[config.model](num_classes, image_shape[0])
        try:
            measure_shapes(network, image_shape)
        except RuntimeError as error:
            raise InputError(
                f"{config.model}: cannot read images of shape {tuple(image_shape)}; data.side sets another: {error}"
            ) from error
        return network
    layers: dict[str, Any] = {"stem": config.stem, "stages": config.stages, "penultimate": config.penultimate}
    adapter = Adapter(build_torchvision(config.model, num_classes), **layers)
    try:
        adapter.check(image_shape)
    except InputError as error:
        raise InputError(f"{config.model}: {error}") from error
    return adapter


def under_own_keys(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a checkpoint's weights under the keys of the network's state dict, which differ in older checkpoints."""
    return rename_numbered_layers(weights) if isinstance(network, VGG) else dict(weights)


def behind_stages(network: nn.Module) -> tuple[nn.Module, ...]:
    """Return the modules behind the last stage that would change while the stages alone are trained.

    These are the last batch-norm of a wide ResNet, which also makes its last preactivation, and its classifier. In the
    other networks nothing changes behind the stages: their classifiers get no gradient.
    """
    return (network.bn1, network.fc) if isinstance(network, WideResNet) else ()


def normalised_again(network: nn.Module, activations: Activations) -> Activations:
    """Return a network's last activations, with a wide ResNet's preactivations from a second run of its batch-norms."""
    if not isinstance(network, WideResNet):
        return activations
    return replace(activations, preactivations=network.normalised_again(activations.stages))


def measure_shapes(model: nn.Module, image_shape: Sequence[int]) -> Shapes:
    """Return the shapes of a network's activations for images of (channels, height, width).

    One blank image is run in eval mode, which changes neither buffers nor random streams; the mode is restored.
    """
    images = torch.zeros(1, *image_shape, device=next(model.parameters()).device)
    training = model.training
    model.eval()
    with torch.no_grad():
        activations: Activations = model(images)
    model.train(training)
    return activations.shapes(images)
