"""Knowledge review."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.reviewkd import Fusion, ReviewKD, hierarchical_context_loss
from tests.objectives.drawn import drawn
from tests.objectives.golden import Case
from tests.objectives.modern import MODERN, assert_as_published, assert_gradients, give, maps_of


def slow_loss(student: Tensor, teacher: Tensor) -> float:
    def mean_square(side: int) -> float:
        window, total, count = student.shape[2] // side, 0.0, 0
        for sample in range(student.shape[0]):
            for channel in range(student.shape[1]):
                for row in range(0, window * side, window):
                    for column in range(0, window * side, window):
                        place = sample, channel, slice(row, row + window), slice(column, column + window)
                        total += float(student[place].mean() - teacher[place].mean()) ** 2
                        count += 1
        return total / count

    side = student.shape[2]
    levels = [mean_square(side), *(mean_square(smaller) for smaller in (4, 2, 1) if smaller < side)]
    weights = [0.5**number for number in range(len(levels))]
    return sum(weight * level for weight, level in zip(weights, levels, strict=True)) / sum(weights)


@pytest.mark.parametrize("side", [8, 4, 2, 1])
def test_the_loss_equals_a_plain_loop(side: int) -> None:
    student, teacher = drawn(0, 2, 3, side, side), drawn(1, 2, 3, side, side)
    assert float(hierarchical_context_loss(student, teacher)) == pytest.approx(slow_loss(student, teacher))


def test_the_loss_by_hand() -> None:
    # Squares 4, 0, 0, 0: mean 1. Averaged to one position the difference is 1/2: 1/4. (1 + 1/2 * 1/4) / (1 + 1/2)
    student = torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]])
    assert float(hierarchical_context_loss(student, torch.zeros(1, 1, 2, 2))) == pytest.approx(0.75)


def test_gradient() -> None:
    student = drawn(0, 2, 2, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: hierarchical_context_loss(value, drawn(1, 2, 2, 4, 4)), student)


def test_a_fusion_equals_a_plain_loop() -> None:
    fusion = Fusion(2, 3, torch.Size([2, 4, 4]), fuses=True).double().eval()
    own, below = drawn(0, 1, 2, 2, 2), drawn(1, 1, 3, 1, 1)
    compared, fused = fusion(own, below)
    assert fusion.attention is not None
    weight, bias = fusion.attention.weight[:, :, 0, 0], fusion.attention.bias
    assert bias is not None
    reduced = fusion.reduce(own)
    for row in range(4):
        for column in range(4):
            values, deeper = reduced[0, :, row // 2, column // 2], below[0, :, 0, 0]
            factors = torch.sigmoid(weight @ torch.cat([values, deeper]) + bias)
            torch.testing.assert_close(fused[0, :, row, column], factors[0] * values + factors[1] * deeper)
    torch.testing.assert_close(compared, fusion.expand(fused))


def test_every_level_has_a_term_and_deeper_maps_reach_shallower_ones(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    reviewkd = ReviewKD(ReviewKD.Config(warmup_epochs=0), given)
    terms = reviewkd(student, teacher, batch)
    assert list(terms) == list(reviewkd.term_weights) == ["stage1", "stage2", "stage3", "penultimate"]
    terms["stage1"].backward()
    assert student.penultimate.grad is not None
    assert all(blocks[-1].grad is not None for blocks in student.stages)
    halved = ReviewKD(ReviewKD.Config(warmup_epochs=2), given)(student, teacher, batch)
    for name, value in terms.items():
        torch.testing.assert_close(halved[name], value / 2)


def test_a_teacher_without_preactivations_is_refused(given: BuildContext) -> None:
    with pytest.raises(ValueError, match=r"objective\.reviewkd: .*teacher\.model"):
        ReviewKD(ReviewKD.Config(), replace(given, teacher=replace(given.teacher, preactivations=())))


def of_levels(levels: list[Tensor]) -> Activations:
    stages = tuple((stage,) for stage in levels[:-1])
    return Activations(levels[-1], levels[-1], levels[0], stages, tuple(levels[:-1]))


@pytest.mark.parametrize("path", MODERN.get("reviewkd", []), ids=lambda path: path.stem)
def test_the_published_code_gives_the_same(path: Path, batch: Batch) -> None:
    case = Case(path)
    levels, of_teacher = maps_of(case)
    student, teacher = of_levels(levels), of_levels(of_teacher)
    given = BuildContext(student.shapes(batch.images), teacher.shapes(batch.images), labels=torch.arange(2), seed=0)
    reviewkd = ReviewKD(ReviewKD.Config(warmup_epochs=0), given)
    parts: list[tuple[str, nn.Module]] = []
    for number, fusion in enumerate(reversed([*reviewkd.fusions.values()])):
        assert isinstance(fusion, Fusion)
        parts += [(f"abfs.{number}.conv1.", fusion.reduce), (f"abfs.{number}.conv2.", fusion.expand)]
        parts += [(f"abfs.{number}.att_conv.", fusion.attention)] if fusion.attention else []
    for published, part in parts:
        give(part, case, published)
    terms = reviewkd(student, teacher, batch)
    loss = torch.stack([*terms.values()]).sum()
    torch.autograd.backward(loss)
    assert_as_published(loss, case["loss"])
    assert_as_published(torch.stack([*terms.values()]), case["loss_levels"])
    for number, level in enumerate(levels):
        assert_as_published(level.grad, case[f"grad_s{number}"])
    for published, part in parts:
        assert_gradients(case, published, part)
