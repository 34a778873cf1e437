"""Objectives on two workers with unequal shards, against one worker."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import OBJECTIVES, BuildContext
from tests.two_workers import TwoWorkers

SAMPLES, STEPS = 6, 3
SHARDS = slice(0, 2), slice(2, 6)
LABELS = torch.arange(30) % 5
PAIRS = [{"student": "stage1", "teacher": "stage1"}, {"student": "penultimate", "teacher": "penultimate"}]
COMMON = {"negatives": 8, "dim": 4, "pairs": PAIRS}
CASES: dict[str, dict[str, Any]] = {
    "sampled, all there are": {"source": "sampled", "negatives": 24},
    "all": {"source": "all"},
    "shared": {"source": "shared"},
    "queue": {"source": "queue"},
    "queue, infonce": {"source": "queue", "estimator": "infonce"},
    "batch": {"source": "batch"},
    "batch, infonce, no labels": {"source": "batch", "estimator": "infonce", "labels": False},
    "similarity": {"transform": "similarity", "head": "pad", "negatives": 0},
    "relation, contrasted": {"transform": "relation", "head": "pad", "source": "batch"},
    "the most similar block": {"source": "all", "pairs": [], "pairing": "largest", "theta": 1.0},
    "the least similar block": {"source": "all", "pairs": [], "pairing": "smallest", "theta": 1.0},
    "maps as they are": {"source": "all", "normalize": "none"},
    **{
        f"{source}, reweighted": {
            "source": source,
            "estimator": "infonce",
            "temperature": {"learn": True, "start": 0.2, "min": 0.1, "max": 1},
            "positives": "class",
            "hardness": 0.5,
            "teacher_threshold": 0.3,
        }
        for source in ("queue", "batch")
    },
}
"""Settings of CKTF whose result does not depend on which worker has which samples. (Fewer negatives than there are,
`sampled` draws for each worker alone.)"""

OF_A_BATCH = ("sp", "pkt", "rkd", "cc", "dist")
"""Methods that compare the samples of a batch with one another."""


def activations(step: int, width: int, shard: slice) -> Activations:
    generator = torch.Generator().manual_seed(100 * step + width)

    def draw(*shape: int) -> Tensor:
        return torch.randn(SAMPLES, *shape, generator=generator)[shard].requires_grad_()

    return Activations(
        logits=draw(5),
        penultimate=draw(width),
        stem=draw(width, 4, 4),
        stages=(tuple(draw(width, 4, 4) for _ in range(3)),),
        preactivations=(),
    )


def trained(shard: slice) -> dict[str, dict[str, Tensor]]:
    """Return, of each case, losses and gradients of some steps, and the objective's state after them."""
    images, results = torch.empty(0, 3, 4, 4), {}
    settings = {name: ("cktf", COMMON | case) for name, case in CASES.items()}
    for name, (method, values) in (settings | {name: (name, {}) for name in OF_A_BATCH}).items():
        narrow, wide = (activations(0, width, shard).shapes(images) for width in (3, 5))
        config = OBJECTIVES[method].Config.model_validate(values)
        objective = OBJECTIVES[method](config, BuildContext(narrow, wide, LABELS, seed=1))
        held: dict[str, Tensor] = {}
        for step in range(STEPS):
            index = torch.randperm(30, generator=torch.Generator().manual_seed(step))[:SAMPLES][shard]
            share = len(index) / SAMPLES
            batch = Batch(images, LABELS[index], index, step, share=share, offset=shard.start)
            student, teacher = (activations(step, width, shard) for width in (3, 5))
            loss = share * sum(objective(student, teacher, batch).values())
            loss.backward()
            held[f"sum/loss{step}"] = loss.detach()
            for path, value in {
                f"cat/student map{step}": student.stages[0][-1],
                f"cat/student vector{step}": student.penultimate,
                f"cat/student logits{step}": student.logits,
                f"cat/teacher vector{step}": teacher.penultimate,
            }.items():
                held[path] = torch.zeros_like(value) if value.grad is None else value.grad
        for path, parameter in objective.named_parameters():
            assert parameter.grad is not None
            held[f"sum/{path}"] = parameter.grad
        held |= {f"same/{path}": value for path, value in objective.named_buffers()}
        results[name] = held
    return results


def work(rank: int, folder: Path) -> None:
    torch.save(trained(SHARDS[rank]), folder / f"worker{rank}.pt")


def test_two_workers_compute_what_one_does(run_in_two_workers: TwoWorkers, tmp_path: Path) -> None:
    run_in_two_workers(work, tmp_path)
    shards = [torch.load(tmp_path / f"worker{rank}.pt") for rank in range(len(SHARDS))]
    for name, expected in trained(slice(0, SAMPLES)).items():
        for path, value in expected.items():
            parts = [shard[name][path] for shard in shards]
            match path.partition("/")[0]:
                case "sum":
                    actual = parts[0] + parts[1]
                case "cat":
                    actual = torch.cat(parts)
                case _:
                    assert torch.equal(*parts)
                    actual = parts[0]
            assert torch.allclose(actual, value, rtol=1e-4, atol=1e-5), f"{name}: {path}"
