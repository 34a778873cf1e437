"""Any network as student or teacher: torchvision's and one of our own."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from cktf.batch import Activations
from cktf.errors import InputError
from cktf.models import MODELS, Adapter, ModelConfig, build_model, measure_shapes


class TwoStages(nn.Module):
    """A network of our own, whose block adds to the first layer's output in place when asked to."""

    def __init__(self, overwrites: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.activation = nn.ReLU(inplace=True)
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.unused = nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(8, 5)
        self.overwrites = overwrites

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, 5)."""
        first = self.first(self.activation(self.stem(images)))
        if self.overwrites:
            first += 1
        logits: Tensor = self.classifier(self.pool(self.second(first)).flatten(1))
        return logits


LAYERS: dict[str, Any] = {"stem": "stem", "stages": [["first"], ["second"]], "penultimate": "pool"}


def test_the_adapted_resnet18_gives_the_plain_networks_logits_and_gradients(resnet18_layers: dict[str, Any]) -> None:
    plain = resnet18(num_classes=10)
    adapter = Adapter(copy.deepcopy(plain), **resnet18_layers)
    images = torch.randn(4, 3, 32, 32)
    activations: Activations = adapter(images)
    logits = plain(images)
    torch.testing.assert_close(activations.logits, logits, rtol=0, atol=0)
    ours = torch.autograd.grad(activations.logits.square().sum(), list(adapter.parameters()))
    theirs = torch.autograd.grad(logits.square().sum(), list(plain.parameters()))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_the_penultimate_vector_is_what_the_classifier_reads(resnet18_layers: dict[str, Any]) -> None:
    adapter = Adapter(resnet18(num_classes=10), **resnet18_layers).eval()
    activations: Activations = adapter(torch.randn(2, 3, 64, 64))
    assert activations.penultimate.shape == (2, 512)
    torch.testing.assert_close(adapter.network.get_submodule("fc")(activations.penultimate), activations.logits)


def test_an_adapted_network_has_no_preactivations() -> None:
    adapter = Adapter(TwoStages(), **LAYERS)
    assert adapter(torch.randn(2, 1, 8, 8)).preactivations == ()
    assert measure_shapes(adapter, (1, 8, 8)).preactivations == ()


def test_a_network_of_torchvision_reads_grey_images_as_three_equal_channels() -> None:
    network = build_model("torchvision/mobilenet_v3_small", 3, (1, 32, 32)).eval()
    images = torch.rand(2, 1, 32, 32)
    plain = build_model("torchvision/mobilenet_v3_small", 3, (3, 32, 32)).eval()
    plain.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(network(images).logits, plain(images.repeat(1, 3, 1, 1)).logits)
    assert measure_shapes(network, (1, 32, 32)).penultimate == (1024,)


def test_settings_build_an_adapted_torchvision_network(resnet18_layers: dict[str, Any]) -> None:
    config = ModelConfig(model="torchvision/resnet18", **resnet18_layers)
    network = build_model(config, 10, (3, 64, 64))
    shapes = measure_shapes(network, (3, 64, 64))
    assert shapes.stem == (64, 32, 32)
    assert [[tuple(block) for block in blocks] for blocks in shapes.stages] == [
        [(64, 16, 16)] * 2,
        [(128, 8, 8)] * 2,
        [(256, 4, 4)] * 2,
        [(512, 2, 2)] * 2,
    ]
    assert network.training


def test_an_image_that_the_network_cannot_read_is_refused(resnet18_layers: dict[str, Any]) -> None:
    config = ModelConfig(model="torchvision/resnet18", **resnet18_layers)
    with pytest.raises(ValueError, match=r"torchvision/resnet18: cannot read images of shape \(4, 8, 8\)"):
        build_model(config, 10, (4, 8, 8))


def test_an_activation_in_place_does_not_overwrite_the_layer_before_it() -> None:
    network = TwoStages()
    images = torch.randn(3, 1, 8, 8)
    expected = network.stem(images)
    activations: Activations = Adapter(network, **LAYERS)(images)
    assert expected.min() < 0
    torch.testing.assert_close(activations.stem, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": [["unused"]]}, "layer 'unused' does not run"),
        ({"stem": "classifier"}, r"layer 'classifier' gives \(1, 5\), not \(batch, channels, height, width\)"),
        ({"stages": [["first"]]}, "layer 'first' is overwritten in place"),
    ],
)
def test_layers_that_cannot_be_representations_are_refused_by_the_check(change: dict[str, Any], message: str) -> None:
    layers = LAYERS | {"stages": [["second"]]} | change
    with pytest.raises(ValueError, match=message):
        Adapter(TwoStages(overwrites=True), **layers).check((1, 8, 8))


def test_a_layer_that_is_not_there_is_answered_with_close_names() -> None:
    with pytest.raises(ValueError, match=r"no layer 'classifer'; it has, among others, classifier"):
        Adapter(TwoStages(), **(LAYERS | {"penultimate": "classifer"}))


def test_checkpoints_pass_between_the_plain_and_the_adapted_network() -> None:
    plain, adapter = TwoStages(), Adapter(TwoStages(), **LAYERS)
    assert list(adapter.state_dict()) == list(plain.state_dict())
    adapter.load_state_dict(plain.state_dict())
    images = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(adapter(images).logits, plain(images))
    TwoStages().load_state_dict(adapter.state_dict())
    wrapped = nn.ModuleDict({"student": adapter})
    wrapped.load_state_dict(wrapped.state_dict())
    assert "student.stem.weight" in wrapped.state_dict()


def test_nothing_of_a_batch_is_held_after_it_and_a_copy_collects_its_own() -> None:
    adapter = Adapter(TwoStages(), **LAYERS)
    twin = copy.deepcopy(adapter)
    images = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(twin(images).stem, adapter(images).stem)
    assert adapter._outputs == {}
    assert twin._outputs == {}


def test_an_adapted_network_compiles_whole(resnet18_layers: dict[str, Any]) -> None:
    adapter = Adapter(resnet18(num_classes=10), **resnet18_layers).eval()
    compiled = torch.compile(adapter, fullgraph=True, backend="eager")
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(compiled(images).stages[2][1], adapter(images).stages[2][1])


class Returns(nn.Module):
    """A network whose forward returns what it is told to make of its logits."""

    def __init__(self, made: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.made = made

    def forward(self, images: Tensor) -> Any:
        """Return something of the logits (batch, 5)."""
        return self.made(images.flatten(1)[:, :5])


@pytest.mark.parametrize(
    ("made", "got"),
    [
        (lambda logits: (logits, logits), "tuple"),
        (lambda logits: {"logits": logits}, "dict"),
        (lambda logits: logits[:, :4], r"\(1, 4\)"),
        (lambda logits: logits[:, :, None], r"\(1, 5, 1\)"),
        (lambda logits: Activations(logits[:, :4], logits, logits, (), ()), r"\(1, 4\)"),
    ],
)
def test_a_network_that_returns_no_logits_is_refused_before_it_is_trained(
    monkeypatch: pytest.MonkeyPatch, made: Callable[[Tensor], Any], got: str
) -> None:
    monkeypatch.setitem(MODELS, "own", lambda *_: Returns(made))
    with pytest.raises(InputError, match=rf"^own: its forward must return logits, \(batch, 5\), .* got {got}$"):
        build_model("own", 5, (1, 8, 8))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda vector, maps: Activations(vector, maps, maps, ((maps,),), ()), r"penultimate as .*\(1, 1, 8, 8\)"),
        (lambda vector, maps: Activations(vector, vector, vector, ((maps,),), ()), r"stem as .*\(1, 5\)"),
        (lambda vector, maps: Activations(vector, vector, maps, (maps,), ()), r"stages\[0\] as .*\(1, 8, 8\)"),
        (lambda vector, maps: Activations(vector, vector, maps, ((maps,), (maps,)), (maps,)), "preactivations like"),
    ],
)
def test_activations_of_other_shapes_are_refused_before_they_are_compared(
    monkeypatch: pytest.MonkeyPatch, made: Callable[[Tensor, Tensor], Activations], said: str
) -> None:
    network = Returns(lambda logits: made(logits, torch.zeros(len(logits), 1, 8, 8)))
    monkeypatch.setitem(MODELS, "own", lambda *_: network)
    with pytest.raises(InputError, match=f"^own: its forward must return {said}"):
        build_model("own", 5, (1, 8, 8))
