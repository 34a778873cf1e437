"""Factor transfer."""

import math

import pytest
import torch

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.ft import FT, factor_loss
from tests.objectives.drawn import drawn
from tests.objectives.test_at import slow_attention


@pytest.mark.parametrize("exponent", [1, 2, 3])
def test_the_loss_equals_a_plain_loop(exponent: int) -> None:
    student, teacher = drawn(0, 3, 4, 2, 4), drawn(1, 3, 4, 2, 4)
    gaps = [
        abs(ours - theirs) ** exponent
        for one, other in zip(student, teacher, strict=True)
        for ours, theirs in zip(slow_attention(one, 2), slow_attention(other, 2), strict=True)
    ]
    assert float(factor_loss(student, teacher, 2, exponent)) == pytest.approx(sum(gaps) / len(gaps))


def test_the_loss_by_hand() -> None:
    # Squares (3, 4) have norm 5: (0.6, 0.8) against (0, 1).
    student = torch.tensor([math.sqrt(3), -2.0]).view(1, 1, 1, 2)
    teacher = torch.tensor([0.0, 5.0]).view(1, 1, 1, 2)
    assert float(factor_loss(student, teacher, 2, 1)) == pytest.approx((0.6 + 0.2) / 2)


def test_gradient() -> None:
    student = drawn(0, 2, 3, 4, 4).requires_grad_()
    for teacher in (drawn(1, 2, 3, 4, 4), drawn(1, 2, 3, 2, 2)):
        assert torch.autograd.gradcheck(lambda value, other=teacher: factor_loss(value, other, 2, 1), student)


def test_neither_the_order_of_channels_nor_the_scale_matters() -> None:
    student, teacher = drawn(0, 2, 4, 3, 3), drawn(1, 2, 4, 3, 3)
    moved = factor_loss(-3 * student.flip(1), teacher / 2, 2, 1)
    torch.testing.assert_close(moved, factor_loss(student, teacher, 2, 1))


def test_the_initial_phase_trains_the_paraphraser_to_reconstruct_the_teachers_last_stage(
    teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    initial = FT(FT.Config(initial_epochs=3, initial_learning_rate=0.2), given).initial
    assert (initial.epochs, initial.learning_rate, initial.trains_student) == (3, 0.2, False)
    optimizer = torch.optim.Adam(initial.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        terms = initial(None, teacher, batch)
        assert terms.keys() == initial.term_weights.keys() == {"reconstruction"}
        losses.append(terms["reconstruction"])
        optimizer.zero_grad()
        losses[-1].backward(inputs=list(initial.parameters()))
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]
    gap = initial.paraphraser(teacher.stages[-1][-1]) - teacher.stages[-1][-1]
    torch.testing.assert_close(initial(None, teacher, batch)["reconstruction"], gap.square().mean())


def test_then_the_translator_follows_the_frozen_paraphraser(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    ft = FT(FT.Config(), given)
    terms = ft(student, teacher, batch)
    assert terms.keys() == ft.term_weights.keys() == {"last_stage"}
    terms["last_stage"].backward()
    gradient = student.stages[-1][-1].grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
    assert teacher.stages[-1][-1].grad is None
    assert all(parameter.grad is not None for parameter in ft.translator.parameters())
    assert all(parameter.grad is None for parameter in ft.initial.parameters())


def test_the_rate_sets_the_channels_of_a_factor(
    student: Activations, teacher: Activations, given: BuildContext
) -> None:
    ft = FT(FT.Config(rate=0.3), given)
    assert ft.translator(student.stages[-1][-1]).shape == (6, 4, 2, 2)  # 0.3 of 16 channels
    assert ft.initial.paraphraser.encoder(teacher.stages[-1][-1]).shape == (6, 4, 2, 2)
    with pytest.raises(ValueError, match=r"objective\.ft\.rate: 0\.05 leaves no channel of the teacher's 16"):
        FT(FT.Config(rate=0.05), given)
