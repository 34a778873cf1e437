"""The compared methods against the numbers of the published code, in every golden file of any of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.objectives import OBJECTIVES, BuildContext, Objective
from cktf.objectives.cc import correlation_loss
from cktf.objectives.ft import factor_loss
from cktf.objectives.objective import InitialPhase
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

LOADED: dict[str, dict[str, tuple[str, ...]]] = {
    "fitnet": {"regressor": ("conv.", "bn.")},
    "cc": {"student": ("embed_s.",), "teacher": ("embed_t.",)},
    "vid": {"regressors.stage1": ("log_scale", "regressor.")},
    "ab": {"initial": ("connector.",)},
    "ft": {"translator": ("translator.",), "initial": ("paraphraser.",)},
}
"""Module of a method to the beginnings of its parameters' names in a case."""

COMPARED = ("fitnet", "at", "sp", "cc", "vid", "rkd", "pkt", "ab", "ft", "fsp", "nst")
OF_VECTORS = {"cc", "rkd", "pkt"}
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


def activations(method: str, tensors: list[Tensor]) -> Activations:
    if method == "fsp":
        return replace(of_maps(tensors[1:]), stem=tensors[0])
    return of_vector(*tensors) if method in OF_VECTORS else of_maps(tensors)


def build(case: Case, student: Activations, teacher: Activations) -> Objective:
    """Return the objective of a case with its hyperparameters, in eval mode, in which the cases were made."""
    method = case.meta["method"]
    ours = HYPERPARAMETERS.get(method, {})
    settings = {ours[name]: value for name, value in case.meta.items() if name in ours}
    if method == "fitnet":
        settings["stage"] = 1
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


def loss_of(case: Case, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    """Return the loss of a case for the student's tensors and the teacher's."""
    method = case.meta["method"]
    if method == "cc" and "embed_s.linear.weight" not in case.arrays:
        return correlation_loss(*ours, *theirs)
    if method == "ft" and "p1" in case.meta:
        (own,), (other,) = ours, theirs
        return factor_loss(own, other, power=case.meta["p1"], exponent=case.meta["p2"])
    student, teacher = (activations(method, tensors) for tensors in (ours, theirs))
    objective = build(case, student, teacher)
    for part, prefixes in LOADED.get(method, {}).items():
        load(objective.get_submodule(part), case, *prefixes)
    if objective.initial is None:
        return total(objective, student, teacher)
    of_phase = total(objective.initial, student, teacher)
    if objective.ends_with_initial:
        return of_phase
    assert_close(of_phase.detach(), case["reconstruction_loss"])
    return total(objective, student, teacher)


IN_TEST_GOLDEN = {"kd", "crd", "cktf"}


def test_every_method_with_a_golden_case_has_one_in_the_repository() -> None:
    assert {*COMPARED} | IN_TEST_GOLDEN <= cases_in(DEFAULT_FOLDER).keys()


def test_every_case_of_an_objective_is_run() -> None:
    of_objectives = CASES.keys() & OBJECTIVES.keys()
    assert of_objectives, "no case of any objective was found"
    assert of_objectives <= {*COMPARED} | IN_TEST_GOLDEN


@pytest.mark.parametrize(
    "path", [path for method in COMPARED for path in CASES.get(method, [])], ids=lambda path: path.stem
)
def test_a_compared_method_equals_the_published_code(path: Path) -> None:
    case = Case(path)
    student = [maps.requires_grad_() for maps in case.numbered("s")]
    loss = loss_of(case, student, case.numbered("t"))
    assert_close(loss.detach(), case["loss"])
    for gradient, expected in zip(torch.autograd.grad(loss, student), case.numbered("grad_s"), strict=True):
        assert_close(gradient, expected)
