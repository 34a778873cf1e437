"""Networks of torchvision and timm as student and teacher without a named layer."""

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch, NoRepresentation
from cktf.errors import InputError
from cktf.models import MODELS, Adapter, ModelConfig, build_model, layer_rows, measure_shapes, with_own_classifier
from cktf.models.adapter import as_map
from cktf.models.zoo import torchvision_weights
from cktf.objectives import BuildContext, WeightedSum
from cktf.objectives.registry import OBJECTIVES, ObjectivesConfig
from cktf.study.designs import smoke_trial
from cktf.trainer.config import TrialConfig
from cktf.trial.check import check_trial, look_at_networks
from cktf.trial.content import contents_of, trial_config
from cktf.trial.run import run_trial
from cktf.trial.teachers import teacher_trial

IMAGE = (3, 32, 32)

TORCHVISION = {
    "resnet18": ("relu", [64, 128, 256, 512], 512),
    "regnet_x_400mf": ("stem", [32, 64, 160, 400], 400),
    "densenet121": ("features.relu0", [256, 512, 1024, 1024], 1024),
    "mobilenet_v2": ("features.1", [24, 32, 96, 320], 1280),
    "mobilenet_v3_small": ("features.0", [16, 24, 48, 96], 1024),
    "efficientnet_b0": ("features.1", [24, 40, 112, 320], 1280),
    "convnext_tiny": ("features.0", [96, 192, 384, 768], 768),
    "swin_t": ("features.0", [96, 192, 384, 768], 768),
    "vit_b_16": ("conv_proj", [768] * 4, 768),
    "shufflenet_v2_x0_5": ("maxpool", [48, 96, 192], 1024),
}
TIMM = {
    "test_resnet": ("act1", [32, 48, 192, 96], 96),
    "test_efficientnet": ("blocks.0", [24, 32, 48, 64], 256),
    "test_convnext": ("stem", [24, 32, 48, 64], 64),
    "test_byobnet": ("stem", [32, 64, 128, 256], 256),
    "test_vit": ("patch_embed", [64] * 4, 64),
    "deit_tiny_distilled_patch16_224": ("patch_embed", [192] * 4, 192),
    "vit_small_patch16_dinov3": ("patch_embed", [384] * 4, 384),  # four register tokens
    "regnetx_002": ("stem", [24, 56, 152, 368], 368),
    "mobilenetv3_small_050": ("bn1", [8, 16, 24, 288], 1024),
    "swin_tiny_patch4_window7_224": ("patch_embed", [96, 192, 384, 768], 768),
}


@pytest.mark.parametrize("name", [f"torchvision/{name}" for name in TORCHVISION] + [f"timm/{name}" for name in TIMM])
def test_a_network_of_a_known_family_needs_no_named_layer(name: str) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    library, _, short = name.partition("/")
    stem, channels, features = (TIMM if library == "timm" else TORCHVISION)[short]
    network = build_model(name, 7, IMAGE)
    assert isinstance(network, Adapter)
    shapes = measure_shapes(network, IMAGE)
    assert network.stem == stem
    assert [blocks[-1][0] for blocks in shapes.stages] == channels
    assert shapes.penultimate == (features,)
    assert shapes.logits == (7,)
    for blocks in shapes.stages:
        assert len({*blocks}) == 1
        assert blocks[-1][1] == blocks[-1][2]
    assert {"stem", "stage1.0", "its input: penultimate"} <= {row[3] for row in layer_rows(network, shapes, IMAGE)}


def test_a_transformers_maps_are_its_tokens_without_those_in_front() -> None:
    network = nn.Module()
    tokens = torch.randn(2, 5 + 9, 4)
    network.num_prefix_tokens = 5  # type: ignore[assignment]
    expected = tokens[:, 5:].transpose(1, 2).reshape(2, 4, 3, 3)
    torch.testing.assert_close(as_map(tokens, network), expected)
    torch.testing.assert_close(as_map(tokens[:, 4:], nn.Module()), expected)  # one class token is found by the square
    last = torch.randn(2, 3, 3, 4)
    torch.testing.assert_close(as_map(last, nn.Module()), last.permute(0, 3, 1, 2))
    with pytest.raises(ValueError, match=r"\(2, 24, 4\) is no map"):
        as_map(torch.zeros(2, 24, 4), nn.Module())


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ("timm/test_resnet", "timm/test_vit"),
        ("timm/test_vit", "timm/test_resnet"),
        ("resnet8", "timm/swin_tiny_patch4_window7_224"),
    ],
)
def test_a_step_across_families(student: str, teacher: str) -> None:
    pytest.importorskip("timm")
    networks = build_model(student, 5, IMAGE), build_model(teacher, 5, IMAGE)
    shapes = measure_shapes(networks[0], IMAGE), measure_shapes(networks[1], IMAGE, "teacher")
    labels = torch.arange(8) % 5
    config = ObjectivesConfig.model_validate({"kd": {}, "at": {}, "cktf": {"negatives": 4}})
    objective = WeightedSum(config, BuildContext(*shapes, labels, seed=0))
    batch = Batch(torch.randn(8, *IMAGE), labels, torch.arange(8), step=0)
    with torch.no_grad():
        of_teacher: Activations = networks[1](batch.images)
    loss, terms = objective(networks[0](batch.images), of_teacher, batch)
    assert terms.keys() >= {"kd.logits", "at.stage1", "cktf.penultimate"}
    assert ("cktf.stage1-stage2" in terms) == (student == "resnet8")
    loss.backward()
    assert all(parameter.grad is not None for parameter in list(networks[0].parameters())[:2])


class Plain(nn.Module):
    """A network without a known layer."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 6, 3, padding=1)
        self.second = nn.Conv2d(6, num_classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.second(self.first(images).relu()).mean((2, 3))
        return logits


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(MODELS, "plain", Plain)
    return "plain"


def test_a_factorys_plain_network_is_adapted_and_one_with_activations_is_not(
    plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(build_model(plain, 5, (1, 8, 8)), Adapter)
    named = ModelConfig(model=plain, stem="first", stages=(("first",),), penultimate="first")
    assert measure_shapes(build_model(named, 5, (1, 8, 8)), (1, 8, 8)).stages == (((6, 8, 8),),)
    with pytest.raises(ValueError, match="plain: the network has no layer 'third'"):
        build_model(ModelConfig(model=plain, stem="third"), 5, (1, 8, 8))
    monkeypatch.setitem(MODELS, "own", MODELS["resnet8"])
    assert not isinstance(build_model("own", 5, (1, 8, 8)), Adapter)
    with pytest.raises(ValueError, match="own: stem, stages and penultimate: the network returns its own"):
        build_model(ModelConfig(model="own", stem="conv1"), 5, (1, 8, 8))


class PreActivated(nn.Module):
    """A network whose one activation runs after the first layer and again after the last stage."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1, self.relu = nn.Conv2d(in_channels, 4, 3), nn.ReLU()
        self.layer1, self.layer2 = (nn.Sequential(nn.Conv2d(4, 4, 3)) for _ in range(2))
        self.fc = nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        maps = self.layer2(self.layer1(self.relu(self.conv1(images))))
        logits: Tensor = self.fc(self.relu(maps).mean((2, 3)))
        return logits


def test_an_activation_that_runs_again_behind_the_stages_is_not_taken_for_the_stem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(MODELS, "own", PreActivated)
    shapes = measure_shapes(build_model("own", 5, (1, 16, 16)), (1, 16, 16))
    assert shapes.stages == (((4, 12, 12),), ((4, 10, 10),))
    assert not shapes.has("stem")


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_only_objectives_that_read_more_than_logits_want_layers_named(plain: str, role: str) -> None:
    image = (1, 8, 8)
    networks = {"student": "resnet8", "teacher": "resnet8"} | {role: plain}
    shapes = {side: measure_shapes(build_model(name, 5, image), image, side) for side, name in networks.items()}
    given = BuildContext(shapes["student"], shapes["teacher"], labels=torch.arange(10) % 5, seed=0)
    told = {}
    for name in OBJECTIVES:
        with suppress(InputError):
            WeightedSum(ObjectivesConfig.model_validate({name: {}}), given)
            told[name] = ""
        if name not in told:
            with pytest.raises(InputError) as raised:
                WeightedSum(ObjectivesConfig.model_validate({name: {}}), given)
            told[name] = str(raised.value)
    free = {name for name, message in told.items() if not message}
    for name in told.keys() - free - {"ab", "ofd", "reviewkd", "catkd"}:  # these read more than any such network has
        assert re.match(rf"objective\.{name}: reads the .* name it under {role}\.", told[name])
    assert free - {"simkd"} == {"cross_entropy", "kd", "dkd", "dist"}
    with pytest.raises(NoRepresentation, match=rf"reads the stages of the {role}.*name it under {role}\.stages"):
        _ = shapes[role].stages


def config_of(**changes: Any) -> dict[str, Any]:
    base = {
        "data": {"name": "digits", "train_fraction": 0.1},
        "student": {"model": "resnet8"},
        "objective": {"cross_entropy": {}},
        "epochs": 1,
        "batch_size": 64,
    }
    return base | changes


def test_a_student_without_known_layers_learns_by_logits(plain: str) -> None:
    teacher = {"model": plain, "epochs": 1}
    config = TrialConfig.model_validate(config_of(student={"model": plain}, teacher=teacher, objective={"kd": {}}))
    assert [result.epoch for result in run_trial(config)] == [1]


def test_a_file_of_first_weights_is_loaded_and_known_by_its_content(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = build_model("resnet8", 20, (1, 8, 8)).state_dict()  # of other classes
    paths = [tmp_path / name for name in ("a.pth", "b.pth")]
    torch.save({"state_dict": first}, paths[0])
    shutil.copy(*paths)
    students = [{"weights": str(paths[0])}, {"weights": str(paths[1])}, {}]
    ours, theirs, without = (trial_config(config_of(student={"model": "resnet8"} | extra)) for extra in students)
    assert ours.trial_id == theirs.trial_id != without.trial_id
    check_trial(ours)
    network = build_model("resnet8", 10, (1, 8, 8))
    loaded = with_own_classifier(network, first)
    own = network.state_dict()
    assert all(torch.equal(value, (own if key.startswith("fc.") else first)[key]) for key, value in loaded.items())
    assert next(iter(run_trial(ours))).train_loss != next(iter(run_trial(without))).train_loss
    torch.save({"weight": torch.zeros(1)}, paths[0])
    with pytest.raises(ValueError, match=r"student\.weights: .*SHA-256"):
        check_trial(ours)
    with pytest.raises(ValueError, match=r"student\.weights: .* does not hold the weights of resnet8: missing"):
        check_trial(trial_config(config_of(student={"model": "resnet8", "weights": str(paths[0])})))


class TwoHeads(nn.Module):
    """A network of which timm would name two classifiers."""

    default_cfg: ClassVar[dict[str, Any]] = {"classifier": ("head", "head_dist")}

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.network, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)
        self.head, self.head_dist = nn.Linear(4, num_classes), nn.Linear(4, num_classes)


def test_both_classifiers_of_a_network_are_new_for_other_classes() -> None:
    own, weights = TwoHeads(3), TwoHeads(5).state_dict()
    loaded = with_own_classifier(own, weights)
    own.load_state_dict(loaded)
    assert [key for key, value in loaded.items() if value is weights.get(key)] == [
        *("network.weight", "network.bias", "last.weight", "last.bias")
    ]


def test_a_teacher_is_fine_tuned_from_a_file_and_a_smoke_run_needs_none(tmp_path: Path) -> None:
    path = tmp_path / "first.pth"
    torch.save(build_model("resnet8", 20, (1, 8, 8)).state_dict(), path)
    teacher = {"model": "resnet8", "weights": str(path), "epochs": 1}
    config = trial_config(config_of(teacher=teacher, objective={"kd": {}}))
    assert [content.key for content in contents_of(config)] == ["teacher.weights"]
    assert config.teacher
    assert teacher_trial(config.teacher, config.data).student.weights == str(path)
    assert [result.epoch for result in run_trial(config)] == [1]
    path.write_bytes(b"other")
    with pytest.raises(ValueError, match=r"teacher\.weights: .*SHA-256"):
        check_trial(config)
    check_trial(smoke_trial(config))
    with pytest.raises(ValueError, match="checkpoint is loaded as it is, so weights, epochs cannot"):
        trial_config(config_of(teacher=teacher | {"checkpoint": "trained.pth"}))


def test_published_weights_that_cannot_be_had_are_told_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", no_network)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    with pytest.raises(ValueError, match=r"^torchvision/resnet18: weights: default: .*OSError: no route"):
        build_model(ModelConfig(model="torchvision/resnet18", weights="default"), 10, (3, 64, 64))


def test_a_student_with_fewer_stages_is_told_how_it_is_paired() -> None:
    networks: dict[str, Any] = {"student": {"model": "resnet8"}, "teacher": {"model": "ResNet10"}}
    (told,) = look_at_networks(TrialConfig.model_validate(config_of(**networks, objective={"at": {}})))
    assert told.startswith("resnet8 has 3 stages and its teacher ResNet10 4;")
    assert told.endswith("stage1 with the teacher's stage2, and so on")
    assert look_at_networks(TrialConfig.model_validate(config_of(**networks, objective={"kd": {}}))) == []


def test_published_weights_that_do_not_fit_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    published = build_model("torchvision/squeezenet1_1", 1000, (3, 64, 64)).state_dict()
    monkeypatch.setattr("cktf.models.build.torchvision_weights", lambda *_: published)
    config = ModelConfig(model="torchvision/squeezenet1_1", weights="default")
    with pytest.raises(ValueError, match=r"^torchvision/squeezenet1_1: weights: default: those .* do not fit"):
        build_model(config, 10, (3, 64, 64))
    key = "classifier.1.bias"
    assert torch.equal(build_model(config, 1000, (3, 64, 64)).state_dict()[key], published[key])


def test_published_weights_of_a_densenet_have_their_present_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import models

    own = models.densenet121(weights=None, num_classes=1000).state_dict()
    older = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", key): value for key, value in own.items()}
    assert older.keys() != own.keys()
    monkeypatch.setattr(type(models.DenseNet121_Weights.DEFAULT), "get_state_dict", lambda *_, **__: older)
    assert torchvision_weights("torchvision/densenet121", 64).keys() == own.keys()


@pytest.mark.parametrize("name", ["stem", "stages", "penultimate"])
def test_an_empty_name_of_layers_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ModelConfig.model_validate({"model": "torchvision/resnet18", name: [] if name == "stages" else ""})
