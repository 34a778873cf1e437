"""CKTF's factors beyond the published ones: pairs by hand, transforms and heads, and the methods they come to."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any, get_args
from unittest.mock import Mock

import pytest
import torch
from torch.nn import functional

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.at import attention_loss
from cktf.objectives.contrastive.cktf import CKTF
from cktf.objectives.contrastive.representations import Transform
from cktf.objectives.fitnet import hint_loss
from cktf.objectives.sp import similarity_loss

SMALL = {"negatives": 8, "dim": 4}
AGREEMENT = {"negatives": 0, "critic": "squared_distance", "temperature": 1, "normalize": "none"}
"""Settings with which a term is the mean squared distance of the two sides."""


def same_layers(*names: str) -> list[dict[str, Any]]:
    return [{"student": name, "teacher": name} for name in names]


def with_negatives(count: int) -> dict[str, Any]:
    return {"student": "stem", "teacher": "stem", "negatives": count}


def built(given: BuildContext, **values: Any) -> CKTF:
    return CKTF(CKTF.Config.model_validate(values), given)


def test_pairs_by_hand_cross_stages_and_have_weights_of_their_own(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    pairs = [
        {"student": "stage1", "teacher": "stage3.0", "weight": 0.5},
        {"student": "stage1", "teacher": "penultimate", "weight": 2},
        {"student": "stem", "teacher": "stage2", "weight": 0},
        {"student": "penultimate", "teacher": "penultimate", "weight": 0.8},
    ]
    cktf = built(given, pairs=pairs, **SMALL)
    weights = {"stage1-stage3_0": 0.5, "stage1-penultimate": 2, "penultimate": 0.8}
    assert cktf.term_weights == weights
    terms = cktf(student, teacher, batch)
    assert list(terms) == list(weights) == list(cktf.pairs)
    ours, theirs = cktf.representations(cktf.layers["stage1-stage3_0"], student, teacher, batch)
    # 8x8 against 2x2 maps: windows of 2x2 leave 4x4 and 1x1 of them; 2 channels are padded to 16.
    assert ours.shape == (6, 16, 4, 4)
    torch.testing.assert_close(theirs, functional.normalize(teacher.stages[2][0], dim=0).mean((2, 3), keepdim=True))
    sum(terms.values()).backward()
    assert student.stages[0][-1].grad is not None


def test_a_pair_by_hand_that_is_a_published_one_begins_and_goes_on_as_that(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    published = built(given, **SMALL)(student, teacher, batch)
    by_hand = built(given, pairs=same_layers("penultimate", "stage2"), **SMALL)(student, teacher, batch)
    assert all(torch.equal(value, published[name]) for name, value in by_hand.items())


@pytest.mark.parametrize("head", ["linear", "mlp", "pad"])
@pytest.mark.parametrize("transform", ["map", "hint", "attention", "factor"])
def test_layers_of_any_shapes_can_be_paired(
    head: str, transform: str, student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    layers = ("stem", "stage1", "stage3.0", "penultimate")
    pairs = [{"student": ours, "teacher": theirs} for ours in layers for theirs in layers]
    cktf = built(given, pairs=pairs, head=head, transform=transform, **SMALL)
    for step in range(2):
        terms = cktf(student, teacher, replace(batch, step=step))
        assert len(terms) == 16
        assert all(torch.isfinite(value) for value in terms.values())


@pytest.mark.parametrize("transform", get_args(Transform))
@pytest.mark.parametrize("negatives", [0, 8])
def test_every_transform_trains_the_student(
    transform: str, negatives: int, student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    cktf = built(given, transform=transform, head="pad", source="batch", negatives=negatives)
    sum(cktf(student, teacher, batch).values()).backward()
    inputs = [student.stem, student.penultimate, *(blocks[-1] for blocks in student.stages)]
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in inputs)


def test_attention_transfer_is_attention_padding_and_no_negatives(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    stages = ("stage1", "stage2", "stage3")
    cktf = built(given, transform="attention", head="pad", pairs=same_layers(*stages), **AGREEMENT)
    terms = cktf(student, teacher, batch)
    for name, ours, theirs in zip(stages, student.stages, teacher.stages, strict=True):
        positions = ours[-1][0, 0].numel()
        expected = positions * attention_loss(ours[-1], theirs[-1], power=2)
        torch.testing.assert_close(terms[name], expected)
        torch.testing.assert_close(torch.autograd.grad(terms[name], ours[-1]), torch.autograd.grad(expected, ours[-1]))


def test_similarity_preservation_is_similarity_padding_and_no_negatives(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    cktf = built(given, transform="similarity", head="pad", pairs=same_layers("stage3"), **AGREEMENT)
    loss, ours = cktf(student, teacher, batch)["stage3"], student.stages[2][-1]
    expected = 6 * similarity_loss(ours, teacher.stages[2][-1])
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, ours), torch.autograd.grad(expected, ours))


def test_fitnet_is_the_hint_a_regressor_and_no_negatives(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    cktf = built(given, transform="hint", head="regressor", unit_length=False, pairs=same_layers("stage2"), **AGREEMENT)
    weight, bias = cktf.parameters()
    assert weight.shape == (8, 4, 1)
    regressed = functional.conv2d(student.stages[1][-1], weight.unsqueeze(3), bias)
    hint = teacher.stages[1][-1]
    loss = cktf(student, teacher, batch)["stage2"]
    torch.testing.assert_close(loss, hint[0].numel() * hint_loss(regressed, hint))


def test_a_regressor_needs_maps_of_equal_size(given: BuildContext) -> None:
    pairs = [{"student": "stage1", "teacher": "stage2"}]
    with pytest.raises(ValueError, match=r"objective\.cktf\.head: .*stage1-stage2 are \(8, 8\) and \(4, 4\)"):
        built(given, head="regressor", transform="hint", pairs=pairs)


def test_a_layer_that_a_network_has_not_is_refused(given: BuildContext) -> None:
    pairs = [{"student": "stage1", "teacher": "stage3.2"}]
    with pytest.raises(ValueError, match=r"objective\.cktf\.pairs: the teacher has no stage3\.2"):
        built(given, pairs=pairs)


def test_pairs_by_hand_join_networks_with_unequal_numbers_of_stages(
    make_activations: Callable[..., Activations], student: Activations, batch: Batch, given: BuildContext
) -> None:
    teacher = make_activations(width=4)
    teacher = replace(teacher, stages=teacher.stages[1:])
    given = replace(given, teacher=teacher.shapes(batch.images))
    pairs = [{"student": "stage3", "teacher": "stage2"}]
    assert list(built(given, pairs=pairs, **SMALL)(student, teacher, batch)) == ["stage3-stage2"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"theta": 0.2}, "pairs: .* leave out theta: 0.2, or the pairs"),
        ({"beta": 0, "pairing": "first"}, "leave out beta: 0.0, pairing: first, or the pairs"),
        ({"pairs": same_layers("stem", "stem")}, "pairs: each pair may be named only once; named twice: stem"),
        ({"pairs": same_layers("stage")}, "got 'stage'"),
        ({"pairs": [{"student": "stem"}]}, "teacher"),
        ({"transform": "similarity", "negatives": 0}, "head: rows of transform similarity .*got 'linear'"),
        ({"transform": "relation", "head": "pad"}, "source: rows of transform relation .*got 'sampled'"),
        (
            {"transform": "relation", "head": "pad", "negatives": 0, "pairs": [with_negatives(4)]},
            "source: rows of transform relation .*got 'sampled'",
        ),
        ({"transform": "maps"}, "transform"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CKTF.Config.model_validate({"pairs": same_layers("stem")} | values)


def test_rows_of_the_batch_go_with_any_source_where_no_pair_has_negatives() -> None:
    CKTF.Config.model_validate({"transform": "relation", "head": "pad", "pairs": [with_negatives(0)]})


def test_settings_survive_being_written_and_read() -> None:
    config = CKTF.Config.model_validate({"pairs": same_layers("stem", "stage1.0"), "source": "queue"})
    assert CKTF.Config.model_validate(config.model_dump(mode="json")) == config
    assert hash(config)


def test_pairs_without_weight_have_no_part_in_the_sum() -> None:
    pairs = [{"student": "stem", "teacher": "stem", "weight": 0}]
    assert not CKTF.Config.model_validate({"pairs": pairs}).active
    assert CKTF.Config.model_validate({"pairs": same_layers("stem")}).active


@pytest.mark.parametrize("estimator", ["nce", "infonce"])
@pytest.mark.parametrize("source", ["sampled", "all", "shared", "queue", "batch"])
def test_a_pair_says_that_the_fused_kernel_takes_its_contrast_where_it_does(
    source: str,
    estimator: str,
    student: Activations,
    teacher: Activations,
    batch: Batch,
    given: BuildContext,
    fused_kernel: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launch = Mock(side_effect=fused_kernel._launch)
    monkeypatch.setattr(fused_kernel, "_launch", launch)
    cktf = built(given, pairs=same_layers("stem"), source=source, estimator=estimator, negatives=4, dim=4)
    cktf(student, teacher, batch)
    assert cktf.is_fused(torch.device("cpu")) == launch.called
