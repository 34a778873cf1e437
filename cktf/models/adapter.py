"""Any network as student or teacher: its representations are the outputs of named layers."""

import difflib
from collections.abc import Iterable, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from cktf.batch import Activations
from cktf.errors import InputError, shown

TORCHVISION_PREFIX = "torchvision/"
"""Prefix of the names of torchvision's networks."""


class Adapter(nn.Module):
    """Runs a network as it is and collects the outputs of named layers by forward hooks.

    The network's in-place activations are switched to out-of-place ones, which changes no number, so that the
    layer after a representation does not overwrite it. The state dict is the wrapped network's own: its
    checkpoints load here and the other way round.

    Args:
        network: Maps images to logits (batch, classes). Stored and changed, not copied.
        stem: Layer whose output is the stem's representation: (batch, channels, height, width).
        stages: For each stage, the layers that are its blocks, whose outputs are maps of one shape.
        penultimate: Layer whose output, flattened, is the vector that the classifier reads.

    A layer is named as in ``network.named_modules()``: ``layer1.0``. Of a layer that runs more than once in a
    forward, the last output counts.

    Raises:
        ValueError: If the network has no layer of a name.
    """

    def __init__(self, network: nn.Module, *, stem: str, stages: Sequence[Sequence[str]], penultimate: str) -> None:
        super().__init__()
        self.network = network
        self.stem = stem
        self.stages = tuple(tuple(blocks) for blocks in stages)
        self.penultimate = penultimate
        self._outputs: dict[str, Any] = {}
        layers = dict(network.named_modules())
        require_layers(self.layer_names, layers)
        for module in layers.values():
            if hasattr(module, "inplace"):
                module.inplace = False
        for name in self.layer_names:
            layers[name].register_forward_hook(partial(self._collect, name))
        self.register_state_dict_post_hook(_remove_prefix)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_add_prefix)  # type: ignore[no-untyped-call]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of the layers that are collected."""
        return (self.stem, *(name for blocks in self.stages for name in blocks), self.penultimate)

    def forward(self, images: Tensor) -> Activations:
        """Return the activations of images (batch, channels, height, width).

        There are no preactivations: the input of the ReLU at a stage's end is in general no layer's output.
        """
        logits = self.network(images)
        # Emptied, or the batch's graph would live on until the next forward.
        outputs, self._outputs = self._outputs, {}
        stages = tuple(tuple(outputs[name] for name in blocks) for blocks in self.stages)
        penultimate = outputs[self.penultimate].flatten(1)
        return Activations(logits, penultimate, outputs[self.stem], stages, preactivations=())

    def check(self, image_shape: Sequence[int]) -> None:
        """Run one blank image of (channels, height, width), so that wrong layers fail before training.

        Raises:
            ValueError: If the network cannot read such images, or a named layer does not run, gives no map
                or is overwritten in place by the code after it.
        """
        versions: dict[str, int] = {}

        def remember_version(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
            versions[name] = output._version if isinstance(output, Tensor) else 0

        layers = dict(self.network.named_modules())
        handles = [layers[n].register_forward_hook(partial(remember_version, n)) for n in self.layer_names]
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                self.network(torch.zeros(1, *image_shape))
        except (RuntimeError, AssertionError) as error:  # the transformers assert their one size
            shape = tuple(image_shape)
            raise InputError(f"cannot read images of shape {shape}; data.side sets another: {error}") from error
        finally:
            outputs, self._outputs = self._outputs, {}
            self.train(training)
            for handle in handles:
                handle.remove()
        for name in self.layer_names:
            if name not in outputs:
                raise InputError(f"layer {shown(name)} does not run in the network's forward")
            output = outputs[name]
            if not isinstance(output, Tensor) or (name != self.penultimate and output.ndim != 4):
                given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                raise InputError(f"layer {shown(name)} gives {given}, not (batch, channels, height, width)")
            if output._version != versions[name]:
                raise InputError(f"layer {shown(name)} is overwritten in place after it; name the layer that does so")

    def _collect(self, name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self._outputs[name] = output


def _remove_prefix(_module: nn.Module, state: dict[str, Any], prefix: str, _metadata: dict[str, Any]) -> None:
    own = f"{prefix}network."
    for key in [key for key in state if key.startswith(own)]:
        state[prefix + key.removeprefix(own)] = state.pop(key)


def _add_prefix(_module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for key in [key for key in state if key.startswith(prefix)]:
        state[f"{prefix}network.{key.removeprefix(prefix)}"] = state.pop(key)


def require_layers(names: Iterable[str], layers: Iterable[str]) -> None:
    """Refuse a name that is not among a network's layers.

    Raises:
        ValueError: It says the name and the closest existing ones.
    """
    known = [layer for layer in layers if layer]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known) or known
            raise InputError(f"the network has no layer {shown(name)}; it has, among others, {', '.join(close[:5])}")


@cache
def torchvision_names() -> tuple[str, ...]:
    """Return the names, prefixed, of torchvision's classification networks whose output is logits alone."""
    from torchvision import models  # slow to import, and needed for these networks alone

    several_outputs = {"googlenet", "inception_v3"}
    names = models.list_models(module=models)
    return tuple(TORCHVISION_PREFIX + name for name in names if name not in several_outputs)


@cache
def torchvision_layers(name: str) -> tuple[str, ...]:
    """Return the names of all layers of one of `torchvision_names`; the global random stream stays."""
    # Not on the meta device: some networks compute their widths with tensors.
    with torch.random.fork_rng(devices=[]):
        return tuple(layer for layer, _ in build_torchvision(name, num_classes=2).named_modules())


def build_torchvision(name: str, num_classes: int) -> nn.Module:
    """Build one of `torchvision_names` with initial parameters; nothing is downloaded."""
    from torchvision import models

    builder = name.removeprefix(TORCHVISION_PREFIX)
    network: nn.Module = models.get_model(builder, weights=None, num_classes=num_classes)
    return network
