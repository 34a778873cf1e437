"""Mixup and CutMix against a slow reference in NumPy, sample by sample."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from cktf.data.augmentation.config import Augmentation
from cktf.data.augmentation.draws import uniform_integers, uniform_reals
from cktf.data.augmentation.mixing import Mixes, draw_mixes
from cktf.seeding import derive

CPU = torch.device("cpu")
HEIGHT, WIDTH = 12, 9
INDEX = torch.arange(3000)


def drawn(index: Tensor = INDEX, seed: int = 3, epoch: int = 2, **settings: Any) -> Mixes:
    return draw_mixes(Augmentation(crop=0, flip=False, **settings), index, seed, epoch, HEIGHT, WIDTH, CPU)


def uniforms(purpose: str) -> np.ndarray:
    return uniform_reals(derive(3, "mixing", purpose, 2), INDEX).numpy()


def cumulative(at: float, alpha: float) -> float:
    """Return the share of Beta(alpha, alpha), of alpha above 1, below a number: by the trapezoidal rule."""
    grid = np.linspace(0, 1, 20_001)
    density = grid ** (alpha - 1) * (1 - grid) ** (alpha - 1)
    return float(np.trapezoid(density[grid <= at], grid[grid <= at]) / np.trapezoid(density, grid))


def test_mixup_s_weights_are_quantiles_of_the_beta_distribution() -> None:
    mixes = drawn(mixup=2.5)
    assert torch.equal(mixes.weights, mixes.shares)
    for weight, uniform in zip(mixes.weights.tolist()[:12], uniforms("lambda"), strict=False):
        assert cumulative(weight, 2.5) == pytest.approx(uniform, abs=1e-4)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_s_weights_are_distributed_as_numpy_s(alpha: float) -> None:
    others = np.random.default_rng(1).beta(alpha, alpha, 20_000)
    assert stats.ks_2samp(drawn(mixup=alpha).weights.numpy(), others).pvalue > 0.001


def cutmix_reference(lam: float, row: int, column: int) -> tuple[int, int, int, int]:
    """Return the box of the published code: `rand_bbox`."""
    cut = np.sqrt(1.0 - lam)
    cut_width, cut_height = int(WIDTH * cut), int(HEIGHT * cut)
    top, bottom = np.clip(row - cut_height // 2, 0, HEIGHT), np.clip(row + cut_height // 2, 0, HEIGHT)
    left, right = np.clip(column - cut_width // 2, 0, WIDTH), np.clip(column + cut_width // 2, 0, WIDTH)
    return int(top), int(left), int(bottom - top), int(right - left)


def test_cutmix_takes_the_published_box_and_the_share_of_its_area() -> None:
    mixes = drawn(cutmix=1.0)  # whose lambda is the uniform number itself
    rows, columns = (
        uniform_integers(derive(3, "mixing", name, 2), INDEX, side).tolist()
        for name, side in (("row", HEIGHT), ("column", WIDTH))
    )
    for sample, lam in enumerate(uniforms("lambda")[:500]):
        box = cutmix_reference(lam, rows[sample], columns[sample])
        assert tuple(mixes.boxes[:, sample].tolist()) == box
        assert float(mixes.shares[sample]) == pytest.approx(1 - box[2] * box[3] / (HEIGHT * WIDTH))
    assert not mixes.weights.any()


def mixed_reference(image: np.ndarray, partner: np.ndarray, weight: float, box: list[int]) -> np.ndarray:
    top, left, height, width = box
    result = image.copy()
    for row in range(top, top + height):
        for column in range(left, left + width):
            result[:, row, column] = weight * image[:, row, column] + (1 - weight) * partner[:, row, column]
    return result


def test_images_are_mixed_within_the_box_and_by_the_share_that_labels_get() -> None:
    mixes = drawn(mixup=0.8, cutmix=1.0, mix_probability=0.7)
    ones, others = torch.randn(2, 50, 3, HEIGHT, WIDTH)
    found = mixes.of(ones, others, slice(100, 150))
    for i in range(50):
        box, weight = mixes.boxes[:, 100 + i].tolist(), float(mixes.weights[100 + i])
        expected = mixed_reference(ones[i].numpy(), others[i].numpy(), weight, box)
        np.testing.assert_allclose(found[i].numpy(), expected, rtol=1e-5, atol=1e-6)
    shares = mixes.of(torch.ones(50, 1, HEIGHT, WIDTH), torch.zeros(50, 1, HEIGHT, WIDTH), slice(100, 150))
    torch.testing.assert_close(shares.mean((1, 2, 3)), mixes.shares[100:150])


def test_each_sample_gets_one_of_both_or_neither() -> None:
    mixes = drawn(mixup=1.0, cutmix=1.0, mix_probability=0.6)
    is_cut = uniform_integers(derive(3, "mixing", "kind", 2), INDEX, 2) == 1
    is_mixed = torch.from_numpy(uniforms("whether") < 0.6)
    assert torch.equal(mixes.weights == 1, ~is_mixed)
    assert torch.equal(mixes.weights == 0, is_mixed & is_cut)
    assert torch.equal(mixes.shares[~is_mixed], torch.ones(int((~is_mixed).sum())))
    assert 0.57 < float(is_mixed.double().mean()) < 0.63
    assert 0.47 < float(is_cut.double().mean()) < 0.53


def test_a_draw_depends_on_its_address_alone() -> None:
    order = torch.randperm(3000)
    together, one_by_one = drawn(order, mixup=0.3, cutmix=0.4), drawn(mixup=0.3, cutmix=0.4)
    for name in ("weights", "shares"):
        assert torch.equal(getattr(together, name), getattr(one_by_one, name)[order])
    for other in (drawn(seed=4, mixup=0.3), drawn(epoch=3, mixup=0.3)):
        assert not torch.equal(other.weights, drawn(mixup=0.3).weights)


def test_the_draws_are_pinned() -> None:
    # Other numbers here mean that a study that is resumed or extended no longer repeats its own augmentation.
    mixes = drawn(INDEX[:4], seed=0, epoch=1, mixup=0.5, cutmix=1.0)
    assert mixes.shares.tolist() == pytest.approx([0.7576, 0.6111, 0.6759, 0.9691], abs=1e-4)
    assert mixes.boxes[0].tolist() == [0, 5, 0, 0]


def test_the_smallest_and_the_largest_alpha_give_numbers() -> None:
    for alpha in (1e-4, 100.0):
        weights = drawn(mixup=alpha).weights
        assert ((weights >= 0) & (weights <= 1)).all()
