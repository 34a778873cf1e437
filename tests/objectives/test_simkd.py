"""SimKD: the student reuses its teacher's classifier."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cktf.batch import Activations, Batch, Layers
from cktf.models import build_model, inner_layers, measure_shapes
from cktf.objectives import BuildContext, ObjectivesConfig, extended_student
from cktf.objectives.simkd import Projector, Reusing, SimKD, projection_loss
from tests.objectives.drawn import drawn
from tests.objectives.golden import Case
from tests.objectives.modern import MODERN, assert_as_published, assert_gradients, filled, give, maps_of

IMAGE = (3, 16, 16)


def context(student: nn.Module, teacher: nn.Module) -> BuildContext:
    layers = inner_layers(student), inner_layers(teacher)
    shapes = measure_shapes(student, IMAGE), measure_shapes(teacher, IMAGE)
    return BuildContext(*shapes, torch.arange(5), 3, *layers)


def test_the_loss_equals_a_plain_loop_also_where_the_teachers_map_is_larger() -> None:
    projection, teacher = drawn(0, 2, 3, 2, 2), drawn(1, 2, 3, 4, 4)
    total = 0.0
    for b, c, y, x in [(b, c, y, x) for b in range(2) for c in range(3) for y in range(2) for x in range(2)]:
        mean = sum(float(teacher[b, c, 2 * y + i, 2 * x + j]) for i in range(2) for j in range(2)) / 4
        total += (float(projection[b, c, y, x]) - mean) ** 2
    assert float(projection_loss(projection, teacher)) == pytest.approx(total / 24)
    assert torch.autograd.gradcheck(lambda value: projection_loss(value, teacher), projection.requires_grad_())


def test_the_loss_by_hand() -> None:
    assert float(projection_loss(torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[0.0, 1.0]]]]))) == 2.5


def test_a_projector_equals_a_plain_loop() -> None:
    projector = Projector(2, 3, 4).double().eval()
    values = drawn(0, 1, 2, 3, 3)
    for layer in projector:
        if isinstance(layer, nn.BatchNorm2d):  # as it was made: no shift, a factor of 1 / sqrt(1 + epsilon)
            values = values / (1 + layer.eps) ** 0.5
        elif isinstance(layer, nn.Conv2d):
            padded, side = functional.pad(values, [layer.kernel_size[0] // 2] * 4), layer.kernel_size[0]
            rows = [[padded[0, :, y : y + side, x : x + side] for x in range(3)] for y in range(3)]
            found = [[(layer.weight * window).sum((1, 2, 3)) for window in row] for row in rows]
            values = torch.stack([torch.stack(row, 1) for row in found], 1)[None]
        else:
            values = values.clamp(min=0)
    torch.testing.assert_close(projector(drawn(0, 1, 2, 3, 3)), values)


def test_a_student_that_projects_to_the_teachers_own_map_gives_the_teachers_logits() -> None:
    teacher = build_model("vgg8", 5, IMAGE).eval()
    layers, side = inner_layers(teacher), measure_shapes(teacher, IMAGE).stages[-1][-1][1:]
    assert layers.classifier
    reusing = Reusing(teacher, nn.Identity(), layers.classifier, (side[0], side[1])).eval()
    images = torch.randn(2, *IMAGE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(reusing(images).logits, teacher(images).logits)
    assert projection_loss(reusing(images).pooled, teacher(images).stages[-1][-1]) == 0


@pytest.mark.parametrize("names", [("resnet8", "wrn_16_1"), ("ShuffleV2", "resnet8x4"), ("wrn_16_1", "vgg8")])
def test_the_student_is_trained_and_evaluated_with_the_teachers_classifier(names: tuple[str, str]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student, teacher = (build_model(name, 5, IMAGE) for name in names)
    given = context(student, teacher)
    config = ObjectivesConfig.model_validate({"simkd": {}})
    extended = extended_student(config, student, given)
    given = replace(given, student=measure_shapes(extended, IMAGE))
    images = torch.randn(4, *IMAGE, generator=torch.Generator().manual_seed(0))
    found, of_teacher = extended(images), teacher.eval()(images)
    assert given.teacher_layers.classifier
    torch.testing.assert_close(found.logits, given.teacher_layers.classifier(found.pooled.mean((2, 3))))
    batch = Batch(images, torch.arange(4), torch.arange(4), step=0)
    SimKD(SimKD.Config(), given)(found, of_teacher, batch)["projection"].backward()
    trained = {name for name, value in extended.named_parameters() if value.grad is not None}
    assert any(name.startswith("projector.") for name in trained)
    assert any(name.startswith("student.conv1.") or name.startswith("student.block0.") for name in trained)
    assert not any(name.startswith("classifier.") for name in trained)
    assert {name.partition(".")[0] for name in extended.state_dict()} == {"student", "projector", "classifier"}


def test_without_simkd_the_student_stays_as_it_is() -> None:
    student = nn.Identity()
    config = ObjectivesConfig.model_validate({"kd": {}, "simkd": {"weight": 0}})
    shapes = measure_shapes(build_model("resnet8", 5, IMAGE), IMAGE)
    assert extended_student(config, student, BuildContext(shapes, shapes, torch.arange(5), 0)) is student


def test_what_cannot_be_is_told() -> None:
    student, teacher = build_model("resnet8", 5, IMAGE), build_model("resnet8", 5, IMAGE)
    given = context(student, teacher)
    with pytest.raises(ValueError, match=r"objective\.simkd\.factor: 65 leaves no channel .* 64"):
        extended_student(ObjectivesConfig.model_validate({"simkd": {"factor": 65}}), student, given)
    with pytest.raises(ValueError, match=r"objective\.simkd: .* initial phase of objective\.ab"):
        extended_student(ObjectivesConfig.model_validate({"simkd": {}, "ab": {}}), student, given)
    with pytest.raises(ValueError, match=r"objective\.simkd: the classifier's .*teacher\.model"):
        SimKD.extend_student(SimKD.Config(), student, replace(given, teacher_layers=Layers()))


class Given(nn.Module):
    """A network whose map is given."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> Activations:  # noqa: ARG002
        vector = self.features.mean((2, 3))
        return Activations(vector, vector, self.features, ((self.features,),), (), pooled=self.features)


@pytest.mark.parametrize("path", MODERN.get("simkd", []), ids=lambda path: path.stem)
def test_the_published_code_gives_the_same(path: Path, batch: Batch) -> None:
    case = Case(path)
    (ours,), (theirs,) = maps_of(case)
    student, teacher = Given(ours), Given(theirs)
    weight, bias = (filled(case.meta["classifier"][f"cls_t.{name}"]) for name in ("weight", "bias"))
    classifier = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        classifier.weight.copy_(weight)
        classifier.bias.copy_(bias)
    of_teacher = teacher(batch.images).shapes(batch.images)
    shapes = student(batch.images).shapes(batch.images), replace(of_teacher, logits=torch.Size([len(bias)]))
    given = BuildContext(*shapes, torch.arange(2), 0, teacher_layers=Layers(classifier))
    config = SimKD.Config(factor=case.meta["factor"])
    reusing = SimKD.extend_student(config, student, given)
    give(reusing.projector, case, "transfer.")
    simkd = SimKD(config, given)
    activations = reusing(batch.images)
    loss = simkd(activations, teacher(batch.images), batch)["projection"]
    loss.backward()
    assert_gradients(case, "transfer.", reusing.projector)
    evaluated = reusing.eval()(batch.images)
    pairs = {
        "loss": loss,
        "trans_s": activations.pooled,
        "logits": activations.logits,
        "grad_s0": ours.grad,
        "logits_eval": evaluated.logits,
        "loss_eval": simkd(evaluated, teacher(batch.images), batch)["projection"],
    }
    for name, value in pairs.items():
        assert_as_published(value, case[name])
