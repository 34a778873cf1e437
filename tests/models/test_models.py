"""The networks of the papers' tables: shapes, gradients, initial parameters; and their settings."""

import copy
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.overrides import TorchFunctionMode

from cktf.batch import Activations, Shapes
from cktf.models import MODELS, ModelConfig, build_model, measure_shapes, under_own_keys
from cktf.seeding import initialisation

CIFAR = ("resnet8", "resnet8x4", "resnet5", "wrn_16_1", "wrn_16_2")
SMALL = (*CIFAR, "vgg8", "MobileNetV2", "ShuffleV1", "ShuffleV2", "ResNet10")


class Operations(TorchFunctionMode):
    """Remembers what every ReLU read, and every operation's result with a copy of its values at that moment."""

    def __init__(self) -> None:
        super().__init__()
        self.read_by_relu: list[torch.Tensor] = []
        self.results: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation as it is."""
        del types
        if function is nn.functional.relu:
            self.read_by_relu.append(args[0])
        result = function(*args, **kwargs or {})
        if isinstance(result, torch.Tensor):
            self.results.append((result, result.detach().clone()))
        return result


def representations(activations: Activations) -> dict[str, torch.Tensor]:
    named = {"stem": activations.stem, "penultimate": activations.penultimate, "logits": activations.logits}
    for number, blocks in enumerate(activations.stages, start=1):
        named |= {f"stage{number}.{position}": block for position, block in enumerate(blocks)}
        named[f"stage{number}.preactivation"] = activations.preactivations[number - 1]
    return named


@pytest.mark.parametrize("name", CIFAR)
@pytest.mark.parametrize("image_shape", [(3, 32, 32), (3, 64, 64), (1, 8, 8)])
def test_a_network_reads_any_image_and_halves_the_side_twice(name: str, image_shape: tuple[int, int, int]) -> None:
    shapes = measure_shapes(build_model(name, 7, image_shape), image_shape)
    side = image_shape[1]
    assert shapes.image == image_shape
    assert shapes.logits == (7,)
    assert shapes.stem[1:] == (side, side)
    assert [blocks[-1][1:] for blocks in shapes.stages] == [(side, side), (side // 2,) * 2, (side // 4,) * 2]
    assert shapes.penultimate == (shapes.stages[-1][-1][0],)


@pytest.mark.parametrize(
    ("name", "side", "stem", "stages"),
    [
        ("vgg8", 8, 8, [4, 2, 1, 1]),
        ("vgg8", 28, 28, [14, 7, 3, 3]),
        ("vgg8", 96, 96, [48, 24, 12, 6]),
        ("MobileNetV2", 8, 4, [4, 2, 1, 1]),
        ("MobileNetV2", 64, 32, [32, 16, 8, 4]),
        ("ShuffleV1", 8, 8, [4, 2, 1]),
        ("ShuffleV2", 28, 28, [14, 7, 4]),
        ("ResNet10", 8, 8, [8, 4, 2, 1]),
        ("ResNet10", 28, 28, [28, 14, 7, 4]),
    ],
)
def test_strides_and_pooling_decide_the_sides_of_the_maps(name: str, side: int, stem: int, stages: list[int]) -> None:
    shapes = measure_shapes(build_model(name, 7, (1, side, side)), (1, side, side))
    assert shapes.logits == (7,)
    assert shapes.stem[1:] == (stem, stem)
    assert [blocks[-1][1:] for blocks in shapes.stages] == [(length, length) for length in stages]


@pytest.mark.parametrize("name", SMALL)
def test_the_maps_of_a_stage_are_shaped_alike(name: str) -> None:
    for blocks in measure_shapes(build_model(name, 10, (3, 32, 32)), (3, 32, 32)).stages:
        assert len(set(blocks)) == 1


def test_an_image_too_small_to_be_pooled_is_refused_when_the_network_is_built() -> None:
    with pytest.raises(ValueError, match=r"vgg8: cannot read images of shape \(1, 4, 4\); data\.side .* too small"):
        build_model("vgg8", 10, (1, 4, 4))


@pytest.mark.parametrize(("name", "blocks"), [("resnet20", 3), ("resnet110", 18), ("resnet17x4", 5), ("wrn_40_1", 6)])
def test_depth_decides_the_number_of_blocks(name: str, blocks: int) -> None:
    shapes = measure_shapes(build_model(name, 10, (1, 8, 8)), (1, 8, 8))
    assert [len(stage) for stage in shapes.stages] == [blocks] * 3


def test_measuring_shapes_leaves_the_network_and_the_random_stream_as_they_were() -> None:
    network = build_model("resnet8", 10, (1, 8, 8)).train()
    before = copy.deepcopy(network.state_dict())
    stream = torch.get_rng_state()
    measure_shapes(network, (1, 8, 8))
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), stream)
    measure_shapes(network.eval(), (1, 8, 8))
    assert not network.training


@pytest.mark.parametrize("name", SMALL)
def test_no_representation_is_overwritten_by_a_later_layer(name: str) -> None:
    network = build_model(name, 10, (1, 8, 8)).train()
    with Operations() as operations:
        activations = network(torch.randn(4, 1, 8, 8))
    for key, tensor in representations(activations).items():
        copies = [clone for original, clone in operations.results if original is tensor]
        assert copies, f"{key} is no operation's result"
        assert all(torch.equal(tensor, clone) for clone in copies), key


@pytest.mark.parametrize("name", [name for name in SMALL if name != "MobileNetV2"])
def test_a_stage_s_preactivation_is_what_the_relu_after_its_last_block_reads(name: str) -> None:
    network = build_model(name, 10, (1, 8, 8)).train()
    with Operations() as operations:
        activations: Activations = network(torch.randn(4, 1, 8, 8))
    for preactivation, blocks in zip(activations.preactivations, activations.stages, strict=True):
        assert any(preactivation is tensor for tensor in operations.read_by_relu)
        assert preactivation.shape == blocks[-1].shape


@pytest.mark.parametrize("name", ["resnet14", "vgg11", "ShuffleV1", "ShuffleV2", "ResNet18", "ResNet50"])
def test_the_preactivations_are_the_last_blocks_before_the_relu(name: str) -> None:
    activations: Activations = build_model(name, 10, (1, 8, 8))(torch.randn(4, 1, 8, 8))
    for preactivation, blocks in zip(activations.preactivations, activations.stages, strict=True):
        assert preactivation.min() < 0
        assert torch.equal(preactivation.relu(), blocks[-1])


def test_the_preactivations_of_linear_blocks_are_their_outputs() -> None:
    activations: Activations = build_model("MobileNetV2", 10, (1, 8, 8))(torch.randn(4, 1, 8, 8))
    for preactivation, blocks in zip(activations.preactivations, activations.stages, strict=True):
        assert preactivation is blocks[-1]


def test_the_preactivations_of_a_wide_resnet_are_its_last_blocks_after_the_next_batch_norm() -> None:
    network = build_model("wrn_16_1", 10, (1, 8, 8)).eval()
    batch_norms = [network.get_submodule(name) for name in ("block2.layer.0.bn1", "block3.layer.0.bn1", "bn1")]
    for number, batch_norm in enumerate(batch_norms):
        assert isinstance(batch_norm, nn.BatchNorm2d)
        nn.init.constant_(batch_norm.bias, number + 1)  # so that no other one gives the same
    activations: Activations = network(torch.randn(4, 1, 8, 8))
    for preactivation, blocks, batch_norm in zip(
        activations.preactivations, activations.stages, batch_norms, strict=True
    ):
        assert torch.equal(preactivation, batch_norm(blocks[-1]))


@pytest.mark.parametrize("name", SMALL)
def test_one_forward_moves_the_running_statistics_once(name: str) -> None:
    network = build_model(name, 10, (1, 8, 8)).train()
    network(torch.randn(4, 1, 8, 8))
    counts = [value for key, value in network.state_dict().items() if key.endswith("num_batches_tracked")]
    assert counts
    assert all(count == 1 for count in counts)


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_the_first_layer_from_every_representation(name: str) -> None:
    network = build_model(name, 10, (1, 8, 8)).train()
    first = next(network.parameters())
    named = representations(network(torch.randn(4, 1, 8, 8)))
    for key, tensor in named.items():
        (gradient,) = torch.autograd.grad(tensor.square().sum(), first, retain_graph=True)
        assert gradient.abs().max() > 0, key


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1"])
def test_the_seed_decides_the_initial_parameters(name: str) -> None:
    def build(seed: int) -> dict[str, Any]:
        with initialisation(seed, "student"):
            return build_model(name, 10, (3, 32, 32)).state_dict()

    first, again, other = build(3), build(3), build(4)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


@pytest.mark.parametrize("name", SMALL)
def test_initial_parameters_before_the_classifier_do_not_depend_on_the_number_of_classes(name: str) -> None:
    def build(num_classes: int) -> dict[str, torch.Tensor]:
        with initialisation(0, "student"):
            return dict(build_model(name, num_classes, (3, 32, 32)).named_parameters())

    few, many = build(10), build(200)
    *before, weight, bias = few
    assert (len(many[weight]), len(many[bias])) == (200, 200)
    assert all(torch.equal(few[key], many[key]) for key in before)


@pytest.mark.parametrize("name", ["resnet32x4", "wrn_40_2", "vgg8", "MobileNetV2", "ResNet10"])
def test_convolutions_start_with_the_variance_that_keeps_gradients_and_batch_norm_as_identity(name: str) -> None:
    with initialisation(0, "student"):
        network = build_model(name, 10, (3, 32, 32))
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 30_000:
            expected = (2 / (module.kernel_size[0] * module.kernel_size[1] * module.out_channels)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.03)
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            assert not module.bias.any()
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert torch.equal(module.bias, torch.zeros_like(module.bias))


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1", "vgg8", "MobileNetV2", "ShuffleV1", "ShuffleV2"])
def test_a_network_compiles_whole(name: str) -> None:
    network = build_model(name, 10, (1, 8, 8)).eval()
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    images = torch.randn(4, 1, 8, 8)
    plain, traced = representations(network(images)), representations(compiled(images))
    for key, tensor in plain.items():
        torch.testing.assert_close(traced[key], tensor)


@pytest.mark.parametrize("name", SMALL)
def test_channels_last_is_kept_through_the_network(name: str) -> None:
    network = build_model(name, 10, (3, 32, 32)).to(memory_format=torch.channels_last)
    activations: Activations = network(torch.randn(2, 3, 32, 32).to(memory_format=torch.channels_last))
    for tensor in (activations.stem, *(block for blocks in activations.stages for block in blocks)):
        assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_a_vgg_loads_checkpoints_whose_layers_are_numbered() -> None:
    network = build_model("vgg11", 10, (3, 32, 32))
    own = network.state_dict()

    def numbered(key: str) -> str:
        stage, block, *rest = key.split(".")
        if stage == "classifier":
            return key
        layer, name = rest
        return f"{stage}.{3 * int(block) + ['conv2d', 'bn'].index(layer)}.{name}"

    flat = {numbered(key): value for key, value in own.items()}
    assert {"block0.0.weight", "block2.3.bias", "block2.4.running_mean"} <= flat.keys()
    other = build_model("vgg11", 10, (3, 32, 32))
    other.load_state_dict(under_own_keys(other, flat))
    assert all(torch.equal(value, own[key]) for key, value in other.state_dict().items())
    assert under_own_keys(other, own).keys() == own.keys()


def test_an_unknown_model_is_answered_with_the_known_and_the_closest_ones() -> None:
    with pytest.raises(
        ValueError, match=r"unknown model 'resnet21' \(did you mean 'resnet2?.*known: resnet8, "
    ) as raised:
        ModelConfig(model="resnet21")
    assert all(name in str(raised.value) for name in MODELS)


def test_build_model_takes_a_name_or_settings() -> None:
    by_name = build_model("resnet8", 10, (3, 32, 32))
    by_settings = build_model(ModelConfig(model="resnet8"), 10, (3, 32, 32))
    assert by_name.state_dict().keys() == by_settings.state_dict().keys()


def test_layers_are_refused_where_the_network_has_its_own() -> None:
    with pytest.raises(ValidationError, match="stem: for torchvision/ and timm/ only, resnet8 has its own"):
        ModelConfig(model="resnet8", stem="conv1")


def test_settings_of_a_torchvision_network_survive_json(resnet18_layers: dict[str, Any]) -> None:
    config = ModelConfig(model="torchvision/resnet18", **resnet18_layers)
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config
    assert isinstance(hash(config), int)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "torchvision/resnet17"}, r"unknown model .* \(did you mean 'torchvision/resnet1"),
        ({"stages": [["layer1.0"], []]}, "at least 1 item"),
        ({"stages": [["layer1.0", "layer1.7"]]}, r"stages: the network has no layer 'layer1\.7'.* layer1\.1"),
        ({"penultimate": "pool"}, "penultimate: the network has no layer 'pool'.* avgpool|maxpool"),
        ({"weights_sha256": "0" * 64}, "weights_sha256: is that of a file of weights, and none is named"),
        (
            {"model": "resnet8", "stem": None, "stages": None, "penultimate": None, "weights": "default"},
            "default is of",
        ),
    ],
)
def test_wrong_layers_are_refused_with_what_would_be_right(
    change: dict[str, Any], message: str, resnet18_layers: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate({"model": "torchvision/resnet18"} | resnet18_layers | change)


@pytest.mark.parametrize("name", ["resnet8", "resnet5x4", "wrn_16_1", "vgg8"])
def test_width_scales_the_channels_of_every_layer(name: str) -> None:
    configs = [ModelConfig(model=name, width=width) for width in (1, 0.5)]
    plain, half = (measure_shapes(build_model(config, 3, (3, 32, 32)), (3, 32, 32)) for config in configs)

    def maps(shapes: Shapes) -> list[torch.Size]:
        return [shapes.stem, *(block for blocks in shapes.stages for block in blocks), shapes.penultimate]

    for whole, scaled in zip(maps(plain), maps(half), strict=True):
        assert (2 * scaled[0], *scaled[1:]) == tuple(whole)


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1", "vgg8"])
def test_a_network_of_one_channel_halves_the_side_as_wider_ones_do(name: str) -> None:
    configs = [ModelConfig(model=name, width=width) for width in (1, 0.01)]
    plain, thin = (measure_shapes(build_model(config, 3, (3, 32, 32)), (3, 32, 32)) for config in configs)
    assert [blocks[-1][1:] for blocks in thin.stages] == [blocks[-1][1:] for blocks in plain.stages]


def test_width_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"width: is of .*resnet8.*; got 0\.5 with MobileNetV2"):
        ModelConfig(model="MobileNetV2", width=0.5)
    with pytest.raises(ValueError, match=r"width: is of .*; got 2 with torchvision/resnet18"):
        ModelConfig(model="torchvision/resnet18", width=2)
