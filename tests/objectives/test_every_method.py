"""What holds for every method: alone, and with CKTF as a second objective."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import OBJECTIVES, BuildContext, ObjectivesConfig, WeightedSum

SMALL: dict[str, object] = {"negatives": 8, "dim": 4}
SECOND: dict[str, dict[str, object]] = {"cktf": {"weight": 0.8, "beta": 1, "theta": 1, **SMALL}}
"""CKTF as the paper's Table 2 adds it to another method."""

CONTRASTIVE = {"crd", "cktf"}
COMPARED = [name for name in OBJECTIVES if name not in CONTRASTIVE]
PUBLISHED_WEIGHTS = {
    "fitnet": 100,
    "at": 1000,
    "sp": 3000,
    "cc": 0.02,
    "vid": 1,
    "rkd": 1,
    "pkt": 30000,
    "ab": 1,
    "ft": 200,
    "fsp": 50,
    "nst": 50,
    "crd": 0.8,
    "dkd": 1,
    "dist": 2,
    "ofd": 0.001,
    "reviewkd": 5,
    "simkd": 1,
    "catkd": 15,
}


def build(names: dict[str, dict[str, object]], given: BuildContext) -> WeightedSum:
    return WeightedSum(ObjectivesConfig.model_validate(names), given)


def settings_of(name: str) -> dict[str, dict[str, object]]:
    return {name: SMALL if name in CONTRASTIVE else {}}


@pytest.fixture
def teacher(make_activations: Callable[..., Activations]) -> Activations:
    """Return activations of a teacher as wide as the student, which FSP needs, and deeper."""
    return make_activations(width=2, blocks=3, seed=2)


def tensors(of: Activations) -> list[Tensor]:
    """Return every tensor of the activations."""
    return [of.logits, of.penultimate, of.stem, *(maps for blocks in of.stages for maps in blocks), *of.preactivations]


def in_bfloat16(given: Activations) -> Activations:
    def cast(value: Tensor) -> Tensor:
        return value.detach().bfloat16()

    return Activations(
        logits=cast(given.logits),
        penultimate=cast(given.penultimate),
        stem=cast(given.stem),
        stages=tuple(tuple(cast(block) for block in blocks) for blocks in given.stages),
        preactivations=tuple(cast(preactivation) for preactivation in given.preactivations),
    )


def assert_a_step_helps(loss: Callable[[], Tensor], trained: list[Tensor]) -> None:
    """Move all that is trained a little against the gradient; the loss must fall."""
    before = loss()
    torch.autograd.backward(before)
    moved = [(value, value.grad) for value in trained if value.grad is not None and value.grad.any()]
    length = torch.stack([gradient.norm() for _, gradient in moved]).norm()
    with torch.no_grad():
        for value, gradient in moved:
            value -= 1e-2 * gradient / length
        assert loss() < before


@pytest.mark.parametrize("name", COMPARED)
def test_a_method_and_cktf_add_up_and_do_not_shift_each_others_numbers(
    name: str, student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    given = replace(given, teacher=teacher.shapes(batch.images))
    both = build({name: {}} | SECOND, given)
    total, terms = both(student, teacher, batch)
    parts = [SECOND]
    if not OBJECTIVES[name].ends_with_initial:
        parts.append({name: {}})
    alone = [build(part, given)(student, teacher, batch) for part in parts]
    torch.testing.assert_close(total, torch.stack([share for share, _ in alone]).sum())
    expected = {term: value for _, own_terms in alone for term, value in own_terms.items()}
    assert terms.keys() == expected.keys()
    assert all(torch.equal(value, expected[term]) for term, value in terms.items())
    total.backward()
    assert all(parameter.grad is not None for parameter in both.main_parameters())
    assert all(parameter.grad is None for phase in both.initial_phases.values() for parameter in phase.parameters())


@pytest.mark.parametrize("name", COMPARED)
def test_a_step_against_the_gradient_lowers_a_methods_loss(
    name: str, student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    given = replace(given, teacher=teacher.shapes(batch.images))
    method = build({name: {}}, given)
    for phase in method.initial_phases.values():
        trained = [*phase.parameters(), *(tensors(student) if phase.trains_student else [])]
        assert_a_step_helps(lambda: method.initial(name, student, teacher, batch)[0], trained)
    if not OBJECTIVES[name].ends_with_initial:
        trained = [*method.main_parameters(), *tensors(student)]
        assert_a_step_helps(lambda: method(student, teacher, batch)[0], trained)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_are_scalars_computed_in_float32_under_autocast(
    name: str, student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    given = replace(given, teacher=teacher.shapes(batch.images))
    student, teacher = in_bfloat16(student), in_bfloat16(teacher)

    def losses() -> list[tuple[Tensor, dict[str, Tensor]]]:
        method = build(settings_of(name), given)
        found = [method.initial(phase, student, teacher, batch) for phase in method.initial_phases]
        return found if OBJECTIVES[name].ends_with_initial else [*found, method(student, teacher, batch)]

    plain = losses()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = losses()
    for (expected, _), (total, terms) in zip(plain, under_autocast, strict=True):
        assert torch.equal(total, expected)
        assert all(value.shape == () and value.dtype == torch.float32 for value in (total, *terms.values()))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_initial_parameters_depend_on_the_seed_alone(
    name: str, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    given = replace(given, teacher=teacher.shapes(batch.images))
    stream = torch.get_rng_state()
    first = build(settings_of(name), given)
    assert torch.equal(torch.get_rng_state(), stream)
    torch.rand(1)
    second, other = build(settings_of(name), given), build(settings_of(name), replace(given, seed=12))
    matrices = {key for key, value in first.named_parameters() if value.dim() > 1}
    for key, value in first.named_parameters():
        assert torch.equal(value, second.get_parameter(key))
        assert key not in matrices or not torch.equal(value, other.get_parameter(key))


@pytest.mark.parametrize("name", PUBLISHED_WEIGHTS)
def test_weights_are_those_of_the_published_runs_unless_set(name: str) -> None:
    assert OBJECTIVES[name].Config().weight == PUBLISHED_WEIGHTS[name]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_method_that_names_its_readings_needs_nothing_else_of_the_teacher(
    name: str, student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    given = replace(given, teacher=teacher.shapes(batch.images))
    readings = build(settings_of(name), given).readings
    reads_maps = name in {"fitnet", "at", "sp", "vid", "ft", "nst", "ofd", "reviewkd", "simkd"}
    assert (readings is None) == reads_maps
    if readings is None:
        return
    values = {reading.name: reading.compute(teacher, batch) for reading in readings}
    assert all(values[reading.name].shape[1:] == reading.shape for reading in readings)
    left = Activations.of_readings(values)
    whole, of_readings = (build(settings_of(name), given) for _ in range(2))
    if OBJECTIVES[name].ends_with_initial:
        assert whole.objectives[name](student, left, batch) == {}
        return
    for _ in range(2):  # the second step reads banks that the first has moved
        expected, found = whole(student, teacher, batch), of_readings(student, left, batch)
        assert torch.equal(found[0], expected[0])


def test_of_several_methods_readings_are_united_and_one_that_may_read_anything_decides(given: BuildContext) -> None:
    def names(*methods: str) -> list[str] | None:
        readings = build({name: settings_of(name)[name] for name in methods}, given).readings
        return None if readings is None else [reading.name for reading in readings]

    assert names("kd", "crd", "rkd") == ["logits", "penultimate"]
    assert names("cross_entropy") == []
    assert names("kd", "at") is None
