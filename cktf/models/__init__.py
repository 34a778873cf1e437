"""Networks whose one forward returns all their representations: the papers' own, any of torchvision and timm."""

from cktf.models.adapter import Adapter
from cktf.models.build import (
    MODELS,
    ModelConfig,
    behind_stages,
    build_model,
    measure_shapes,
    normalised_again,
    under_own_keys,
    with_own_classifier,
)
from cktf.models.folding import folded
from cktf.models.inner_layers import inner_layers
from cktf.models.listing import layer_rows, size_in_words

__all__ = [
    "MODELS",
    "Adapter",
    "ModelConfig",
    "behind_stages",
    "build_model",
    "folded",
    "inner_layers",
    "layer_rows",
    "measure_shapes",
    "normalised_again",
    "size_in_words",
    "under_own_keys",
    "with_own_classifier",
]
