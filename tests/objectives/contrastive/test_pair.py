"""One pair, contrasted both ways."""

import torch

from cktf.batch import Batch
from cktf.objectives import BuildContext
from cktf.objectives.contrastive.negatives import Negatives
from cktf.objectives.contrastive.pair import ContrastivePair, losses
from cktf.objectives.contrastive.settings import ContrastiveSettings
from cktf.objectives.schedules import value_of
from tests.objectives.contrastive.one_side import memory_of

CONFIG = ContrastiveSettings(negatives=8, dim=4)
SHAPES = torch.Size([5]), torch.Size([7])


def inputs(step: int) -> tuple[torch.Tensor, torch.Tensor, Batch, Negatives]:
    generator = torch.Generator().manual_seed(step)
    index = torch.randperm(30, generator=generator)[:6]
    weights = torch.zeros(6, 30).scatter_(1, torch.rand(6, 30, generator=generator).argsort(1)[:, :8], 1.0)
    return (
        torch.randn(6, 5, generator=generator),
        torch.randn(6, 7, generator=generator),
        Batch(torch.empty(0), index % 5, index, step),
        Negatives(weights, 8, distinct=True),
    )


def built(name: str, shapes: tuple[torch.Size, torch.Size], given: BuildContext) -> ContrastivePair:
    return ContrastivePair(name, shapes, CONFIG, given, value_of(CONFIG.temperature))


def loss_of(
    pair: ContrastivePair, student: torch.Tensor, teacher: torch.Tensor, batch: Batch, negatives: Negatives
) -> torch.Tensor:
    return losses({pair: (student, teacher)}, batch, {pair: negatives})[pair]


def test_both_heads_learn_and_the_banks_do_not(given: BuildContext) -> None:
    pair = built("stem", SHAPES, given)
    torch.autograd.backward(loss_of(pair, *inputs(0)))
    for side in (pair.student, pair.teacher):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in side.head.parameters())
        assert memory_of(side).grad is None


def test_rows_move_after_scoring_and_only_those_of_the_batch(given: BuildContext) -> None:
    pair = built("stem", SHAPES, given)
    before = memory_of(pair.teacher).clone()
    student, teacher, batch, negatives = inputs(0)
    loss_of(pair, student, teacher, batch, negatives)
    index = batch.index
    moved = (memory_of(pair.teacher) != before).any(1).nonzero().flatten()
    assert moved.tolist() == sorted(index.tolist())
    expected = torch.nn.functional.normalize(0.5 * before[index] + 0.5 * pair.teacher.head(teacher), dim=1)
    torch.testing.assert_close(memory_of(pair.teacher)[index], expected.detach())


def test_normalisation_constants_are_fixed_at_the_first_batch(given: BuildContext) -> None:
    pair = built("stem", SHAPES, given)
    assert pair.student.partition is None
    loss_of(pair, *inputs(0))
    first = pair.student.partition, pair.teacher.partition
    loss_of(pair, *inputs(1))
    assert (pair.student.partition, pair.teacher.partition) == first


def test_a_pair_goes_on_from_its_state_dict_as_if_nothing_had_happened(given: BuildContext) -> None:
    pair, resumed = (built("stem", SHAPES, given) for _ in range(2))
    resumed.load_state_dict(pair.state_dict())
    assert resumed.student.partition is None
    loss_of(pair, *inputs(0))
    loss_of(resumed, *inputs(3))
    resumed.load_state_dict(pair.state_dict())
    assert torch.equal(loss_of(pair, *inputs(1)), loss_of(resumed, *inputs(1)))
    assert torch.equal(memory_of(pair.student), memory_of(resumed.student))


def test_initial_values_are_addressed_by_seed_pair_and_side(given: BuildContext) -> None:
    torch.manual_seed(1)
    one = built("stem", (SHAPES[0], SHAPES[0]), given)
    torch.manual_seed(2)
    built("stage1", (SHAPES[0], SHAPES[0]), given)
    two = built("stem", (SHAPES[0], SHAPES[0]), given)
    other = built("stage1", (SHAPES[0], SHAPES[0]), given)
    for name, value in one.named_parameters():
        assert torch.equal(value, two.get_parameter(name))
        assert not torch.equal(value, other.get_parameter(name))
    assert not torch.equal(memory_of(one.student), memory_of(one.teacher))
