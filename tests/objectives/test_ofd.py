"""Overhaul of feature distillation."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Layers
from cktf.objectives import BuildContext
from cktf.objectives.ofd import OFD, margins, partial_distance
from tests.objectives.drawn import drawn
from tests.objectives.golden import Case
from tests.objectives.modern import MODERN, assert_as_published, assert_gradients, give, maps_of


def batch_norm(weight: Tensor, bias: Tensor) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(len(weight))
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def test_the_distance_equals_a_plain_loop() -> None:
    student, teacher, margin = drawn(0, 2, 3, 2, 2), drawn(1, 2, 3, 2, 2), -drawn(2, 3).abs()
    total = 0.0
    for place in [(b, c, y, x) for b in range(2) for c in range(3) for y in range(2) for x in range(2)]:
        s, t = float(student[place]), max(float(teacher[place]), float(margin[place[1]]))
        if teacher[place] > 0 or s > t:
            total += (s - t) ** 2
    assert float(partial_distance(student, teacher, margin)) == pytest.approx(total / 2)


def test_the_distance_by_hand() -> None:
    # Margin -1. Positive 2 from -1: 9. Below the margin, from 0 to it: 1, from -3: 0. -0.5 from 1: 2.25, from -0.7: 0.
    teacher = torch.tensor([2.0, -5.0, -5.0, -0.5, -0.5]).view(1, 1, 1, 5)
    student = torch.tensor([-1.0, 0.0, -3.0, 1.0, -0.7]).view(1, 1, 1, 5)
    assert float(partial_distance(student, teacher, torch.tensor([-1.0]))) == 12.25


def test_gradient() -> None:
    student, margin = drawn(0, 2, 3, 2, 2).requires_grad_(), -drawn(2, 3).abs()
    assert torch.autograd.gradcheck(lambda value: partial_distance(value, drawn(1, 2, 3, 2, 2), margin), student)


def test_a_margin_is_the_mean_of_a_channels_negative_values() -> None:
    weight, bias = torch.tensor([1.0, -0.5, 2.0, 0.3]), torch.tensor([0.0, 0.4, -1.0, 2.0])
    expected = []
    for deviation, mean in zip(weight.abs().tolist(), bias.tolist(), strict=True):
        channel = stats.norm(mean, deviation)
        if channel.cdf(0) > 0.001:
            below = integrate.quad(lambda x, of=channel: x * of.pdf(x), mean - 12 * deviation, 0)[0]
            expected.append(below / channel.cdf(0))
        else:
            expected.append(-3 * deviation)
    found = margins(batch_norm(weight, bias)).tolist()
    assert found == pytest.approx(expected, rel=1e-5)
    assert found[0] == pytest.approx(-math.sqrt(2 / math.pi))
    dead = margins(batch_norm(torch.zeros(2), torch.tensor([0.5, -0.5])))
    assert dead.tolist() == pytest.approx([0, -0.5], abs=1e-6)


def test_every_stage_has_a_term_and_deeper_ones_count_more(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    ofd = OFD(OFD.Config(kernel_size=3), given)
    terms = ofd(student, teacher, batch)
    assert ofd.term_weights == {"stage1": 0.25, "stage2": 0.5, "stage3": 1.0}
    assert list(terms) == list(ofd.term_weights)
    assert not any("margin" in name for name in ofd.state_dict())


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_a_network_without_preactivations_is_refused(role: str, given: BuildContext) -> None:
    shapes = {role: replace(getattr(given, role), preactivations=())}
    with pytest.raises(ValueError, match=rf"objective\.ofd: .*{role}\.model"):
        OFD(OFD.Config(), replace(given, **shapes))


def test_a_teacher_without_batch_norms_at_its_stages_ends_is_refused(given: BuildContext) -> None:
    with pytest.raises(ValueError, match=r"objective\.ofd: .*batch-norm .*teacher\.model"):
        OFD(OFD.Config(), replace(given, teacher_layers=Layers()))


@pytest.mark.parametrize("path", MODERN.get("ofd", []), ids=lambda path: path.stem)
def test_the_published_code_gives_the_same(path: Path, batch: Batch) -> None:
    case = Case(path)
    ours, theirs = maps_of(case)
    student, teacher = (
        Activations(side[0], side[0], side[0], tuple((stage,) for stage in side), tuple(side))
        for side in (ours, theirs)
    )
    layers = [batch_norm(case[f"t_bn{n}.weight"], case[f"t_bn{n}.bias"]) for n in range(len(theirs))]
    for number, layer in enumerate(layers):
        assert_as_published(margins(layer), case[f"margin{number}"])
    given = BuildContext(
        student.shapes(batch.images),
        teacher.shapes(batch.images),
        labels=torch.arange(2),
        seed=0,
        teacher_layers=Layers(None, tuple(layers)),
    )
    ofd = OFD(OFD.Config(kernel_size=case.meta["kernel_size"]), given)
    for number, connector in enumerate(ofd.connectors.values()):
        give(connector, case, f"connectors.connectors.{number}.")
    terms = ofd(student, teacher, batch)
    loss = torch.stack([ofd.term_weights[name] * value for name, value in terms.items()]).sum()
    torch.autograd.backward(loss)
    assert_as_published(loss, case["loss"])
    assert_as_published(torch.stack([*terms.values()]), case["loss_levels"])
    for number, stage in enumerate(ours):
        assert_as_published(stage.grad, case[f"grad_s{number}"])
    for number, connector in enumerate(ofd.connectors.values()):
        assert_gradients(case, f"connectors.connectors.{number}.", connector)
