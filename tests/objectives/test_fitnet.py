"""FitNets."""

from dataclasses import replace

import pytest
import torch

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.fitnet import FitNet, hint_loss
from tests.objectives.drawn import drawn


def test_the_loss_equals_a_plain_loop() -> None:
    guided, hint = drawn(0, 2, 3, 4, 5), drawn(1, 2, 3, 4, 5)
    pairs = list(zip(guided.flatten().tolist(), hint.flatten().tolist(), strict=True))
    assert float(hint_loss(guided, hint)) == pytest.approx(sum((a - b) ** 2 for a, b in pairs) / len(pairs))


def test_the_loss_by_hand() -> None:
    # Differences 1, 0, 3, 0: a mean square of 10 / 4.
    guided, hint = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[0.0, 2.0, 0.0, 4.0]])
    assert float(hint_loss(guided.view(1, 1, 2, 2), hint.view(1, 1, 2, 2))) == 2.5


def test_gradient() -> None:
    guided = drawn(0, 2, 3, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda value: hint_loss(value, drawn(1, 2, 3, 2, 2)), guided)


@pytest.mark.parametrize(("stage", "name"), [(0, "stem"), (1, "stage1"), (2, "stage2"), (3, "stage3")])
def test_the_setting_says_whose_map_is_the_hint(
    stage: int, name: str, student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    fitnet = FitNet(FitNet.Config(stage=stage), given)
    terms = fitnet(student, teacher, batch)
    assert terms.keys() == fitnet.term_weights.keys() == {name}
    maps_of = student.stem, *(blocks[-1] for blocks in student.stages)
    terms[name].backward()
    assert [number for number, value in enumerate(maps_of) if value.grad is not None] == [stage]
    assert all(parameter.grad is not None for parameter in fitnet.parameters())


def test_the_regressor_learns_to_give_the_hint(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    fitnet = FitNet(FitNet.Config(), given)
    stages = tuple(tuple(block.detach().relu() for block in blocks) for blocks in teacher.stages)
    teacher = replace(teacher, stages=stages)
    optimizer = torch.optim.Adam(fitnet.parameters(), lr=0.1)
    losses = []
    for _ in range(30):
        losses.append(fitnet(student, teacher, batch)["stage2"])
        optimizer.zero_grad()
        losses[-1].backward(inputs=list(fitnet.parameters()))
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


def test_a_stage_that_the_networks_lack_is_refused(given: BuildContext) -> None:
    with pytest.raises(ValueError, match=r"objective\.fitnet\.stage: 4, but .* 3 stages; choose 0 .* to 3"):
        FitNet(FitNet.Config(stage=4), given)
