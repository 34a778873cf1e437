"""The memory bank."""

import math

import torch

from cktf.batch import Batch
from cktf.objectives.contrastive.banks import MemoryBank, moved_towards
from cktf.objectives.contrastive.negatives import Negatives


def batch_of(*index: int) -> Batch:
    return Batch(torch.empty(0), torch.arange(len(index)), torch.tensor(index), step=0)


def move(bank: MemoryBank, index: torch.Tensor, embeddings: torch.Tensor, momentum: float = 0.5) -> None:
    bank.store(index, moved_towards(embeddings, bank.embeddings[index], momentum))


def test_update_moves_the_rows_of_the_batch_and_no_others() -> None:
    bank = MemoryBank(5, 2)
    bank.embeddings.copy_(torch.tensor([[1.0, 0.0]] * 5))
    move(bank, torch.tensor([3, 1]), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    half = math.sqrt(0.5)
    expected = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [half, half], [1.0, 0.0]])
    torch.testing.assert_close(bank.embeddings, expected)


def test_momentum_is_the_share_of_the_old_row() -> None:
    bank = MemoryBank(1, 2)
    bank.embeddings.copy_(torch.tensor([[1.0, 0.0]]))
    move(bank, torch.tensor([0]), torch.tensor([[0.0, 1.0]]), momentum=0.8)
    torch.testing.assert_close(bank.embeddings[0, 1] / bank.embeddings[0, 0], torch.tensor(0.25))
    torch.testing.assert_close(bank.embeddings.norm(), torch.tensor(1.0))


def test_initial_rows_are_about_one_long() -> None:
    torch.manual_seed(0)
    bank = MemoryBank(4_000, 128)
    assert abs(float(bank.embeddings.square().sum(1).mean()) - 1) < 0.01
    assert float(bank.embeddings.abs().max()) <= 1 / math.sqrt(128 / 3)


def test_rows_are_in_the_state_dict_and_take_no_gradient() -> None:
    bank = MemoryBank(3, 2)
    move(bank, torch.tensor([0]), torch.ones(1, 2, requires_grad=True))
    assert list(bank.state_dict()) == ["embeddings"]
    assert not bank.embeddings.requires_grad


def test_rows_in_bfloat16_take_half_the_memory_and_move_as_exactly_as_they_can() -> None:
    full = MemoryBank(5, 16)
    half = MemoryBank(5, 16, precision="bfloat16")
    full.embeddings.copy_(half.embeddings)
    embeddings = torch.nn.functional.normalize(torch.randn(2, 16), dim=1)
    for bank in (full, half):
        move(bank, torch.tensor([3, 1]), embeddings)
    assert half.embeddings.nbytes == full.embeddings.nbytes // 2
    assert torch.equal(half.embeddings, full.embeddings.bfloat16())


def test_candidates_are_all_rows_or_the_named_ones() -> None:
    bank = MemoryBank(5, 2, precision="bfloat16")
    batch = batch_of(3, 1)
    every = Negatives(torch.ones(2, 5), 5, distinct=True)
    assert bank.candidates(torch.ones(2, 2), batch, every) is bank.embeddings
    named = Negatives(torch.ones(2, 2), 2, distinct=True, rows=torch.tensor([4, 0]))
    assert torch.equal(bank.candidates(torch.ones(2, 2), batch, named), bank.embeddings[[4, 0]])
