"""The compared methods against the numbers of the published code, in every golden file of any of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.objectives import OBJECTIVES, BuildContext, Objective
from cktf.objectives.ab import AB
from cktf.objectives.cc import CC, correlation_loss
from cktf.objectives.fitnet import FitNet
from cktf.objectives.fsp import FSP
from cktf.objectives.ft import FT, factor_loss
from cktf.objectives.objective import InitialPhase
from cktf.objectives.vid import VID
from tests.objectives.golden import CASES, DEFAULT_FOLDER, Case, assert_close, cases_in

HYPERPARAMETERS = {
    "at": {"p": "power"},
    "cc": {"dim": "dim"},
    "vid": {"init_pred_var": "initial_variance", "eps": "smallest_variance"},
    "rkd": {"w_d": "distance", "w_a": "angle"},
    "ab": {"margin": "margin"},
    "ft": {"k": "rate"},
}
"""The published names, and those of our settings."""

BATCH = Batch(torch.zeros(1, 3, 32, 32), torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64), 0)


def of_maps(maps: Sequence[Tensor]) -> Activations:
    """Return activations of which only the last blocks of the stages are meant."""
    nothing = torch.zeros(len(maps[0]), 1)
    return Activations(
        logits=nothing,
        penultimate=nothing,
        stem=nothing[:, :, None, None],
        stages=tuple((stage,) for stage in maps),
        preactivations=tuple(maps),
    )


def of_vector(penultimate: Tensor) -> Activations:
    """Return activations of which only the penultimate vector is meant."""
    return replace(of_maps([penultimate[:, :, None, None]]), penultimate=penultimate)


def build(case: Case, student: Activations, teacher: Activations, **settings: object) -> Objective:
    """Return the objective of a case with its hyperparameters, in eval mode, in which the cases were made."""
    method = case.meta["method"]
    ours = HYPERPARAMETERS.get(method, {})
    settings |= {ours[name]: value for name, value in case.meta.items() if name in ours}
    given = BuildContext(
        student.shapes(BATCH.images), teacher.shapes(BATCH.images), labels=torch.tensor([0, 1]), seed=0
    )
    return OBJECTIVES[method](OBJECTIVES[method].Config.model_validate(settings), given).eval()


def load(module: nn.Module, case: Case, *prefixes: str) -> None:
    """Give a module the parameters whose names in a case begin with the prefixes, in their order."""
    names = [name for name in case.arrays if name.startswith(prefixes)]
    with torch.no_grad():
        for parameter, name in zip(module.parameters(), names, strict=True):
            parameter.copy_(case[name])


def total(part: Objective | InitialPhase, student: Activations, teacher: Activations) -> Tensor:
    """Return the sum of all terms with the method's own factors."""
    terms = part(student, teacher, BATCH)
    return torch.stack([part.term_weights[name] * value for name, value in terms.items()]).sum()


def loss_of_maps(case: Case, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    student, teacher = of_maps(ours), of_maps(theirs)
    return total(build(case, student, teacher), student, teacher)


def loss_of_vectors(case: Case, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    student, teacher = of_vector(*ours), of_vector(*theirs)
    return total(build(case, student, teacher), student, teacher)


def loss_of_fitnet(case: Case, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    student, teacher = of_maps(ours), of_maps(theirs)
    fitnet = build(case, student, teacher, stage=1)
    assert isinstance(fitnet, FitNet)
    load(fitnet.regressor, case, "conv.", "bn.")
    return total(fitnet, student, teacher)


def loss_of_cc(case: Case, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    if "embed_s.linear.weight" not in case.arrays:
        return correlation_loss(*ours, *theirs)
    student, teacher = of_vector(*ours), of_vector(*theirs)
    cc = build(case, student, teacher)
    assert isinstance(cc, CC)
    load(cc.student, case, "embed_s.")
    load(cc.teacher, case, "embed_t.")
    return total(cc, student, teacher)


def loss_of_vid(case: Case, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    student, teacher = of_maps(ours), of_maps(theirs)
    vid = build(case, student, teacher)
    assert isinstance(vid, VID)
    load(vid.regressors["stage1"], case, "log_scale", "regressor.")
    return total(vid, student, teacher)


def loss_of_ab(case: Case, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    student, teacher = of_maps(ours), of_maps(theirs)
    ab = build(case, student, teacher)
    assert isinstance(ab, AB)
    assert ab.initial is not None
    load(ab.initial, case, "connector.")
    return total(ab.initial, student, teacher)


def loss_of_fsp(case: Case, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    student, teacher = replace(of_maps(ours[1:]), stem=ours[0]), replace(of_maps(theirs[1:]), stem=theirs[0])
    fsp = build(case, student, teacher)
    assert isinstance(fsp, FSP)
    assert fsp.initial is not None
    return total(fsp.initial, student, teacher)


def loss_of_ft(case: Case, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    if "p1" in case.meta:
        (own,), (other,) = ours, theirs
        return factor_loss(own, other, power=case.meta["p1"], exponent=case.meta["p2"])
    student, teacher = of_maps(ours), of_maps(theirs)
    ft = build(case, student, teacher)
    assert isinstance(ft, FT)
    load(ft.translator, case, "translator.")
    load(ft.initial, case, "paraphraser.")
    assert_close(total(ft.initial, student, teacher).detach(), case["reconstruction_loss"])
    return total(ft, student, teacher)


LOSSES: dict[str, Callable[[Case, list[Tensor], list[Tensor]], Tensor]] = {
    "fitnet": loss_of_fitnet,
    "at": loss_of_maps,
    "sp": loss_of_maps,
    "cc": loss_of_cc,
    "vid": loss_of_vid,
    "rkd": loss_of_vectors,
    "pkt": loss_of_vectors,
    "ab": loss_of_ab,
    "ft": loss_of_ft,
    "fsp": loss_of_fsp,
    "nst": loss_of_maps,
}
IN_TEST_GOLDEN = {"kd", "crd", "cktf"}


def test_every_method_with_a_golden_case_has_one_in_the_repository() -> None:
    assert LOSSES.keys() | IN_TEST_GOLDEN <= cases_in(DEFAULT_FOLDER).keys()


def test_every_case_of_an_objective_is_run() -> None:
    of_objectives = CASES.keys() & OBJECTIVES.keys()
    assert of_objectives, "no case of any objective was found"
    assert of_objectives <= LOSSES.keys() | IN_TEST_GOLDEN


@pytest.mark.parametrize(
    "path", [path for method in LOSSES for path in CASES.get(method, [])], ids=lambda path: path.stem
)
def test_a_compared_method_equals_the_published_code(path: Path) -> None:
    case = Case(path)
    student = [maps.requires_grad_() for maps in case.numbered("s")]
    loss = LOSSES[case.meta["method"]](case, student, case.numbered("t"))
    assert_close(loss.detach(), case["loss"])
    for gradient, expected in zip(torch.autograd.grad(loss, student), case.numbered("grad_s"), strict=True):
        assert_close(gradient, expected)
