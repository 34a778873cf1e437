"""What RandAugment and TrivialAugment draw, and at which strengths, against torchvision's tables."""

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2

from cktf.data.augmentation import changes
from cktf.data.augmentation.changes import OPERATIONS, RandAugment, TrivialAugment

TORCHVISION = {
    "ShearX": "shear_x", "ShearY": "shear_y", "TranslateX": "translate_x", "TranslateY": "translate_y",
    "AutoContrast": "autocontrast",
}  # fmt: skip
HEIGHT, WIDTH = 20, 32
IMAGES = torch.zeros(1, 3, HEIGHT, WIDTH, dtype=torch.uint8)
INDEX = torch.arange(40_000)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """Operations and strengths of every call, which leaves the images as they are."""
    calls: list[tuple[Tensor, Tensor]] = []

    def operate(images: Tensor, chosen: Tensor, strengths: Tensor) -> Tensor:
        calls.append((chosen, strengths))
        return images

    monkeypatch.setattr(changes, "operate", operate)
    return calls


def strengths_of_torchvision(policy: Any, level: int) -> dict[str, float]:
    """Return operation to its strength at a level in torchvision's table, without sign; 0 for those without one."""
    found = {}
    for name, (values, _) in policy._AUGMENTATION_SPACE.items():
        table = values(31, HEIGHT, WIDTH)
        found[TORCHVISION.get(name, name.lower())] = 0.0 if table is None else float(table[level])
    return found


@pytest.mark.parametrize("level", [0, 9, 16, 30])
def test_rand_augment_has_torchvision_s_operations_and_strengths(asked: Any, level: int) -> None:
    RandAugment(operations=3, magnitude=level)(IMAGES, INDEX[:2000], seed=1, epoch=2)
    expected = strengths_of_torchvision(v2.RandAugment, level)
    assert {*expected} == {*OPERATIONS}
    assert len(asked) == 3
    for chosen, strengths in asked:
        for number, name in enumerate(OPERATIONS):
            found = strengths[chosen == number].abs()
            assert len(found) > 50
            torch.testing.assert_close(found, torch.full_like(found, expected[name]))


def test_trivial_augment_has_torchvision_s_operations_and_strengths(asked: Any) -> None:
    TrivialAugment()(IMAGES, INDEX, seed=1, epoch=2)
    ((chosen, strengths),) = asked
    levels = [strengths_of_torchvision(v2.TrivialAugmentWide, level) for level in range(31)]
    unique: Any = torch.unique
    for number, name in enumerate(OPERATIONS):
        found = strengths[chosen == number].abs().double().unique()
        torch.testing.assert_close(
            found, unique(torch.tensor([level[name] for level in levels]).double()), rtol=1e-5, atol=1e-5
        )


def test_operations_and_signs_are_uniform_and_levels_too(asked: Any) -> None:
    TrivialAugment()(IMAGES, INDEX, seed=5, epoch=1)
    ((chosen, strengths),) = asked
    assert stats.chisquare(torch.bincount(chosen, minlength=14).numpy()).pvalue > 0.001
    rotations = strengths[chosen == OPERATIONS.index("rotate")] / 4.5
    counts = torch.bincount((rotations.round().long() + 30)[rotations.round() != 0], minlength=61)
    assert stats.chisquare(counts[torch.arange(61) != 30].numpy()).pvalue > 0.001
    for name in ("posterize", "solarize"):
        assert (strengths[chosen == OPERATIONS.index(name)] >= 0).all()


@pytest.mark.parametrize("change", [RandAugment(), TrivialAugment()], ids=lambda change: type(change).__name__)
def test_a_sample_is_changed_by_its_address_alone(change: Any) -> None:
    images = torch.randint(256, (40, 3, 8, 8), dtype=torch.uint8)
    index = torch.randperm(1000)[:40]
    together = change(images, index, seed=3, epoch=2)
    alone = [change(images[i : i + 1], index[i : i + 1], seed=3, epoch=2) for i in range(40)]
    assert torch.equal(torch.cat(alone), together)
    for address in ({"seed": 4, "epoch": 2}, {"seed": 3, "epoch": 3}):
        assert not torch.equal(change(images, index, **address), together)


def test_the_draws_are_pinned(asked: Any) -> None:
    # Other numbers here mean that a study that is resumed or extended no longer repeats its own augmentation.
    RandAugment(operations=1)(IMAGES, INDEX[:8], seed=0, epoch=1)
    TrivialAugment()(IMAGES, INDEX[:8], seed=0, epoch=1)
    assert [chosen.tolist() for chosen, _ in asked] == [[13, 4, 0, 9, 11, 5, 11, 7], [6, 2, 9, 0, 0, 6, 2, 1]]
    assert asked[1][1][:4].tolist() == pytest.approx([0, -0.033, 0.66, 0])


def test_no_operations_change_nothing() -> None:
    images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    assert RandAugment(operations=0)(images, torch.arange(4), seed=0, epoch=1) is images
