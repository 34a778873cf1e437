"""A frozen network with fewer operators: its batch-norms are folded into its convolutions."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._pytree import tree_leaves

LARGEST_DIFFERENCE = 1e-2
"""Tolerance of the folded network: largest difference of an activation, as a share of its largest number; a GPU's
convolutions in TF32 differ by a tenth of it."""


@torch.no_grad()
def folded(network: nn.Module, image_shape: Sequence[int], precision: torch.dtype) -> nn.Module:
    """Return a copy of a frozen network in eval mode, whose activations are the same up to rounding.

    A batch-norm is folded into the convolution before it if nothing else reads the convolution's output. With bfloat16
    the weights of convolutions and linear layers are stored in it, which autocast would else convert in each forward.
    The network itself is returned if the activations of two random images differ.
    """
    copy = deepcopy(network)
    device = next(copy.parameters()).device
    images = torch.randn(2, *image_shape, generator=torch.Generator().manual_seed(0)).to(device)
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}
    pairs: dict[int, tuple[nn.Conv2d, nn.BatchNorm2d]] = {}

    def record_output(layer: Any, _: object, output: Tensor) -> None:
        outputs[id(output)] = layer, output

    def record_reader(layer: Any, inputs: tuple[Tensor, ...]) -> None:
        if id(inputs[0]) in outputs:
            pairs[id(inputs[0])] = outputs[id(inputs[0])][0], layer

    hooks = [layer.register_forward_hook(record_output) for layer in copy.modules() if type(layer) is nn.Conv2d]
    norms = (layer for layer in copy.modules() if type(layer) is nn.BatchNorm2d and layer.track_running_stats)
    hooks += [norm.register_forward_pre_hook(record_reader) for norm in norms]
    expected = _tensors(copy(images))
    for hook in hooks:
        hook.remove()
    representations = {id(value) for value in expected}
    for convolution, norm in (pair for output, pair in pairs.items() if output not in representations):
        of_norm: Any = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        fused = fuse_conv_bn_weights(convolution.weight, convolution.bias, *of_norm)
        convolution.weight, convolution.bias = (value.requires_grad_(False) for value in fused)
        norm.forward = nn.Identity().forward  # type: ignore[method-assign]
    for found, value in zip(_tensors(copy(images)), expected, strict=True):
        if not (found - value).abs().max() <= LARGEST_DIFFERENCE * value.abs().max():
            return network
    for layer in copy.modules():
        if type(layer) in (nn.Conv2d, nn.Linear):
            layer.to(precision)
    return copy


def _tensors(activations: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves([*vars(activations).values()]) if isinstance(leaf, Tensor)]
