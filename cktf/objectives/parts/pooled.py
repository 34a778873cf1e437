"""The map that a network averages to its penultimate vector, and the classifier that reads the average."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Activations, Layers, Shapes
from cktf.errors import InputError


def pooled_map(activations: Activations) -> Tensor:
    """Return the map whose mean over the positions is the penultimate vector: (batch, features, height, width)."""
    if activations.pooled is not None:
        return activations.pooled
    return functional.relu(activations.preactivations[-1])


def pooled_shape(shapes: Shapes, role: str, key: str) -> torch.Size:
    """Return the shape of the `pooled_map`: (features, height, width).

    Raises:
        ValueError: If the network does not return that map; the message has ``role``, student or teacher, and ``key``,
            the path of the method in the settings.
    """
    shape = shapes.pooled or (shapes.preactivations[-1] if shapes.preactivations else None)
    if shape is None or shape[0] != shapes.penultimate.numel():
        raise InputError(
            f"{key}: the map that is averaged for the classifier is compared, and {role}.model does not give it, as no "
            f"torchvision/ or timm/ network does; choose another {role}.model, or {key}.weight: 0"
        )
    return shape


def classifier_of(layers: Layers, shapes: Shapes, role: str, key: str) -> nn.Linear:
    """Return the linear layer from a network's penultimate vector to its logits; it raises as `pooled_shape` does."""
    classifier = layers.classifier
    expected = shapes.penultimate.numel(), shapes.logits.numel()
    if classifier is None or (classifier.in_features, classifier.out_features) != expected:
        raise InputError(
            f"{key}: the classifier's weights are read, and which layer of {role}.model it is, is not known; choose "
            f"another {role}.model, or {key}.weight: 0"
        )
    return classifier
