"""Studies in the documentation."""

import re
from pathlib import Path

from cktf.study.designs import plan_arms
from cktf.study.load import read_study

DOCS = Path(__file__).parents[2] / "docs"


def test_the_study_of_objectives_is_valid_and_its_arms_are_named_as_they_are_written() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "objectives.md").read_text(), re.DOTALL)
    assert [arm.name for arm in plan_arms(read_study(text, "objectives.md"))] == [
        "baseline",
        "kd.weight=1",
        "kd.weight.to=2",
        "temperature={learn: true, start: 0.1, min: 0.02, max: 1}",
        "temperature={from: 0.5, to: 0.1, over: [0, 1]}",
        "hardness=0.5",
        "teacher_threshold=0.9",
        "positives=class",
    ]
