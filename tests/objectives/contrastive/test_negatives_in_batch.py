"""The other samples of the batch as negatives."""

import torch

from cktf.batch import Batch
from cktf.objectives.contrastive.banks import CurrentEmbeddings
from cktf.objectives.contrastive.negatives import BatchNegatives

BATCH = Batch(torch.empty(0), torch.tensor([0, 1, 0]), torch.tensor([7, 2, 5]), step=0)


def test_samples_of_the_batch_are_negatives_of_other_classes() -> None:
    negatives = BatchNegatives()(BATCH)
    assert negatives.weights.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert negatives.count == 2
    assert torch.tensor(4 / 3) == negatives.per_anchor


def test_gradients_go_through_rows_and_nothing_is_kept() -> None:
    embeddings = torch.randn(3, 4, requires_grad=True)
    current = CurrentEmbeddings()
    rows = current.candidates(embeddings, BATCH, BatchNegatives()(BATCH))
    (gradient,) = torch.autograd.grad(2 * rows.sum(), embeddings)
    assert torch.equal(gradient, torch.full((3, 4), 2.0))
    current.store(BATCH.index, embeddings)
    assert not current.state_dict()
