import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cktf.batch import Activations, Shapes
from cktf.models import ModelConfig, build_model, measure_shapes
from cktf.trainer.evaluate import evaluate, images_at_once


class _Readout(nn.Module):
    """Returns its images as logits, in training mode zeros."""

    def forward(self, images: Tensor) -> Activations:
        logits = images.flatten(1) * (0 if self.training else 1)
        return Activations(logits=logits, penultimate=logits, stem=images, stages=(), preactivations=())


def test_loss_and_accuracy_are_means_over_samples_not_over_batches() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    labels = torch.tensor([0, 1, 1])
    images = logits.reshape(3, 2, 1, 1)
    result = evaluate(_Readout(), [(images[:2], labels[:2]), (images[2:], labels[2:])])
    slow = [-(row[label] - row.exp().sum().log()).item() for row, label in zip(logits, labels, strict=True)]
    assert result.loss == pytest.approx(sum(slow) / 3)
    assert result.accuracy == pytest.approx(200 / 3)


def test_the_network_is_evaluated_in_eval_mode_and_left_in_training_mode() -> None:
    network = _Readout().train()
    result = evaluate(network, [(torch.tensor([[[[0.0]], [[9.0]]]]), torch.tensor([1]))])
    assert result.accuracy == 100
    assert network.training


def test_convolutions_are_taken_in_float32_and_in_training_as_before() -> None:
    seen = []

    class Network(_Readout):
        def forward(self, images: Tensor) -> Activations:
            seen.append(torch.backends.cudnn.allow_tf32)
            return super().forward(images)

    assert torch.backends.cudnn.allow_tf32
    evaluate(Network(), [(torch.zeros(1, 2, 1, 1), torch.tensor([1]))] * 2)
    assert seen == [False, False]
    assert torch.backends.cudnn.allow_tf32


class Memory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of live tensors, as they are made and freed; ``peak`` is the most there were."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._storages: dict[int, Any] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[Any], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self._storages:
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()

        def freed(_: Any) -> None:
            del self._storages[key]
            self.live -= size

        self._storages[key] = weakref.ref(storage, freed)
        self.live += size
        self.peak = max(self.peak, self.live)


def test_evaluation_needs_no_more_memory_than_a_training_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cktf.trainer.evaluate.SMALL", 0)
    student, teacher = (build_model(ModelConfig(model=name), 10, (3, 48, 48)) for name in ("resnet8", "resnet20"))
    shapes = [measure_shapes(network, (3, 48, 48), role) for network, role in ((student, "s"), (teacher, "t"))]
    labels = torch.zeros(48, dtype=torch.int64)
    with Memory() as training:
        images = torch.zeros(8, 3, 48, 48)
        with torch.no_grad():
            of_teacher = teacher(images)
        torch.autograd.backward(nn.functional.mse_loss(student(images).logits, of_teacher.logits))
    del of_teacher, images
    for network, shape in zip((student, teacher), shapes, strict=True):
        peaks = []
        for at_once in (images_at_once(shape, trained=8), 48):
            with Memory() as memory:
                sizes = torch.split(labels, at_once)
                evaluate(network, ((torch.zeros(len(some), 3, 48, 48), some) for some in sizes))
            peaks.append(memory.peak)
        assert peaks[0] <= training.peak < peaks[1]


def test_as_many_images_are_evaluated_at_once_as_are_trained_or_more_if_they_are_small() -> None:
    def at_once(side: int, trained: int, **others: Any) -> int:
        shape, values = torch.Size((64, side, side)), {"stages": ((torch.Size((64, side, side)),),), **others}
        vector = torch.Size((10,))
        shapes = Shapes(vector, vector, shape, preactivations=(), image=shape, **values)
        return images_at_once(shapes, trained)

    assert at_once(8, trained=16) == 500
    assert at_once(32, trained=16) == 2**25 // (4 * 3 * 64 * 32**2) == 42
    assert at_once(32, trained=64) == 64
    assert at_once(224, trained=32) == 32
    assert at_once(224, trained=1024) == 500
