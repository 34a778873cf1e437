"""`cktf layers`: what a study may name of a network, and what it takes where it names nothing."""

from typing import Any

import pytest
from typer.testing import CliRunner

from cktf.cli.app import app


def layers(*arguments: str) -> tuple[Any, ...]:
    result = CliRunner().invoke(app, ["layers", *arguments], env={"COLUMNS": "200"})
    return result.exit_code, result.stdout, result.stderr


def test_layers_of_a_network_and_what_is_paired_with_a_teachers() -> None:
    code, out, _ = layers("resnet8", "--side", "32", "--with", "torchvision/resnet18")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["layer2.1", "BasicBlock", "128", "x", "4", "x", "4", "stage2.1"] in rows
    assert ["fc", "Linear", "10", "its", "input:", "penultimate"] in rows
    paired = [[word for word in row if word not in {"│", "x"}] for row in rows if row[:1] == ["│"]]
    assert ["stage1", "16", "32", "32", "stage2", "128", "4", "4"] in paired
    assert ["stage3", "64", "8", "8", "stage4", "512", "1", "1"] in paired


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("torchvision/resnet17",), "unknown model 'torchvision/resnet17' (did you mean 'torchvision/resnet1"),
        (("torchvision/vit_b_16", "--side", "17"), "torchvision/vit_b_16: cannot read images of shape (3, 17, 17)"),
        (("ResNet10", "--with", "resnet8"), "ResNet10 with resnet8: stage is paired with stage, but the student has 4"),
        (("resnet8", "--with", "torchvision/squeezenet1_1", "--side", "32"), "reads the stages of the teacher"),
    ],
)
def test_what_cannot_be_listed_is_told(arguments: tuple[str, ...], message: str) -> None:
    code, _, err = layers(*arguments)
    assert code == 2
    assert message in err
