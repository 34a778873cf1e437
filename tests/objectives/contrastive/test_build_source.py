"""Sources by name, with labels and without."""

from typing import get_args

import pytest
import torch

from cktf.batch import Batch
from cktf.objectives.contrastive.banks import build_bank
from cktf.objectives.contrastive.negatives import build_source
from cktf.objectives.contrastive.settings import ContrastiveSettings, SourceKind

LABELS = torch.arange(30) % 3
INDEX = torch.tensor([4, 9, 17])
SOURCES = get_args(SourceKind)


@pytest.mark.parametrize("source", SOURCES)
def test_without_labels_every_sample_but_the_anchor_itself_may_be_a_negative(source: SourceKind) -> None:
    # All anchors have one label: none would be a negative of another.
    batch = Batch(torch.empty(0), torch.zeros(3, dtype=torch.int64), INDEX, step=0)
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
