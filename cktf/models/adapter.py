"""Any network as student or teacher: its representations are the outputs of named layers."""

import difflib
import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cktf.batch import Activations
from cktf.errors import InputError, shown

MOST_PREFIX_TOKENS = 5
"""Largest number of class and register tokens before those of the image, if the network does not store the number."""

LOGITS = ""
"""Name of the whole network, as in ``named_modules()``; also the key of the classifier's collected input."""


class Adapter(nn.Module):
    """A network as it is, whose representations are collected by forward hooks on named layers.

    In-place activations become out-of-place ones, which changes no number, so that no representation is overwritten.
    The state dict is the wrapped network's own. A layer is named as in ``network.named_modules()``: ``layer1.0``; of
    one that runs more than once in a forward, the last output counts.

    Args:
        network: Maps images to logits (batch, classes). Stored and changed, not copied.
        stem: Layer whose output is the stem's representation, which `as_map` understands; None: not known.
        stages: For each stage, the layers that are its blocks, whose outputs are maps of one shape; empty: not known.
        penultimate: Layer whose output, flattened, is the vector that the classifier reads.
        classifier: Layer whose input is that vector, where ``penultimate`` is None.

    Raises:
        ValueError: If the network has no layer of a name.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        stem: str | None = None,
        stages: Sequence[Sequence[str]] = (),
        penultimate: str | None = None,
        classifier: str | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.stem = stem
        self.stages = tuple(tuple(blocks) for blocks in stages)
        self.penultimate = penultimate
        self.classifier = None if penultimate else classifier
        self._outputs: dict[str, Any] = {}
        layers = dict(network.named_modules())
        require_layers([name for name in (*self.layer_names, self.classifier) if name], layers)
        without_overwriting(network)
        for name in self.layer_names:
            layers[name].register_forward_hook(partial(self._collect, name))
        if self.classifier:
            layers[self.classifier].register_forward_pre_hook(self._collect_input)
        self.register_state_dict_post_hook(_remove_prefix)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_add_prefix)  # type: ignore[no-untyped-call]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of the layers whose outputs are collected."""
        ends = (name for name in (self.stem, self.penultimate) if name)
        return (*ends, *(name for blocks in self.stages for name in blocks))

    def forward(self, images: Tensor) -> Activations:
        """Return the activations of images (batch, channels, height, width).

        There are no preactivations: the input of the ReLU at a stage's end is in general no layer's output.
        """
        logits = self.network(images)
        # Emptied, or the batch's graph would live on until the next forward.
        outputs, self._outputs = self._outputs, {}
        turned = partial(as_map, network=self.network, is_square=images.shape[2] == images.shape[3])
        stages = tuple(tuple(turned(outputs[name]) for name in blocks) for blocks in self.stages)
        read = outputs.get(self.penultimate or LOGITS)
        vector: Any = None if read is None else read.flatten(1)
        stem: Any = turned(outputs[self.stem]) if self.stem else None
        return Activations(logits, vector, stem, stages, preactivations=())

    def check(self, image_shape: Sequence[int]) -> None:
        """Run one blank image of (channels, height, width), so that wrong layers fail before training.

        Raises:
            ValueError: If the network cannot read such images, or a named layer does not run, gives no map
                or is overwritten in place by the code after it.
        """
        outputs, overwritten = run_blank(self.network, image_shape, self.layer_names)
        self._outputs = {}
        for name in self.layer_names:
            if name not in outputs:
                raise InputError(f"layer {shown(name)} does not run in the network's forward")
            output = outputs[name]
            if not isinstance(output, Tensor) or (
                name != self.penultimate and not map_shape(output, self.network, image_shape)
            ):
                given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise InputError(
                    f"layer {shown(name)} gives {given}, not (batch, channels, height, width), nor the tokens of a "
                    f"square image behind {MOST_PREFIX_TOKENS} others at most, (batch, tokens, channels)"
                )
            if name in overwritten:
                raise InputError(f"layer {shown(name)} is overwritten in place after it; name the layer that does so")

    def _collect(self, name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self._outputs[name] = output

    def _collect_input(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._outputs[LOGITS] = inputs[0]


def without_overwriting(network: nn.Module) -> None:
    """Switch a network's in-place activations to out-of-place ones."""
    for module in network.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010  # not every module has it


def run_blank(
    network: nn.Module, image_shape: Sequence[int], names: Iterable[str], inputs_of: str | None = None
) -> tuple[dict[str, Any], set[str]]:
    """Return named layers' outputs for one blank image (channels, height, width), and the names of overwritten ones.

    The network runs in eval mode; layers stand in the order of their last run, those that do not run are left out. The
    input of the layer ``inputs_of`` is stored under `LOGITS`. An output is overwritten if later code changes it in
    place. An image that the network cannot read is an InputError.
    """
    outputs: dict[str, Any] = {}
    versions: dict[str, int] = {}

    def remember(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        outputs.pop(name, None)  # of an earlier run
        outputs[name] = output
        versions[name] = output._version if isinstance(output, Tensor) else 0

    layers = dict(network.named_modules())
    handles = [layers[name].register_forward_hook(partial(remember, name)) for name in {*names}]
    if inputs_of:
        handles.append(layers[inputs_of].register_forward_pre_hook(lambda _, given: outputs.update({LOGITS: given[0]})))
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, *image_shape))
    except (RuntimeError, AssertionError) as error:  # vision transformers assert the one size that they read
        shape = tuple(image_shape)
        raise InputError(f"cannot read images of shape {shape}; data.side sets another: {error}") from error
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return outputs, {name for name, version in versions.items() if getattr(outputs[name], "_version", 0) != version}


def as_map(output: Tensor, network: nn.Module, *, is_square: bool = True) -> Tensor:
    """Return a layer's output as a map: (batch, channels, height, width).

    From tokens (batch, tokens, channels), the class and register tokens in front are left out. A timm network stores
    how many these are and how the image's tokens are arranged (``num_prefix_tokens`` and ``patch_embed.grid_size``);
    otherwise the latter are the largest square behind at most `MOST_PREFIX_TOKENS` tokens. A Swin's output (batch,
    height, width, channels) is permuted. ``is_square``: whether the images are square. Any other output is an
    InputError.
    """
    if output.ndim == 4:
        _, first, second, third = output.shape
        # If all sides are equal, or maps need not be square, the shape does not tell which are the channels.
        is_ambiguous = first == second == third or not is_square
        is_last = _has_channels_last(network) if is_ambiguous else first == second != third
        return output.permute(0, 3, 1, 2) if is_last else output
    if output.ndim == 3:
        count, known = output.shape[1], getattr(network, "num_prefix_tokens", None)
        prefixes = range(MOST_PREFIX_TOKENS + 1) if known is None else (known, 0)
        grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
        for prefix in prefixes if count else ():
            side = math.isqrt(max(count - prefix, 0))
            for height, width in ((side, side), grid or (0, 0)):
                if height and prefix + height * width == count:
                    return output[:, prefix:].transpose(1, 2).reshape(len(output), -1, height, width)
    raise InputError(f"{tuple(output.shape)} is no map")


def map_shape(output: object, network: nn.Module, image_shape: Sequence[int]) -> tuple[int, ...]:
    """Return the (channels, height, width) of `as_map` for images of a shape; empty if the output is no map."""
    is_square = image_shape[1] == image_shape[2]
    try:
        return tuple(as_map(output, network, is_square=is_square).shape[1:]) if isinstance(output, Tensor) else ()
    except InputError:
        return ()


def _has_channels_last(network: nn.Module) -> bool:
    """Return whether maps are (batch, height, width, channels): as timm states, and of torchvision's, Swin's."""
    is_swin = type(network).__module__.startswith("torchvision.models.swin")
    return is_swin or getattr(network, "output_fmt", "") == "NHWC"


def _remove_prefix(_module: nn.Module, state: dict[str, Any], prefix: str, _metadata: dict[str, Any]) -> None:
    own = f"{prefix}network."
    for key in [key for key in state if key.startswith(own)]:
        state[prefix + key.removeprefix(own)] = state.pop(key)


def _add_prefix(_module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for key in [key for key in state if key.startswith(prefix)]:
        state[f"{prefix}network.{key.removeprefix(prefix)}"] = state.pop(key)


def require_layers(names: Iterable[str], layers: Iterable[str]) -> None:
    """Raise an InputError if a name is not among a network's layers; the message lists the closest ones."""
    known = [layer for layer in layers if layer]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known) or known
            raise InputError(f"the network has no layer {shown(name)}; it has, among others, {', '.join(close[:5])}")
