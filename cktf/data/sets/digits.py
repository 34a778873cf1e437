"""Handwritten digits, 8x8 grey, 1,797 samples: bundled with scikit-learn, so nothing is ever fetched.

Optical recognition of handwritten digits (Alpaydin and Kaynak, UCI, 1998), of which this is the test part.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from cktf.data.augmentation.config import Augmentation
from cktf.data.dataset import Dataset, Kind
from cktf.data.files.places import DataPlace

DIGITS_KIND = Kind(
    num_classes=10,
    channels=1,
    side=8,
    mean=(0.3054386079311371,),
    std=(0.37577205896377563,),
    augmentation=Augmentation(crop=1, flip=False),
    class_names=tuple("0123456789"),
)

_LARGEST = 16  # a pixel counts the dark points of a 4x4 field


def load_digits(_: DataPlace) -> Dataset:
    """Return the digits, of which the same 30 per cent of every class are always the test part."""
    package = find_spec("sklearn")
    assert package is not None, "scikit-learn is one of the requirements"
    assert package.origin is not None
    # Read without importing scikit-learn, which takes each process seconds.
    table = torch.from_numpy(np.loadtxt(Path(package.origin).parent / "datasets/data/digits.csv.gz", delimiter=","))
    images = (table[:, :-1].reshape(-1, 1, 8, 8) * 255 / _LARGEST).round().to(torch.uint8)
    labels = table[:, -1].long()
    # Counted within a class in the order of the file, so that the division needs no draw and every writer is in both.
    one_hot = torch.nn.functional.one_hot(labels)
    is_test = ((one_hot.cumsum(dim=0) * one_hot).sum(dim=1) - 1) % 10 < 3
    return DIGITS_KIND.dataset(images[~is_test], labels[~is_test], images[is_test], labels[is_test])
