"""The layers of a network that a study may name, and those that are taken if it names none."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from cktf.batch import Shapes
from cktf.models.adapter import Adapter, map_shape, run_blank

Row = tuple[str, str, str, str]


def layer_rows(network: nn.Module, shapes: Shapes, image_shape: Sequence[int]) -> Iterator[Row]:
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
