"""Fixtures of the objectives' tests: activations of networks too small to be slow, and given negatives."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Layers
from cktf.objectives import BuildContext
from cktf.objectives.contrastive import nce
from cktf.objectives.contrastive.negatives import Negatives


def activations(width: int, batch: int = 6, blocks: int = 2, seed: int = 0) -> Activations:
    """Return random activations shaped like a CIFAR ResNet's on 8x8 images, with gradients."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=generator).requires_grad_()

    maps = [(width * 2**stage, 8 // 2**stage, 8 // 2**stage) for stage in range(3)]
    return Activations(
        logits=draw(5),
        penultimate=draw(4 * width),
        stem=draw(width, 8, 8),
        stages=tuple(tuple(draw(*shape) for _ in range(blocks)) for shape in maps),
        preactivations=tuple(draw(*shape) for shape in maps),
    )


@pytest.fixture(scope="session")
def make_activations() -> Callable[..., Activations]:
    """Return `activations`: (width, batch, blocks, seed) to random activations."""
    return activations


@pytest.fixture
def student() -> Activations:
    """Return activations of a narrow network with one block a stage."""
    return activations(width=2, blocks=1, seed=1)


@pytest.fixture
def teacher() -> Activations:
    """Return activations of a wider network with two blocks a stage."""
    return activations(width=4, blocks=2, seed=2)


@pytest.fixture
def batch() -> Batch:
    """Return six samples of a training split of thirty, in five classes."""
    index = torch.tensor([3, 7, 11, 19, 20, 29])
    return Batch(images=torch.zeros(6, 3, 8, 8), labels=index % 5, index=index, step=4)


def layers(of: Activations) -> Layers:
    """Return a classifier and batch-norms that fit the activations, with drawn parameters, not trained."""
    generator = torch.Generator().manual_seed(of.penultimate.shape[1])
    classifier = nn.Linear(of.penultimate.shape[1], of.logits.shape[1])
    batch_norms = tuple(nn.BatchNorm2d(maps.shape[1]) for maps in of.preactivations)
    with torch.no_grad():
        for parameter in (p for layer in (classifier, *batch_norms) for p in layer.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator)).requires_grad_(False)
    return Layers(classifier, batch_norms)


@pytest.fixture
def given(student: Activations, teacher: Activations, batch: Batch) -> BuildContext:
    """Return what an objective of `student`, `teacher` and `batch` is built for."""
    return BuildContext(
        student=student.shapes(batch.images),
        teacher=teacher.shapes(batch.images),
        labels=torch.arange(30) % 5,
        seed=11,
        student_layers=layers(student),
        teacher_layers=layers(teacher),
    )


class GivenNegatives(nn.Module):
    """Negatives that a test names: `rows` (batch, K), of which a row may name a sample several times."""

    def __init__(self, num_samples: int) -> None:
        super().__init__()
        self.num_samples = num_samples
        self.rows = torch.empty(0, 0, dtype=torch.int64)

    def forward(self, batch: Batch) -> Negatives:
        """Return the named rows."""
        weights = torch.zeros(len(batch.index), self.num_samples)
        weights.scatter_add_(1, self.rows, torch.ones(self.rows.shape))
        return Negatives(weights, count=self.rows.shape[1], distinct=bool(weights.max() == 1))


@pytest.fixture(scope="session")
def given_negatives() -> type[GivenNegatives]:
    """Return the class `GivenNegatives`."""
    return GivenNegatives


@pytest.fixture
def fused_kernel(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Have the fused kernel take the contrast on the CPU too, in Triton's interpreter; return its module."""
    if torch.cuda.is_available():
        pytest.skip("Triton runs on the GPU here, not in its interpreter")
    pytest.importorskip("triton")
    fused = import_module("cktf.objectives.contrastive.fused")
    monkeypatch.setattr(nce, "_kernel", lambda _: fused)
    return fused
