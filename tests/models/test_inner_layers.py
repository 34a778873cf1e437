"""Classifiers, batch-norms and pooled maps of the networks."""

import pytest
import torch

from cktf.batch import Layers
from cktf.models import build_model, inner_layers
from cktf.models.adapter import Adapter
from cktf.models.zoo import build_from_zoo
from cktf.objectives.parts.pooled import classifier_of, pooled_map, pooled_shape

IMAGE = (3, 32, 32)
SHUFFLENETS = "ShuffleV1", "ShuffleV2"
FAMILIES = "resnet8", "resnet8x4", "resnet5", "wrn_16_1", "vgg8", "MobileNetV2", "ResNet10", "ResNet50", *SHUFFLENETS


@pytest.mark.parametrize("name", FAMILIES)
def test_the_classifier_reads_the_mean_of_the_pooled_map(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_model(name, 7, IMAGE).eval()
        images = torch.randn(2, *IMAGE)
    with torch.no_grad():
        activations = network(images)
        shapes, layers = activations.shapes(images), inner_layers(network)
        classifier = classifier_of(layers, shapes, "student", "objective.catkd")
        maps = pooled_map(activations)
        torch.testing.assert_close(maps.mean((2, 3)), activations.penultimate)
        torch.testing.assert_close(classifier(maps.mean((2, 3))), activations.logits)
    assert pooled_shape(shapes, "student", "objective.catkd") == maps.shape[1:]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_batch_norm_stands_before_the_relu_behind_each_stage(name: str) -> None:
    network = build_model(name, 7, IMAGE).eval()
    outputs = {}
    layers = inner_layers(network).batch_norms
    for number, layer in enumerate(layers):
        layer.register_forward_hook(lambda _layer, _inputs, output, at=number: outputs.update({at: output}))
    activations = network(torch.zeros(1, *IMAGE))
    if name in SHUFFLENETS:
        assert layers == ()
        return
    assert [outputs[number].shape for number in range(len(layers))] == [
        maps.shape for maps in activations.preactivations
    ]
    if name in {"wrn_16_1", "vgg8"}:  # those of the others see the residual branch alone
        for number, maps in enumerate(activations.preactivations):
            assert torch.equal(outputs[number], maps)


def test_of_a_network_of_torchvisions_no_layer_is_known() -> None:
    network = Adapter(build_from_zoo("torchvision/resnet18", 5), stem="conv1", stages=[["layer1"]], penultimate="fc")
    assert inner_layers(network) == Layers()
