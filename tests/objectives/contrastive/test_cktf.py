"""The contrastive knowledge transfer framework."""

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.contrastive.cktf import CKTF
from cktf.objectives.contrastive.representations import Pairing
from cktf.objectives.contrastive.settings import Critic, SourceKind

SMALL = {"negatives": 8, "dim": 4}
ALL_PAIRS = ["stem", "stage1", "stage2", "stage3", "penultimate"]


def test_terms_are_stem_stages_and_penultimate(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    cktf = CKTF(CKTF.Config(beta=0.8, theta=0.1, **SMALL), given)
    terms = cktf(student, teacher, batch)
    assert list(terms) == ALL_PAIRS
    assert all(value.shape == () and value > 0 for value in terms.values())
    assert cktf.term_weights == {"stem": 0.1, "stage1": 0.1, "stage2": 0.1, "stage3": 0.1, "penultimate": 0.8}


@pytest.mark.parametrize(("beta", "theta", "pairs"), [(0.8, 0, ALL_PAIRS[4:]), (0, 0.1, ALL_PAIRS[:4])])
def test_a_factor_of_zero_builds_no_heads_and_no_banks(
    beta: float, theta: float, pairs: list[str], given: BuildContext
) -> None:
    cktf = CKTF(CKTF.Config(beta=beta, theta=theta, **SMALL), given)
    assert list(cktf.pairs) == pairs == list(cktf.term_weights)
    assert {name.split(".")[1] for name in cktf.state_dict()} == set(pairs)


def test_switching_a_pair_on_does_not_shift_the_numbers_of_another(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    every = CKTF(CKTF.Config(**SMALL), given)(student, teacher, batch)
    for factors in ({"beta": 0}, {"theta": 0}):
        alone = CKTF(CKTF.Config(**factors, **SMALL), given)(student, teacher, batch)
        assert all(torch.equal(value, every[name]) for name, value in alone.items())


def test_representations_of_a_stage_are_normalised_padded_and_pooled(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    cktf = CKTF(CKTF.Config(**SMALL), given)
    ours, theirs = cktf.representations(cktf.layers["stage2"], student, teacher, batch)
    # Stage 2 of 8x8 images: 4x4 maps of 4 and 8 channels, in windows of 2x2.
    maps = student.stages[1][0] / student.stages[1][0].square().sum(0).sqrt()
    padded = torch.zeros(6, 8, 4, 4)
    padded[:, 2:6] = maps
    expected = padded.view(6, 8, 2, 2, 2, 2).mean((3, 5))
    torch.testing.assert_close(ours, expected)
    last = functional.normalize(teacher.stages[1][1], dim=0)
    torch.testing.assert_close(theirs, last.view(6, 8, 2, 2, 2, 2).mean((3, 5)))


def test_the_stem_is_pooled_only_and_the_penultimate_vector_taken_as_it_is(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    cktf = CKTF(CKTF.Config(**SMALL), given)
    ours, theirs = cktf.representations(cktf.layers["stem"], student, teacher, batch)
    torch.testing.assert_close(ours, functional.avg_pool2d(student.stem, 2))
    torch.testing.assert_close(theirs, functional.avg_pool2d(teacher.stem, 2))
    ours, _ = cktf.representations(cktf.layers["penultimate"], student, teacher, batch)
    assert ours is student.penultimate


def test_without_normalisation_the_loss_does_not_depend_on_who_else_is_in_the_batch(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    for normalize, independent in (("none", True), ("batch", False)):
        cktf = CKTF(CKTF.Config(normalize=normalize, **SMALL), given)
        whole = cktf.representations(cktf.layers["stage1"], student, teacher, batch)[0]
        fewer = replace(student, stages=tuple(tuple(block[:3] for block in blocks) for blocks in student.stages))
        part = cktf.representations(cktf.layers["stage1"], fewer, teacher, batch)[0]
        assert torch.allclose(whole[:3], part) == independent


@pytest.mark.parametrize("pairing", ["last", "first", "random", "largest", "smallest"])
def test_every_pairing_trains_the_student(
    pairing: Pairing, student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    cktf = CKTF(CKTF.Config(pairing=pairing, **SMALL), given)
    sum(cktf(student, teacher, batch).values()).backward()
    assert all(blocks[-1].grad is not None and blocks[-1].grad.abs().sum() > 0 for blocks in student.stages)


def test_a_student_wider_than_its_teacher_is_not_cut(
    make_activations: Callable[..., Activations], batch: Batch
) -> None:
    wide, narrow = make_activations(width=4), make_activations(width=2)
    given = BuildContext(wide.shapes(batch.images), narrow.shapes(batch.images), torch.arange(30) % 5, seed=0)
    terms = CKTF(CKTF.Config(pairing="largest", **SMALL), given)(wide, narrow, batch)
    assert list(terms) == ALL_PAIRS


def test_unequal_numbers_of_stages_are_refused_unless_only_the_penultimate_pair_is_used(given: BuildContext) -> None:
    shorter = replace(given, teacher=replace(given.teacher, stages=given.teacher.stages[1:]))
    with pytest.raises(ValueError, match=r"objective\.cktf\.theta.*student has 3 and the teacher 2.*pairs by hand"):
        CKTF(CKTF.Config(**SMALL), shorter)
    CKTF(CKTF.Config(theta=0, **SMALL), shorter)


def test_similarity_needs_maps_of_equal_size(given: BuildContext) -> None:
    stages = tuple(tuple(torch.Size([c, h // 2, w // 2]) for c, h, w in blocks) for blocks in given.teacher.stages)
    smaller = replace(given, teacher=replace(given.teacher, stages=stages))
    with pytest.raises(ValueError, match=r"objective\.cktf\.pairing: 'largest'"):
        CKTF(CKTF.Config(pairing="largest", **SMALL), smaller)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", 0.01), ("negatives", -1), ("momentum", 1.0), ("dim", 0), ("theta", -1), ("pairing", "middle")],
)
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        CKTF.Config.model_validate({name: value})


def test_a_pair_has_its_own_dimensions_temperature_and_negatives(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    own = {"dim": 3, "temperature": 0.5, "negatives": 5}
    stem, last = ({"student": layer, "teacher": layer} for layer in ("stem", "penultimate"))
    both = CKTF(CKTF.Config.model_validate({**SMALL, "pairs": [stem | own, last]}), given)
    terms = both(student, teacher, batch)
    # Heads, banks and draws are addressed: each pair is what it would be alone with these settings.
    for pair, settings in ((stem, own), (last, {})):
        alone = CKTF(CKTF.Config.model_validate({**SMALL, **settings, "pairs": [pair]}), given)
        for name, value in alone(student, teacher, batch).items():
            assert torch.equal(value, terms[name])
    health = both.health(student, teacher, batch)
    assert list(health) == ["stem.student", "stem.teacher", "penultimate.student", "penultimate.teacher"]


def test_a_pair_without_negatives_stands_beside_one_with(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    pairs = [
        {"student": "stem", "teacher": "stem", "negatives": 0},
        {"student": "penultimate", "teacher": "penultimate"},
    ]
    cktf = CKTF(CKTF.Config.model_validate({**SMALL, "source": "queue", "pairs": pairs}), given)
    assert cktf(student, teacher, batch)["stem"] <= 10
    assert list(cktf.health(student, teacher, batch)) == ["penultimate.student", "penultimate.teacher"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hardness": 1}, "hardness: changes a softmax, which estimator nce has not"),
        ({"positives": "class"}, "positives: changes a softmax, which estimator nce has not"),
        (
            {"temperature": {"from": 1, "to": 0.1, "over": [0, 1]}},
            "temperature: of estimator nce it must be one number",
        ),
        ({"negatives": 0, "teacher_threshold": 0.9}, "teacher_threshold: with negatives 0 there is no contrast"),
        (
            {"negatives": 0, "temperature": {"learn": True, "start": 0.1, "min": 0.05, "max": 1}},
            "temperature: with negatives 0 there is no contrast",
        ),
        ({"estimator": "infonce", "positives": "class", "labels": False}, "positives: class needs the labels"),
        ({"head": "linear", "width": 8}, "width: only head mlp has hidden layers"),
        (
            {
                "critic": "squared_distance",
                "estimator": "infonce",
                "temperature": {"from": 1, "to": 0.03, "over": [0, 1]},
            },
            "temperature: squared_distance needs 0.04 or more",
        ),
        (
            {"pairs": [{"student": "stem", "teacher": "stem", "dim": 3}], "head": "pad"},
            "stem: dim: head pad has no dim",
        ),
        (
            {"pairs": [{"student": "stem", "teacher": "stem", "negatives": 3}], "source": "batch"},
            "stem: negatives: of source batch",
        ),
        (
            {"pairs": [{"student": "stem", "teacher": "stem", "temperature": {"from": 1, "to": 2, "over": [0, 1]}}]},
            "stem: temperature: of estimator nce it must be one number",
        ),
    ],
)
def test_what_cannot_go_together_is_refused_by_name(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CKTF.Config.model_validate(settings)


@pytest.mark.parametrize("source", get_args(SourceKind))
@pytest.mark.parametrize("critic", get_args(Critic))
def test_everything_goes_with_every_source(
    source: SourceKind, critic: Critic, student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    settings = {
        **SMALL,
        "source": source,
        "critic": critic,
        "estimator": "infonce",
        "temperature": {"learn": True, "start": 0.2, "min": 0.1, "max": 1},
        "positives": "class",
        "hardness": 0.5,
        "teacher_threshold": 0.8,
        "head": "mlp",
        "depth": 3,
        "norm": "batch",
    }
    cktf = CKTF(CKTF.Config.model_validate(settings), given)
    for _ in range(2):
        total = torch.stack([*cktf(student, teacher, batch).values()]).sum()
    torch.autograd.backward(total)
    gradients = [parameter.grad for parameter in cktf.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert cktf.temperature.log_scale.grad != 0
