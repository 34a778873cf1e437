"""KD, CRD and CKTF against the numbers of the published code, in every golden file whose networks are known.

A file that cannot be run is skipped, and pytest's summary says why.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch, Shapes
from cktf.models import MODELS, build_model
from cktf.objectives import BuildContext
from cktf.objectives.contrastive.cktf import CKTF
from cktf.objectives.contrastive.crd import CRD
from cktf.objectives.contrastive.heads import Head
from cktf.objectives.contrastive.nce import kernel_for
from cktf.objectives.contrastive.pair import ContrastivePair
from cktf.objectives.kd import softened_divergence
from tests.objectives.contrastive.one_side import memory_of, pair_of
from tests.objectives.golden import CASES, Case, assert_close


def cases_of(method: str) -> pytest.MarkDecorator:
    """Run a test with each case of one method."""
    return pytest.mark.parametrize("path", CASES.get(method, []), ids=lambda path: path.stem)


def load_pair(pair: ContrastivePair, case: Case, number: str) -> None:
    """Give a pair the heads and banks of a case; ``number`` is empty where there is only one."""
    for side, letter in ((pair.student, "s"), (pair.teacher, "t")):
        assert isinstance(side.head, Head)
        assert isinstance(side.head.projection, nn.Linear)
        with torch.no_grad():
            side.head.projection.weight.copy_(case[f"embed_{letter}{number}.linear.weight"])
            side.head.projection.bias.copy_(case[f"embed_{letter}{number}.linear.bias"])
            memory_of(side).copy_(case[f"bank_{letter}{number}"])


def vectors(penultimate: Tensor) -> Activations:
    """Return activations of which only the penultimate vector is meant."""
    batch = len(penultimate)
    return Activations(torch.zeros(batch, 1), penultimate, torch.zeros(batch, 1, 1, 1), (), ())


def fill(network: nn.Module, salt: float) -> None:
    """Set every parameter by the rule in which the golden cases were made."""
    for number, parameter in enumerate(network.parameters()):
        fan_in = parameter.numel() if parameter.dim() == 1 else parameter[0].numel()
        angles = 0.37 * torch.arange(parameter.numel(), dtype=torch.float64) + 0.11 * number + salt
        parameter.data.copy_((torch.cos(angles) / fan_in**0.5).view_as(parameter))


def contrastive_settings(case: Case) -> dict[str, Any]:
    """Return the hyperparameters that CRD and CKTF share."""
    return {name: case.meta[name] for name in ("temperature", "momentum", "negatives", "dim")}


@cases_of("kd")
def test_kd_equals_the_published_code(path: Path) -> None:
    case = Case(path)
    student = case["logits_s"].requires_grad_()
    loss = softened_divergence(student, case["logits_t"], case.meta["temperature"])
    assert_close(loss.detach(), case["loss"])
    assert_close(torch.autograd.grad(loss, student)[0], case["grad_logits_s"])


@cases_of("crd")
def test_crd_equals_the_published_code(path: Path, given_negatives: Any) -> None:
    case = Case(path)
    one = torch.Size([1, 1, 1])
    blank = Shapes(torch.Size([1]), torch.Size([1]), one, ((one,),), (), torch.Size([3, 32, 32]))
    given = BuildContext(
        student=replace(blank, penultimate=case["step0_s"].shape[1:]),
        teacher=replace(blank, penultimate=case["step0_t"].shape[1:]),
        labels=case["labels"],
        seed=0,
    )
    crd = CRD(CRD.Config(**contrastive_settings(case)), given)
    load_pair(pair_of(crd), case, "")
    crd.source = negatives = given_negatives(case.meta["n_data"])
    for step in case.steps:
        index = case[f"step{step}_index"]
        negatives.rows = case[f"step{step}_contrast_index"][:, 1:]
        student = case[f"step{step}_s"].requires_grad_()
        batch = Batch(torch.empty(0), case["labels"][index], index, step)
        loss = crd(vectors(student), vectors(case[f"step{step}_t"]), batch)["penultimate"]
        assert_close(loss.detach(), case["loss"][step])
        assert_close(torch.autograd.grad(loss, student)[0], case[f"step{step}_grad_s"])
        assert_close(memory_of(pair_of(crd).student), case[f"step{step}_bank_s_after"])
        assert_close(memory_of(pair_of(crd).teacher), case[f"step{step}_bank_t_after"])
    assert_close(torch.tensor([pair_of(crd).student.partition, pair_of(crd).teacher.partition]), case["Z"])


@cases_of("crd")
@pytest.mark.usefixtures("fused_kernel")
def test_crd_in_the_fused_kernel_equals_the_published_code(path: Path, given_negatives: Any) -> None:
    assert kernel_for(torch.device("cpu"), 128)
    test_crd_equals_the_published_code(path, given_negatives)


@cases_of("cktf")
def test_cktf_equals_the_published_code(path: Path, given_negatives: Any) -> None:
    case = Case(path)
    unknown = {case.meta["student"], case.meta["teacher"]} - MODELS.keys()
    if unknown:
        pytest.skip(f"{path.name}: not among the networks: {', '.join(sorted(unknown))}")
    if case.meta["pairing"] == "random":
        pytest.skip(f"{path.name}: which blocks were drawn cannot be repeated")
    image_shape = case["step0_x"].shape[1:]
    networks = []
    for name, salt in ((case.meta["student"], 9), (case.meta["teacher"], 10)):
        networks.append(build_model(name, case.meta["num_classes"], image_shape).eval())
        fill(networks[-1], salt)
    student, teacher = networks
    images = case["step0_x"]
    with torch.no_grad():
        given = BuildContext(student(images).shapes(images), teacher(images).shapes(images), case["labels"], seed=0)
    config = CKTF.Config(pairing=case.meta["pairing"], **contrastive_settings(case))
    cktf = CKTF(config, given)
    for number, pair in enumerate(cktf.pairs.values()):
        assert isinstance(pair, ContrastivePair)
        load_pair(pair, case, str(number))
    cktf.source = negatives = given_negatives(case.meta["n_data"])
    total = torch.zeros(())
    for step in case.steps:
        images, index = case[f"step{step}_x"], case[f"step{step}_index"]
        negatives.rows = case[f"step{step}_contrast_index"][:, 1:]
        ours, theirs = student(images), teacher(images)
        assert_close(ours.logits.detach(), case[f"step{step}_logits_s"])
        assert_close(theirs.logits.detach(), case[f"step{step}_logits_t"])
        terms = cktf(ours, theirs, Batch(images, case["labels"][index], index, step))
        *intermediate, last = terms.values()
        assert_close(torch.stack(intermediate).detach(), case["loss_intermediate"][step])
        assert_close(last.detach(), case["loss_last"][step])
        total = total + sum(terms.values())
    assert_close(total.detach(), case["loss"])
