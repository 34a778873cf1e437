"""Cross-entropy."""

import math
from dataclasses import replace

import torch

from cktf.batch import Activations, Batch
from cktf.objectives import BuildContext
from cktf.objectives.cross_entropy import CrossEntropy


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes(
    student: Activations, batch: Batch, given: BuildContext
) -> None:
    even = replace(student, logits=torch.zeros(6, 5))
    terms = CrossEntropy(CrossEntropy.Config(), given)(even, None, batch)
    assert terms.keys() == {"logits"}
    assert math.isclose(float(terms["logits"]), math.log(5), rel_tol=1e-6)


def test_no_teacher_is_needed() -> None:
    assert not CrossEntropy.needs_teacher
