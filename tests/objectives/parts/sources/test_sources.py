"""Sources by name, with labels and without."""

from typing import get_args

import pytest
import torch

from cktf.batch import Batch
from cktf.objectives.parts.sources import Source, build_source

LABELS = torch.arange(30) % 3
INDEX = torch.tensor([4, 9, 17])
SOURCES = get_args(Source)


@pytest.mark.parametrize("source", SOURCES)
def test_without_labels_every_sample_but_the_anchor_itself_may_be_a_negative(source: Source) -> None:
    # All anchors have one label: none would be a negative of another.
    batch = Batch(torch.empty(0), torch.zeros(3, dtype=torch.int64), INDEX, step=0)
    chooser = build_source(source, 29, LABELS, seed=0, use_labels=False)
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
def test_one_class_alone_has_no_negatives(source: Source) -> None:
    with pytest.raises(ValueError, match="all 9 samples have one label"):
        build_source(source, 4, torch.full((9,), 2), seed=0, use_labels=True)
    build_source(source, 4, torch.full((9,), 2), seed=0, use_labels=False)
