"""The text of a small study, and the message with which a text is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cktf.study.load import read_study
from cktf.study.problems import StudyError

TEXT = """\
# Does the contrast need its stages?
baseline:
  data: {name: digits}
  teacher: {model: resnet20, epochs: 3}
  student: {model: resnet8}
  objective:
    cross_entropy: {weight: 1.0}
    cktf: {beta: 0.8, theta: 0.1, temperature: 0.1, negatives: 64}
  optimizer: {weight_decay: 1e-4}
  epochs: 2
ablate:
  objective.cktf.theta: [0.0, 1e-2]
seeds: 2
"""


Write = Callable[..., Path]


def refused(text: str, *overrides: str) -> str:
    with pytest.raises(StudyError) as error:
        read_study(text, "x.yaml", overrides)
    return str(error.value)
