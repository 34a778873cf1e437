"""Settings of a network, the networks by name, and how one is built."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from cktf.batch import Activations, Layers, Shapes
from cktf.errors import InputError, shown, within
from cktf.models.adapter import LOGITS, Adapter, require_layers, run_blank
from cktf.models.families import classifier_keys, default_layers
from cktf.models.mobilenet import STAGES, MobileNetV2
from cktf.models.resnet import BasicBlock, Bottleneck, ResNet, SingleBlock
from cktf.models.shufflenet import ShuffleNet, ShuffleNetV2
from cktf.models.vgg import VGG, rename_numbered_layers
from cktf.models.wide_resnet import WideResNet
from cktf.models.zoo import (
    PREFIXES,
    TORCHVISION_PREFIX,
    build_from_zoo,
    require_in_zoo,
    torchvision_weights,
    zoo_layers,
)
from cktf.settings import Settings

_TIMES_4 = (32, 64, 128, 256)

_imagenet_resnet = partial(
    ResNet,
    widths=(64, 64, 128, 256, 512),
    block=partial(BasicBlock, name_of_shortcut="shortcut"),
    classifier="linear",
)
_bottleneck_resnet = partial(_imagenet_resnet, widths=(64, 256, 512, 1024, 2048), block=Bottleneck)

MODELS: dict[str, Callable[..., nn.Module]] = {
    **{f"resnet{2 + 6 * num}": partial(ResNet, num_blocks=(num, num, num)) for num in (1, 2, 3, 5, 7, 9, 18)},
    "resnet8x4": partial(ResNet, num_blocks=(1, 1, 1), widths=_TIMES_4),
    "resnet32x4": partial(ResNet, num_blocks=(5, 5, 5), widths=_TIMES_4),
    "resnet5": partial(ResNet, num_blocks=(1, 1, 1), block=SingleBlock),
    "resnet5x4": partial(ResNet, num_blocks=(1, 1, 1), widths=_TIMES_4, block=SingleBlock),
    "resnet17x4": partial(ResNet, num_blocks=(5, 5, 5), widths=_TIMES_4, block=SingleBlock),
    **{f"wrn_{depth}_{width}": partial(WideResNet, depth=depth, width=width) for depth in (16, 40) for width in (1, 2)},
    "vgg8": partial(VGG, num_convolutions=(1, 1, 1, 1, 1)),
    "vgg11": partial(VGG, num_convolutions=(1, 1, 2, 2, 2)),
    "vgg13": partial(VGG, num_convolutions=(2, 2, 2, 2, 2)),
    "vgg16": partial(VGG, num_convolutions=(2, 2, 3, 3, 3)),
    "vgg19": partial(VGG, num_convolutions=(2, 2, 4, 4, 4)),
    "MobileNetV2": MobileNetV2,
    "ShuffleV1": ShuffleNet,
    "ShuffleV2": ShuffleNetV2,
    "ResNet10": partial(_imagenet_resnet, num_blocks=(1, 1, 1, 1)),
    "ResNet18": partial(_imagenet_resnet, num_blocks=(2, 2, 2, 2)),
    "ResNet34": partial(_imagenet_resnet, num_blocks=(3, 4, 6, 3)),
    "ResNet50": partial(_bottleneck_resnet, num_blocks=(3, 4, 6, 3)),
    "ResNet101": partial(_bottleneck_resnet, num_blocks=(3, 4, 23, 3)),
    "ResNet152": partial(_bottleneck_resnet, num_blocks=(3, 8, 36, 3)),
}
"""Name, as the distillation papers write it, to the constructor that takes (num_classes, in_channels)."""


SCALED = frozenset(name for name in MODELS if name.startswith(("resnet", "wrn", "vgg")))
"""Names of the networks whose channels `ModelConfig.width` scales."""

BUILT_IN = frozenset(MODELS)
"""Names of the networks that return all their representations."""

DEFAULT_WEIGHTS = "default"
"""Value of `ModelConfig.weights` for the weights that a library publishes."""


class ModelConfig(Settings):
    """The network, its initial parameters and, if it is not CKTF's own, the layers that are its representations."""

    model: str
    """A name of `MODELS`, or `torchvision/` or `timm/` and the name of a classification network there."""

    width: float = Field(default=1.0, gt=0, le=16)
    """Multiplier of all layers' channels, for `resnet`, `wrn` and `vgg` networks: a student's size as a factor."""

    stem: str | None = Field(default=None, min_length=1)
    """For `torchvision/` and `timm/`: the layer before the first stage. Not set, as for the next two keys: the layer
    known for the network's family (see `cktf layers`)."""

    stages: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] | None = Field(default=None, min_length=1)
    """For `torchvision/` and `timm/`: for each stage the layers that are its blocks, from the input to the output."""

    penultimate: str | None = Field(default=None, min_length=1)
    """For `torchvision/` and `timm/`: the layer whose output, flattened, the classifier reads."""

    weights: str | None = None
    """Initial parameters: a file of weights, or `default`, those that torchvision or timm publishes. The classifier is
    new if the file has none or one for another number of classes. Not set: random."""

    weights_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 that the file of `weights` must have; a study fills it in when it is planned, as that of a teacher's
    checkpoint."""

    @property
    def weights_file(self) -> str | None:
        """The file of the initial parameters; None if there is none."""
        return None if self.weights == DEFAULT_WEIGHTS else self.weights

    @field_validator("model")
    @classmethod
    def _require_known(cls, model: str) -> str:
        if model.startswith(PREFIXES):
            require_in_zoo(model)
        elif model not in MODELS:
            close = difflib.get_close_matches(model, MODELS, n=1)
            hint = f" (did you mean {shown(close[0])}?)" if close else ""
            known = f"{', '.join(MODELS)}, and those of {' and '.join(PREFIXES)}"
            raise InputError(f"unknown model {shown(model)}{hint}; known: {known}")
        return model

    @model_validator(mode="after")
    def _names_go_together(self) -> Self:
        layers = {
            "stem": [self.stem] if self.stem else [],
            "stages": [name for blocks in self.stages or () for name in blocks],
            "penultimate": [self.penultimate] if self.penultimate else [],
        }
        given = {field: names for field, names in layers.items() if names}
        if given and self.model in BUILT_IN:
            raise InputError(f"{', '.join(given)}: for {' and '.join(PREFIXES)} only, {self.model} has its own")
        for field, names in given.items() if self.model.startswith(PREFIXES) else ():
            with within(field):
                require_layers(names, zoo_layers(self.model))
        if self.width != 1 and self.model not in SCALED:
            raise InputError(f"width: is of {', '.join(sorted(SCALED))}; got {self.width:g} with {self.model}")
        if self.weights == DEFAULT_WEIGHTS and not self.model.startswith(PREFIXES):
            raise InputError(f"weights: default is of {' and '.join(PREFIXES)}; name a file of weights of {self.model}")
        if self.weights_sha256 is not None and self.weights_file is None:
            raise InputError("weights_sha256: is that of a file of weights, and none is named")
        return self


def build_model(model: ModelConfig | str, num_classes: int, image_shape: Sequence[int]) -> nn.Module:
    """Return a network on the CPU whose forward maps images of (channels, height, width) to `Activations`.

    Initial parameters come from PyTorch's global stream: build inside `cktf.seeding.initialisation`. Published weights
    are loaded, a file of weights is not.

    Raises:
        ValueError: If the network is unknown or cannot read images of this shape, or published weights are unavailable.
    """
    config = ModelConfig(model=model) if isinstance(model, str) else model
    is_pretrained = config.weights == DEFAULT_WEIGHTS
    named = {"stem": config.stem, "stages": config.stages, "penultimate": config.penultimate}
    given: dict[str, Any] = {name: value for name, value in named.items() if value}
    with within(config.model):
        if config.model in MODELS:
            options = {"scale": config.width} if config.width != 1 else {}
            network = MODELS[config.model](num_classes, image_shape[0], **options)
            found = run_blank(network, image_shape, [LOGITS])[0][LOGITS]
            logits = found.logits if isinstance(found, Activations) else found
            if not isinstance(logits, Tensor) or logits.shape != (1, num_classes):
                got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
                wanted = f"logits, (batch, {num_classes}), alone or in cktf.batch.Activations"
                raise InputError(f"its forward must return {wanted}; of one image got {got}")
            if isinstance(found, Activations):
                if given:
                    raise InputError("stem, stages and penultimate: the network returns its own")
                _require_shapes(found)
                return network
        else:
            network = build_from_zoo(config.model, num_classes, image_shape, is_pretrained=is_pretrained)
        known = default_layers(network, image_shape) if len(given) < len(named) else {}
        adapter = Adapter(network, **(known | given))
        adapter.check(image_shape)
        if is_pretrained and config.model.startswith(TORCHVISION_PREFIX):
            weights = torchvision_weights(config.model, image_shape[-1])
            try:
                adapter.load_state_dict(with_own_classifier(adapter, weights))
            except RuntimeError as error:  # such as a classifier that is no linear layer, for other classes
                said = " ".join(str(error).split())[:300]
                raise InputError(f"weights: default: those that are published do not fit: {said}") from error
    return adapter


def _require_shapes(found: Activations) -> None:
    """Raise an InputError if the shapes of a network's activations are not those that `Activations` says."""
    parts = [("penultimate", found.penultimate, 2), ("stem", found.stem, 4), ("pooled", found.pooled, 4)]
    parts += [(f"stages[{number}]", block, 4) for number, blocks in enumerate(found.stages) for block in blocks]
    for name, values, dimensions in parts:
        if values is not None and values.dim() != dimensions:
            wanted = "(batch, features)" if name == "penultimate" else "(batch, channels, height, width)"
            raise InputError(f"its forward must return {name} as {wanted}; of one image got {tuple(values.shape)}")
    ends = [tuple(blocks[-1].shape) for blocks in found.stages]
    if found.preactivations and (got := [tuple(each.shape) for each in found.preactivations]) != ends:
        raise InputError(f"its forward must return preactivations like each stage's last block, {ends}; got {got}")


def with_own_classifier(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``weights`` with the network's own classifier if theirs is missing or for another number of classes."""
    prefixes = classifier_keys(network)
    own = {key: value for key, value in network.state_dict().items() if key.startswith(prefixes)}
    if all(key in weights and weights[key].shape == value.shape for key, value in own.items()):
        return dict(weights)
    return {key: value for key, value in weights.items() if key not in own} | own


def under_own_keys(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a checkpoint's weights under the network's own keys; older checkpoints of VGG number their layers."""
    return rename_numbered_layers(weights) if isinstance(network, VGG) else dict(weights)


def inner_layers(network: nn.Module) -> Layers:
    """Return the classifier and the last batch-norm of each stage; none for a network in an `Adapter`."""
    if any(isinstance(module, Adapter) for module in network.modules()):
        return Layers()
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    batch_norms = (found for module in network.modules() if (found := _stage_batch_norms(module)))
    return Layers(linear[-1] if linear else None, next(batch_norms, ()))


def _stage_batch_norms(network: nn.Module) -> tuple[nn.BatchNorm2d, ...]:
    """Return the batch-norm before the ReLU at the end of each stage; empty if they are not known.

    In a residual block it is that of the residual branch, as published: it does not see the shortcut. The ShuffleNets
    have no batch-norm through which all of a stage's channels go.
    """
    stages: list[nn.Module]
    match network:
        case WideResNet():
            return network.readers()
        case VGG():
            stages = [network.block1, network.block2, network.block3, network.block4]
        case MobileNetV2():
            stages = [network.blocks[number] for number in STAGES]
        case ResNet():
            stages = [*network.stages]
        case _:
            return ()
    return tuple(_last_batch_norm(stage) for stage in stages)


def _last_batch_norm(stage: nn.Module) -> nn.BatchNorm2d:
    return [
        layer
        for name, layer in stage.named_modules()
        if isinstance(layer, nn.BatchNorm2d) and not {"shortcut", "downsample"} & {*name.split(".")}
    ][-1]


def behind_stages(network: nn.Module) -> tuple[nn.Module, ...]:
    """Return the modules behind the last stage whose parameters would change while the stages alone are trained.

    These are the last batch-norm of a wide ResNet, which also makes its last preactivation, and its classifier. In the
    other networks no layer behind the stages gets a gradient; only running statistics move, of a batch-norm that is
    there (MobileNetV2, ShuffleV2, an `Adapter`'s), and training the whole network replaces them.
    """
    return (network.bn1, network.fc) if isinstance(network, WideResNet) else ()


def normalised_again(network: nn.Module, activations: Activations) -> Activations:
    """Return a network's last activations, with a wide ResNet's preactivations from a second run of its batch-norms.

    Their values are the same; in train mode running statistics move a second time.
    """
    if not isinstance(network, WideResNet):
        return activations
    again = (reader(blocks[-1]) for reader, blocks in zip(network.readers(), activations.stages, strict=True))
    return replace(activations, preactivations=tuple(again))


def measure_shapes(model: nn.Module, image_shape: Sequence[int], role: str = "student") -> Shapes:
    """Return the shapes of a network's activations for images of (channels, height, width).

    One blank image is run in eval mode, which changes neither buffers nor random streams; the mode is restored.
    ``role``, student or teacher, is for messages.
    """
    images = torch.zeros(1, *image_shape, device=next(model.parameters()).device)
    training = model.training
    model.eval()
    with torch.no_grad():
        activations: Activations = model(images)
    model.train(training)
    return activations.shapes(images, role)
