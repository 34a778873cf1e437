"""Data-parallel workers of one batch."""

from pathlib import Path

import torch
from torch import Tensor

from cktf.batch import Batch
from cktf.objectives.contrastive.banks import EmbeddingQueue, MemoryBank, moved_towards
from cktf.objectives.parts.workers import gather_batch, gather_samples
from tests.two_workers import TwoWorkers

INDEX = torch.tensor([5, 1, 8, 3, 0])
EMBEDDINGS = torch.nn.functional.normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(1)), dim=1)
SHARDS = slice(0, 2), slice(2, 5)


def updated(shard: slice) -> dict[str, Tensor]:
    """Return what a worker gathers with this shard, and its bank and its queue after the update."""
    torch.manual_seed(0)
    bank, queue = MemoryBank(10, 4), EmbeddingQueue(7, 4, "float32")
    index = INDEX[shard]
    batch = Batch(torch.empty(0), index, index, step=0, share=len(index) / 5, offset=shard.start)
    embeddings = EMBEDDINGS[shard]
    sides = torch.stack([embeddings, -embeddings]).detach()
    index, (whole, negated) = gather_samples(sides, batch)
    bank.store(index, moved_towards(whole, bank.embeddings[index], momentum=0.5))
    queue.store(index, negated)
    return {
        "index": index,
        "embeddings": whole,
        "labels": gather_batch(batch.labels, batch),
        "bank": bank.embeddings,
        "queue": queue.embeddings.values,
    }


def work(rank: int, folder: Path) -> None:
    torch.save(updated(SHARDS[rank]), folder / f"worker{rank}.pt")


def test_two_workers_with_unequal_shards_keep_the_bank_and_the_queue_that_one_would(
    run_in_two_workers: TwoWorkers, tmp_path: Path
) -> None:
    run_in_two_workers(work, tmp_path)
    expected = updated(slice(0, 5))
    for rank in range(len(SHARDS)):
        for name, value in torch.load(tmp_path / f"worker{rank}.pt").items():
            assert torch.equal(value, expected[name])
