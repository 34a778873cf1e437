"""The other samples of the batch as negatives, as in SimCLR (arXiv 2002.05709) and CLIP (arXiv 2103.00020)."""

from torch import Tensor

from cktf.batch import Batch
from cktf.objectives.contrastive.banks.bank import Bank
from cktf.objectives.contrastive.negatives import Negatives, Source, of_other_classes
from cktf.objectives.parts.workers import gather_batch, gather_with_gradient


class BatchNegatives(Source):
    """The samples of the whole batch, over all workers, of which those of an anchor's class do not count.

    K is the number of the others, whatever the setting.
    """

    def forward(self, batch: Batch) -> Negatives:
        """Return the negatives of a batch."""
        classes = gather_batch(batch.labels, batch)
        return of_other_classes(classes, batch, count=len(classes) - 1)

    def classes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the classes of the batch's samples, which are the rows too."""
        return batch.labels, batch.labels


class CurrentEmbeddings(Bank):
    """One side's embeddings of the batch itself, as a bank: nothing is stored, and gradients flow through."""

    def candidates(self, embeddings: Tensor, batch: Batch, negatives: Negatives) -> tuple[Tensor, Tensor]:
        """Return this worker's embeddings as positives, and those of all workers as rows."""
        return embeddings, gather_with_gradient(embeddings, batch)

    def rows(self, embeddings: Tensor) -> Tensor:
        """Return the embeddings of the batch."""
        return embeddings

    def update(self, batch: Batch, embeddings: Tensor) -> None:
        """Store nothing."""
