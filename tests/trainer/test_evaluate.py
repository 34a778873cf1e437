import pytest
import torch
from torch import Tensor, nn

from cktf.batch import Activations
from cktf.trainer.evaluate import evaluate


class _Readout(nn.Module):
    """Takes its images for logits; in training mode it would answer zeros."""

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
