"""Diagnostics of contrastive objectives' banks on samples that are not trained on."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext, ObjectivesConfig, WeightedSum
from cktf.objectives.contrastive import pair as contrastive_pair
from cktf.objectives.contrastive.crd import CRD
from tests.objectives.contrastive.one_side import memory_of, pair_of

SMALL = {"negatives": 8, "dim": 4, "temperature": 0.2}


def build(objectives: dict[str, object], given: BuildContext) -> WeightedSum:
    return WeightedSum(ObjectivesConfig.model_validate(objectives), given)


def pair_of_crd(objective: WeightedSum) -> contrastive_pair.ContrastivePair:
    crd = objective.objectives["crd"]
    assert isinstance(crd, CRD)
    return pair_of(crd)


@pytest.fixture
def unseen(batch: Batch) -> Batch:
    """Return samples that are not trained on: their indices follow those of the thirty that are."""
    return replace(batch, index=torch.arange(30, 36), labels=torch.tensor([0, 1, 2, 3, 4, 0]))


def reference(
    anchors: Tensor, positives: Tensor, rows: Tensor, of_rows: list[int], of_anchors: list[int]
) -> dict[str, float]:
    """Return the diagnostics of a bank by loops over anchors and rows, given the classes of both."""
    means, variances = [], []
    for anchor, own in zip(anchors, of_anchors, strict=True):
        scores = [float(anchor @ row) for row, its in zip(rows, of_rows, strict=True) if its != own]
        means.append(sum(scores) / len(scores))
        variances.append(sum((score - means[-1]) ** 2 for score in scores) / len(scores))
    positive = sum(float(a @ p) for a, p in zip(anchors, positives, strict=True)) / len(anchors)
    negative = sum(means) / len(means)
    spread = (sum(variances) / len(variances)) ** 0.5
    return {"positive": positive, "negative": negative, "gap": positive - negative, "temperature": 0.2 / spread}


@pytest.mark.parametrize("source", ["sampled", "all", "shared", "queue", "batch"])
@pytest.mark.parametrize("labels", [True, False])
def test_scores_are_of_all_rows_of_other_classes_and_nothing_moves(
    source: str,
    labels: bool,
    student: Activations,
    teacher: Activations,
    batch: Batch,
    unseen: Batch,
    given: BuildContext,
) -> None:
    objective = build({"crd": {**SMALL, "source": source, "labels": labels}}, given)
    objective(student, teacher, batch)
    before = {name: value.clone() for name, value in objective.named_buffers()}
    found = objective.health(student, teacher, unseen)
    assert all(torch.equal(value, before[name]) for name, value in objective.named_buffers())
    assert len(found) == 8

    pair = pair_of_crd(objective)
    embedded = {
        "student": pair.student.head(student.penultimate).detach(),
        "teacher": pair.teacher.head(teacher.penultimate).detach(),
    }

    def classes(of: Batch) -> list[int]:
        return (of.labels if labels else of.index).tolist()

    for side, other in (("student", "teacher"), ("teacher", "student")):
        bank = getattr(pair, side).bank
        match source:
            case "queue":  # its first six places hold the batch, the last two no sample yet
                rows, of_rows = bank.embeddings.values, [*classes(batch), -1, -1]
            case "batch":
                rows, of_rows = embedded[side], classes(unseen)
            case _:
                rows, of_rows = bank.embeddings, given.labels.tolist() if labels else list(range(30))
        expected = reference(embedded[other], embedded[side], rows, of_rows, classes(unseen))
        for number, value in expected.items():
            its = float(found[f"{number}.crd.penultimate.{side}"])
            assert its == pytest.approx(value, rel=1e-4, abs=1e-6), (side, number)


def test_cktf_tells_of_each_pair_what_crd_tells_of_its_one(
    student: Activations, teacher: Activations, unseen: Batch, given: BuildContext
) -> None:
    found = build({"cktf": SMALL}, given).health(student, teacher, unseen)
    pairs = ("stem", "stage1", "stage2", "stage3", "penultimate")
    numbers = ("positive", "negative", "gap", "temperature")
    assert set(found) == {
        f"{number}.cktf.{pair}.{side}" for number in numbers for pair in pairs for side in ("student", "teacher")
    }
    alone = build({"crd": SMALL}, given).health(student, teacher, unseen)
    for name, value in alone.items():
        assert torch.equal(value, found[name.replace("crd", "cktf")])


def test_of_a_large_bank_evenly_spaced_rows_are_looked_at(
    student: Activations, teacher: Activations, unseen: Batch, given: BuildContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contrastive_pair, "MOST_ROWS", 10)
    objective = build({"crd": SMALL}, given)
    found = objective.health(student, teacher, unseen)["negative.crd.penultimate.teacher"]
    pair = pair_of_crd(objective)
    anchors = pair.student.head(student.penultimate).detach()
    rows, labels = memory_of(pair.teacher)[::3], given.labels[::3]
    means = [(anchor @ rows[labels != own].T).mean() for anchor, own in zip(anchors, unseen.labels, strict=True)]
    torch.testing.assert_close(found, torch.stack(means).mean())


@pytest.mark.parametrize("source", ["sampled", "batch"])
def test_what_the_teacher_finds_alike_is_no_negative(
    source: str, student: Activations, teacher: Activations, unseen: Batch, given: BuildContext
) -> None:
    objective = build({"crd": {**SMALL, "source": source, "teacher_threshold": 0.2}}, given)
    found = objective.health(student, teacher, unseen)
    pair = pair_of_crd(objective)
    anchors, ours = pair.teacher.head(teacher.penultimate).detach(), pair.student.head(student.penultimate).detach()
    in_batch = source == "batch"
    rows = (ours, anchors) if in_batch else (memory_of(pair.student), memory_of(pair.teacher))
    labels = unseen.labels if in_batch else given.labels
    means, left_out = [], 0
    for anchor, its in zip(anchors, unseen.labels, strict=True):
        scores = []
        for of_student, of_teacher, label in zip(*rows, labels, strict=True):
            is_alike = float(anchor @ of_teacher / of_teacher.norm()) > 0.2
            left_out += bool(is_alike and label != its)
            if label != its and not is_alike:
                scores.append(float(anchor @ of_student))
        means += [sum(scores) / len(scores)] if scores else []
    assert left_out > 0
    assert float(found["negative.crd.penultimate.student"]) == pytest.approx(sum(means) / len(means), abs=1e-6)


def test_squared_distances_count_as_the_cosines_at_half_the_temperature_that_they_are(
    student: Activations, teacher: Activations, unseen: Batch, given: BuildContext
) -> None:
    one = build({"crd": SMALL}, given).health(student, teacher, unseen)
    other = build({"crd": {**SMALL, "critic": "squared_distance", "temperature": 0.4}}, given)
    for name, value in other.health(student, teacher, unseen).items():
        torch.testing.assert_close(value, one[name])


@pytest.mark.parametrize("objectives", [{"kd": {}}, {"at": {}}, {"crd": {"negatives": 0}}])
def test_who_has_no_bank_tells_nothing(
    objectives: dict[str, object], student: Activations, teacher: Activations, unseen: Batch, given: BuildContext
) -> None:
    objective = build(objectives, given)
    assert objective.health(student, teacher, unseen) == {}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("stage2", "stage2")),
        ({"pairing": "first"}, ("stage2", "stage2.0")),
        ({"pairing": "random"}, ("stage2", "stage2")),
        ({"pairs": [{"student": "stage2", "teacher": "stage3.1"}]}, ("stage2", "stage3.1")),
    ],
)
def test_cktf_names_the_layers_that_it_matches(
    settings: dict[str, object], expected: tuple[str, str], given: BuildContext
) -> None:
    assert expected in build({"cktf": {**SMALL, **settings}}, given).matched


def test_the_factor_of_a_term_is_its_share_of_the_sum(
    student: Activations, teacher: Activations, batch: Batch, given: BuildContext
) -> None:
    objective = build({"kd": {"weight": 2.0}, "cktf": {**SMALL, "weight": 3.0, "beta": 0.5}}, given)
    total, terms = objective(student, teacher, batch)
    assert objective.factors["cktf.penultimate"] == 1.5
    expected = torch.stack([objective.factors[name] * value for name, value in terms.items()]).sum()
    torch.testing.assert_close(total, expected)
