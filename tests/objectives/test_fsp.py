"""Flow of solution procedure."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.fsp import FSP, flow, flow_loss
from tests.objectives.drawn import drawn


def test_flow_and_loss_equal_plain_loops() -> None:
    lower, upper, other = drawn(0, 2, 3, 2, 4), drawn(1, 2, 5, 2, 4), drawn(2, 2, 5, 2, 4)

    def slow_flow(above: Tensor, i: int, a: int, b: int) -> float:
        return sum(float(lower[i, a, y, x] * above[i, b, y, x]) for y in range(2) for x in range(4)) / 8

    found, squares = flow(lower, upper), []
    for i in range(2):
        for a in range(3):
            for b in range(5):
                assert float(found[i, a, b]) == pytest.approx(slow_flow(upper, i, a, b))
                squares.append((slow_flow(upper, i, a, b) - slow_flow(other, i, a, b)) ** 2)
    assert float(flow_loss(found, flow(lower, other))) == pytest.approx(sum(squares) / len(squares))


def test_flow_and_loss_by_hand() -> None:
    # The lower map (1, 2 / 3, 4) is averaged to 2.5; times 4 and -2.
    lower, upper = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([4.0, -2.0]).view(1, 2, 1, 1)
    assert flow(lower, upper).tolist() == [[[10.0, -5.0]]]
    assert float(flow_loss(flow(lower, upper), torch.zeros(1, 1, 2))) == (100 + 25) / 2


def test_gradient() -> None:
    lower, upper = drawn(0, 2, 3, 4, 4).requires_grad_(), drawn(1, 2, 5, 2, 2).requires_grad_()
    teacher = flow(drawn(2, 2, 3, 4, 4), drawn(3, 2, 5, 2, 2))
    assert torch.autograd.gradcheck(lambda *given: flow_loss(flow(*given), teacher), (lower, upper))


def test_the_order_of_positions_does_not_matter() -> None:
    lower, upper = drawn(0, 2, 3, 4, 4), drawn(1, 2, 5, 4, 4)
    torch.testing.assert_close(flow(lower.flip(2).mT, upper.flip(2).mT), flow(lower, upper))


def test_the_initial_phase_compares_the_flow_into_every_stage(
    make_activations: Callable[..., Activations], batch: Batch
) -> None:
    student, teacher = (make_activations(width=2, blocks=1, seed=1), make_activations(width=2, blocks=3, seed=2))
    given = BuildContext(student.shapes(batch.images), teacher.shapes(batch.images), torch.arange(30), seed=0)
    fsp = FSP(FSP.Config(initial_epochs=3, initial_learning_rate=0.2), given)
    assert fsp(student, teacher, batch) == fsp.term_weights == {}
    assert fsp.initial is not None
    assert (fsp.initial.epochs, fsp.initial.learning_rate, fsp.initial.trains_student) == (3, 0.2, True)
    terms = fsp.initial(student, teacher, batch)
    assert list(terms) == list(fsp.initial.term_weights) == ["stage1", "stage2", "stage3"]
    first = flow_loss(flow(student.stem, student.stages[0][-1]), flow(teacher.stem, teacher.stages[0][-1]))
    last = flow_loss(
        flow(student.stages[1][-1], student.stages[2][-1]), flow(teacher.stages[1][-1], teacher.stages[2][-1])
    )
    assert torch.equal(terms["stage1"], first)
    assert torch.equal(terms["stage3"], last)


def test_unequal_channels_are_refused(given: BuildContext) -> None:
    with pytest.raises(ValueError, match=r"objective\.fsp\.weight: .*student has 2 of stem and the teacher 4"):
        FSP(FSP.Config(), given)
