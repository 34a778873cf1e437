"""Queues of the last batches' embeddings and labels."""

import pytest
import torch

from cktf.batch import Batch
from cktf.objectives.contrastive.banks import EmbeddingQueue
from cktf.objectives.contrastive.negatives import QueuedNegatives
from cktf.objectives.contrastive.queue import Queue
from cktf.objectives.contrastive.settings import BankPrecision


def labelled(*labels: int) -> Batch:
    return Batch(torch.empty(0), torch.tensor(labels), torch.arange(len(labels)), step=0)


def test_the_oldest_values_leave_first() -> None:
    queue = Queue(torch.zeros(5, dtype=torch.int64))
    for pushed, held in (([1, 2], [1, 2, 0, 0, 0]), ([3, 4], [1, 2, 3, 4, 0]), ([5, 6], [6, 2, 3, 4, 5])):
        queue.push(torch.tensor(pushed))
        assert queue.values.tolist() == held
    assert queue.position == 1


def test_of_more_values_than_it_holds_it_keeps_the_last() -> None:
    queue = Queue(torch.zeros(3, dtype=torch.int64))
    queue.push(torch.tensor([1]))
    queue.push(torch.arange(10, 17))
    assert sorted(queue.values.tolist()) == [14, 15, 16]
    queue.push(torch.tensor([20]))
    assert sorted(queue.values.tolist()) == [15, 16, 20]


def test_a_queue_goes_on_from_its_state_dict() -> None:
    queue, resumed = Queue(torch.zeros(3, 2)), Queue(torch.ones(3, 2))
    queue.push(torch.randn(4, 2))
    resumed.load_state_dict(queue.state_dict())
    for each in (queue, resumed):
        each.push(torch.full((1, 2), 9.0))
    assert torch.equal(queue.values, resumed.values)


def test_samples_of_earlier_batches_are_negatives_of_other_classes() -> None:
    source = QueuedNegatives(count=4)
    # No sample is stored yet: random rows are negatives of every anchor.
    assert source(labelled(0, 1)).weights.tolist() == [[1, 1, 1, 1]] * 2
    negatives = source(labelled(1, 2))  # behind them 0, 1 and two random rows
    assert negatives.weights.tolist() == [[1, 0, 1, 1], [1, 1, 1, 1]]
    assert negatives.count == 4
    assert float(negatives.per_anchor) == 3.5
    assert source.labels.values.tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("bfloat16", 2)])
def test_embeddings_are_kept_in_a_memory_of_fixed_length_and_precision(precision: BankPrecision, size: int) -> None:
    queue = EmbeddingQueue(6, 3, precision)
    for _ in range(4):
        queue.store(torch.arange(4), torch.randn(4, 3, requires_grad=True))
    rows = queue.candidates(torch.ones(4, 3), labelled(0), QueuedNegatives(6)(labelled(0)))
    assert rows.shape == (6, 3)
    assert rows.element_size() == size
    assert not rows.requires_grad
