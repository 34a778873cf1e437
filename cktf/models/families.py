"""The layers that may be a network's representations, and which of them are in known families of networks."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

from torch import Tensor, nn

from cktf.batch import Shapes
from cktf.models.adapter import LOGITS, Adapter, map_shape, run_blank, without_overwriting

MOST_STAGES = 4
"""Largest number of stages taken from a network: its last ones, or so many parts of a transformer's equal blocks."""

MOST_HALVINGS = 6
"""Largest number of stages that make the map smaller; if there seem to be more, they are a transformer's blocks."""


_PATTERNS = (
    ("relu|act1|maxpool", r"layer(\d+)"),  # ResNet, ResNeXt, wide ResNet
    ("stem", r"trunk_output\.block(\d+)"),  # RegNet
    (r"features\.relu0", r"features\.denseblock(\d+)"),  # DenseNet
    ("conv_proj", r"encoder\.layers\.encoder_layer_\d+()"),  # ViT
    ("maxpool|conv1", r"stage(\d+)"),  # ShuffleNetV2
    ("stem|patch_embed|conv1", r"(?:stages|layers|blocks|stage|block)[._]?(\d+)"),  # MaxVit, many users' own networks
)
"""For each family, patterns of stems and of stages' layers; layers whose group has the same text are one stage."""


def default_layers(network: nn.Module, image_shape: Sequence[int]) -> dict[str, Any]:
    """Return the representations of a network of a known family, as arguments of `Adapter`.

    timm's networks list their stages in ``feature_info``, torchvision's are recognised by their layers' names. A
    stage's blocks are those whose maps have the shape of its last one's; layers that give no map for images of
    (channels, height, width) are left out. The network's in-place activations are switched off.
    """
    without_overwriting(network)
    layers = dict(network.named_modules())
    stems, groups = _stem_and_stages(network, layers)
    blocks = {name: [*_blocks_of(name, layers[name])] for group in groups for name in group}
    classifier = next(iter(_classifiers_of(network)), None)
    names = [*stems, *blocks, *(block for inner in blocks.values() for block in inner)]
    outputs, overwritten = run_blank(network, image_shape, names, classifier)

    def shape(name: str) -> tuple[int, ...]:
        return () if name in overwritten else map_shape(outputs.get(name), network, image_shape)

    stages = []
    for group in groups:
        usable = [name for name in group if shape(name)]
        if len(usable) == 1 and (inner := blocks[usable[0]]) and outputs.get(inner[-1]) is outputs[usable[0]]:
            usable = [block for block in inner if shape(block)]
        if usable:
            stages.append(tuple(name for name in usable if shape(name) == shape(usable[-1])))
    if stages:  # a layer that runs again later, such as an activation, does not give the stem's output in the end
        ran = [*outputs]
        stems = [name for name in stems if name in ran[: ran.index(stages[0][-1])]]
    return {
        "stem": next((name for name in stems if shape(name)), None),
        "stages": tuple(stages),
        "classifier": classifier if isinstance(outputs.get(LOGITS), Tensor) else None,
    }


def layer_rows(network: nn.Module, shapes: Shapes, image_shape: Sequence[int]) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, class, shape without the batch, and representation of each layer whose output can be one.

    ``network`` is one of `cktf.models.build_model`, for images of (channels, height, width). If it returns its
    representations itself, these are listed, with their ``shapes``, without names.
    """
    if not isinstance(network, Adapter):
        yield "", "", size_in_words(shapes.stem), "stem"
        for stage, blocks in enumerate(shapes.stages, start=1):
            yield from (("", "", size_in_words(size), f"stage{stage}.{block}") for block, size in enumerate(blocks))
        yield "", "", size_in_words(shapes.penultimate), "penultimate"
        return
    taken = {name: f"stage{stage}.{k}" for stage, names in enumerate(network.stages, 1) for k, name in enumerate(names)}
    ends = {network.stem: "stem", network.penultimate: "penultimate", network.classifier: "its input: penultimate"}
    taken |= {name: what for name, what in ends.items() if name}
    layers = {name: layer for name, layer in network.network.named_modules() if name}
    outputs, overwritten = run_blank(network.network, image_shape, layers)
    for name, layer in layers.items():
        output = outputs.get(name)
        size = map_shape(output, network.network, image_shape)
        if isinstance(output, Tensor) and output.ndim == 2:
            size = tuple(output.shape[1:])
        if size and name not in overwritten:
            yield name, type(layer).__name__, size_in_words(size), taken.get(name, "")


def size_in_words(size: Sequence[int]) -> str:
    """Return a shape as a table shows it: 64 x 8 x 8."""
    return " x ".join(map(str, size))


def classifier_keys(network: nn.Module) -> tuple[str, ...]:
    """Return the prefixes of the classifiers' keys in a network's or an `Adapter`'s state dict; empty without any."""
    own = network.network if isinstance(network, Adapter) else network
    return tuple(f"{name}." for name in _classifiers_of(own))


def _classifiers_of(network: nn.Module) -> list[str]:
    """Return the names of the layers that timm calls classifiers, two in some networks, else of the last linear layer.

    The first is the main one; empty without any.
    """
    layers = dict(network.named_modules())
    named: Any = (getattr(network, "default_cfg", None) or {}).get("classifier")
    found = [name for name in (named if isinstance(named, tuple) else (named,)) if name and name in layers]
    linear = [name for name, module in layers.items() if name and isinstance(module, nn.Linear)]
    return found or linear[-1:]


def _stem_and_stages(network: nn.Module, layers: dict[str, nn.Module]) -> tuple[list[str], list[list[str]]]:
    """Return the layers that may be the stem, the best first, and those that make each stage."""
    if info := getattr(network, "feature_info", None):  # timm's: modules from the input to the output
        found = [(each["module"], each["reduction"]) for each in info if each["module"] in layers]
        found = [each for each in found if not isinstance(layers[each[0]], nn.MaxPool2d)]  # of a VGG's earlier stage
        groups = [[name for name, _ in same] for _, same in groupby(found, key=lambda each: each[1])]
        return _last_stages(groups, ["stem", "patch_embed", "maxpool"], layers)
    kind = type(network).__name__ if type(network).__module__.startswith("torchvision.") else ""
    features = [name for name in layers if re.fullmatch(r"features\.\d+", name)]
    match kind:
        case "ConvNeXt" | "SwinTransformer":  # between the stages a layer makes the map smaller
            return ["features.0"], [[name] for name in features[1::2]]
        case "EfficientNet" | "MobileNetV2" | "MobileNetV3":  # the last one is a convolution before the classifier
            return _last_stages(_cut(features[:-1], layers), [], layers)
        case "VGG":
            groups = [[n for n in group if isinstance(layers[n], nn.ReLU)] for group in _cut(features, layers)]
            return _last_stages(groups, [], layers)
    for stem, pattern in _PATTERNS:
        matched = [(name, match[1]) for name in layers if (match := re.fullmatch(pattern, name))]
        if len(matched) > 1:
            groups = [[name for name, _ in same] for _, same in groupby(matched, key=lambda each: each[1])]
            if len(groups) > MOST_HALVINGS:  # a transformer's blocks, whose maps are equal
                groups = [[name for name, _ in matched]]
            stems = [name for each in stem.split("|") for name in layers if re.fullmatch(each, name)]
            return _last_stages(groups, stems, layers)
    return [], []


def _last_stages(
    groups: list[list[str]], stems: list[str], layers: dict[str, nn.Module]
) -> tuple[list[str], list[list[str]]]:
    """Return stems and at most `MOST_STAGES` stages; a single group holds a transformer's blocks, and is divided."""
    groups = [group for group in groups if group]
    if len(groups) == 1:
        names = groups[0]
        count = min(MOST_STAGES, len(names))
        bounds = [len(names) * number // count for number in range(count + 1)]
        groups = [names[start:end] for start, end in pairwise(bounds)]
    before = [group[-1] for group in groups[:-MOST_STAGES]][-1:]
    return [*before, *(name for name in stems if name in layers)], groups[-MOST_STAGES:]


def _blocks_of(name: str, stage: nn.Module) -> Iterator[str]:
    """Yield the names of a stage's blocks: the children of its ``blocks``, else its own if it is a sequence."""
    inner = "blocks." if isinstance(getattr(stage, "blocks", None), nn.Module) else ""
    if not (inner or isinstance(stage, nn.Sequential) or type(stage).__name__.endswith("Stage")):
        return
    for child, _ in (stage.get_submodule("blocks") if inner else stage).named_children():
        yield f"{name}.{inner}{child}"


def _shrinks(layer: nn.Module) -> bool:
    convolutions = (each for each in layer.modules() if isinstance(each, nn.Conv2d))
    has_stride = any(max(each.stride) > 1 for each in convolutions if isinstance(each.stride, tuple))
    return has_stride or isinstance(layer, nn.MaxPool2d)


def _cut(names: list[str], layers: dict[str, nn.Module]) -> list[list[str]]:
    """Return names in groups, each of which starts with a layer that makes the map smaller."""
    groups: list[list[str]] = [[]]
    for name in names:
        if _shrinks(layers[name]):
            groups.append([])
        groups[-1].append(name)
    return groups
