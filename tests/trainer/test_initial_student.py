"""What moves of a student in an initial phase."""

import copy

import pytest
import torch

from cktf.models import build_model, measure_shapes
from cktf.objectives import BuildContext
from cktf.objectives.ab import AB
from cktf.objectives.fsp import FSP
from cktf.trainer.phases import InitialStudent

IMAGES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def students(model: str, method: type[AB] | type[FSP]):
    network = build_model(model, 5, IMAGES.shape[1:])
    shapes = measure_shapes(network, IMAGES.shape[1:])
    given = BuildContext(shapes, shapes, labels=torch.arange(5), seed=0)
    initial = method(method.Config(), given).initial
    before = copy.deepcopy(network)
    return InitialStudent(network, initial), network, before


@pytest.mark.parametrize("method", [AB, FSP])
def test_behind_the_stages_of_a_wide_resnet_nothing_moves(method) -> None:
    initial, network, before = students("wrn_16_1", method)
    assert {id(p) for p in network.parameters()} - {id(p) for p in initial.trained} == {
        id(p) for module in (network.bn1, network.fc) for p in module.parameters()
    }
    initial.train()
    assert network.conv1.training
    assert not network.bn1.training
    initial(IMAGES)
    assert torch.equal(network.bn1.running_mean, before.bn1.running_mean)
    assert not torch.equal(network.block1.layer[0].bn1.running_mean, before.block1.layer[0].bn1.running_mean)


def test_the_batch_norms_of_preactivations_move_twice_a_step() -> None:
    initial, network, _ = students("wrn_16_1", AB)
    initial.train()
    found = initial(IMAGES)
    norm = network.block2.layer[0].bn1
    mean = found.stages[0][-1].mean(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_mean, (1 - 0.9**2) * mean, rtol=1e-4, atol=1e-6)
    assert network.block1.layer[0].bn1.num_batches_tracked == 1


def test_the_whole_of_another_student_is_trained() -> None:
    initial, network, _ = students("resnet8", AB)
    initial.train()
    assert network.bn1.training
    assert len(initial.trained) == len(list(network.parameters()))
