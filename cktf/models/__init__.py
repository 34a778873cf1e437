"""Networks whose one forward returns all their representations: the papers' own, any of torchvision and timm.

A network maps images (batch, channels, height, width) to their `cktf.batch.Activations`. The attributes of the papers'
own have the names, and the order, of the checkpoints that the distillation literature shares.
"""

from cktf.models.adapter import Adapter as Adapter
from cktf.models.build import MODELS as MODELS
from cktf.models.build import ModelConfig as ModelConfig
from cktf.models.build import behind_stages as behind_stages
from cktf.models.build import build_model as build_model
from cktf.models.build import inner_layers as inner_layers
from cktf.models.build import measure_shapes as measure_shapes
from cktf.models.build import normalised_again as normalised_again
from cktf.models.build import under_own_keys as under_own_keys
from cktf.models.build import with_own_classifier as with_own_classifier
from cktf.models.families import layer_rows as layer_rows
from cktf.models.families import size_in_words as size_in_words
from cktf.models.folding import folded as folded
