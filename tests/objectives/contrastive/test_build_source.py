"""Sources by name, with labels and without."""

from typing import get_args

import pytest
import torch

from cktf.batch import Batch
from cktf.objectives.contrastive.banks import build_bank
from cktf.objectives.contrastive.negatives import build_source, without_alike
from cktf.objectives.contrastive.settings import ContrastiveSettings, SourceKind

LABELS = torch.arange(30) % 3
INDEX = torch.tensor([4, 9, 17])
SOURCES = get_args(SourceKind)


@pytest.mark.parametrize("source", SOURCES)
def test_without_labels_every_sample_but_the_anchor_itself_may_be_a_negative(source: SourceKind) -> None:
    # As CKTF gives it: each sample is a class of its own.
    batch = Batch(torch.empty(0), INDEX, INDEX, step=0)
    chooser = build_source(ContrastiveSettings(source=source, negatives=29, labels=False), LABELS, seed=0)
    assert chooser is not None
    chooser(batch)  # fills the queue
    negatives = chooser(batch)
    candidates = {
        "sampled": torch.arange(30),
        "all": torch.arange(30),
        "shared": negatives.rows,
        "queue": torch.cat([INDEX, torch.full((26,), -1)]),
        "batch": INDEX,
    }[source]
    assert candidates is not None
    expected = (candidates != INDEX.unsqueeze(1)).float()
    assert torch.equal(negatives.weights, expected)


@pytest.mark.parametrize("source", SOURCES)
def test_one_class_alone_has_no_negatives(source: SourceKind) -> None:
    with pytest.raises(ValueError, match="all 9 samples have one label"):
        build_source(ContrastiveSettings(source=source, negatives=4), torch.full((9,), 2), seed=0)
    build_source(ContrastiveSettings(source=source, negatives=4, labels=False), torch.full((9,), 2), seed=0)


@pytest.mark.parametrize("source", SOURCES)
def test_without_negatives_there_is_neither_a_source_nor_a_bank(source: SourceKind) -> None:
    config = ContrastiveSettings(source=source, negatives=0)
    assert build_source(config, LABELS, seed=0) is None
    assert build_bank(config, num_samples=30, dim=4) is None


@pytest.mark.parametrize("source", SOURCES)
def test_all_of_an_anchors_class_but_itself_are_positives_where_they_are_wanted(source: SourceKind) -> None:
    index = torch.tensor([4, 9, 17, 7])
    batch = Batch(torch.empty(0), LABELS[index], index, step=0)
    config = ContrastiveSettings(source=source, negatives=12, estimator="infonce", positives="class")
    chooser = build_source(config, LABELS, seed=0)
    assert chooser is not None
    before = chooser(batch)
    negatives = chooser(batch)
    assert before.positives is not None
    assert negatives.positives is not None
    if source == "queue":  # it is empty first; then it has earlier embeddings, the anchors' own among them
        assert not before.positives.any()
        classes = torch.cat([LABELS[index], torch.full((8,), -1)])
        expected = classes == LABELS[index].unsqueeze(1)
    else:
        every = torch.arange(30)
        candidates = {"shared": negatives.rows, "batch": index}.get(source, every)
        assert candidates is not None
        expected = LABELS[candidates] == LABELS[index].unsqueeze(1)
        expected &= candidates != index.unsqueeze(1)
    assert torch.equal(negatives.positives, expected.float())
    assert not (negatives.positives * negatives.weights).any()


@pytest.mark.parametrize("source", SOURCES)
def test_what_the_teacher_finds_alike_is_no_negative(source: SourceKind) -> None:
    index = torch.tensor([4, 9, 17, 7])
    batch = Batch(torch.empty(0), LABELS[index], index, step=0)
    chooser = build_source(ContrastiveSettings(source=source, negatives=12), LABELS, seed=0)
    assert chooser is not None
    negatives = chooser(batch)
    generator = torch.Generator().manual_seed(1)
    teacher = torch.randn(4, 3, generator=generator)
    rows = torch.randn(negatives.weights.shape[1], 3, generator=generator)
    kept = without_alike(negatives, teacher, rows, batch, 0.3)
    for number, anchor in enumerate(teacher):
        for column, row in enumerate(rows):
            is_alike = float(anchor @ row / anchor.norm() / row.norm()) > 0.3
            assert kept.weights[number, column] == (0 if is_alike else negatives.weights[number, column])
    scale = torch.ones(4) if negatives.scale is None else negatives.scale
    torch.testing.assert_close(kept.mean_count, (kept.weights.sum(1) * scale).mean())
    assert kept.weights.sum() < negatives.weights.sum()
